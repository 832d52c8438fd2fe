//! `OmmaTensor`, laid out as DLPack's `DLTensor`.

use std::ffi::c_void;

/// Where the data of a tensor is: DLPack's `DLDevice`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OmmaDevice {
    /// `OMMA_DEVICE_CPU`; pinned host memory of CUDA (3) and ROCm (11) is accepted too.
    pub device_type: i32,
    /// Not used.
    pub device_id: i32,
}

/// The type of an element: DLPack's `DLDataType`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OmmaDataType {
    /// `OMMA_DTYPE_FLOAT`, `OMMA_DTYPE_INT`, `OMMA_DTYPE_UINT` or `OMMA_DTYPE_BOOL`.
    pub code: u8,
    /// Bits of an element.
    pub bits: u8,
    /// 1.
    pub lanes: u16,
}

/// A borrowed n-dimensional array, laid out exactly as DLPack's `DLTensor`, so
/// that a DLPack tensor is passed by a cast. Any strides are accepted, data
/// need not be aligned; an inner dimension that is not contiguous may cost a
/// packed copy. At most 8 dimensions.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OmmaTensor {
    /// The array; may be NULL when it has no elements.
    pub data: *mut c_void,
    /// Where `data` is.
    pub device: OmmaDevice,
    /// Number of dimensions.
    pub ndim: i32,
    /// The type of an element.
    pub dtype: OmmaDataType,
    /// Elements along each dimension.
    pub shape: *const i64,
    /// Distance of neighbours along each dimension in elements; NULL for compact row-major.
    pub strides: *const i64,
    /// Bytes from `data` to the first element.
    pub byte_offset: u64,
}

/// Main memory.
pub const OMMA_DEVICE_CPU: i32 = 1;
/// Signed integer.
pub const OMMA_DTYPE_INT: u8 = 0;
/// Unsigned integer.
pub const OMMA_DTYPE_UINT: u8 = 1;
/// IEEE floating point.
pub const OMMA_DTYPE_FLOAT: u8 = 2;
/// Truth value in a byte.
pub const OMMA_DTYPE_BOOL: u8 = 6;
