//! Arrays of Python as tensors of the C ABI, without a copy.
//!
//! A numpy array is described from its own header; any other object is asked for a DLPack tensor;
//! what has neither goes through `numpy.asarray`. Element types and shapes are left to the C ABI
//! to judge: whatever can be described is handed over as it is.

use crate::call::Call;
use crate::dlpack::Managed;
use numpy::npyffi::{self, NPY_ARRAY_WRITEABLE, NPY_TYPES, PyArrayObject_fields};
use numpy::{
    PY_ARRAY_API, PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods,
};
use omma::capi::{
    OMMA_DEVICE_CPU, OMMA_DTYPE_BOOL, OMMA_DTYPE_FLOAT, OMMA_DTYPE_INT, OMMA_DTYPE_UINT,
    OMMA_INVALID_ARGUMENT, OMMA_OUT_OF_MEMORY, OmmaDataType, OmmaDevice, OmmaTensor,
};
use pyo3::exceptions::PyMemoryError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyList, PyTuple};
use std::ffi::c_void;

/// The most dimensions that the C ABI takes.
pub(crate) const MAX_RANK: usize = omma::tensor::MAX_RANK;

/// The element types that arrays are made of here.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum DType {
    F32,
    F64,
    U8,
    I32,
    I64,
}

impl DType {
    fn number(self) -> NPY_TYPES {
        match self {
            DType::F32 => NPY_TYPES::NPY_FLOAT,
            DType::F64 => NPY_TYPES::NPY_DOUBLE,
            DType::U8 => NPY_TYPES::NPY_UBYTE,
            DType::I32 => NPY_TYPES::NPY_INT,
            // Of both 64-bit types of numpy the one that is called int64.
            DType::I64 if size_of::<std::ffi::c_long>() == 8 => NPY_TYPES::NPY_LONG,
            DType::I64 => NPY_TYPES::NPY_LONGLONG,
        }
    }

    fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::U8 => "uint8",
            DType::I32 => "int32",
            DType::I64 => "int64",
        }
    }

    pub(crate) fn descriptor(self) -> OmmaDataType {
        let (code, bits) = match self {
            DType::F32 => (OMMA_DTYPE_FLOAT, 32),
            DType::F64 => (OMMA_DTYPE_FLOAT, 64),
            DType::U8 => (OMMA_DTYPE_UINT, 8),
            DType::I32 => (OMMA_DTYPE_INT, 32),
            DType::I64 => (OMMA_DTYPE_INT, 64),
        };
        OmmaDataType {
            code,
            bits,
            lanes: 1,
        }
    }
}

/// The main memory.
pub(crate) const CPU: OmmaDevice = OmmaDevice {
    device_type: OMMA_DEVICE_CPU,
    device_id: 0,
};

/// A tensor and the Python object that its memory belongs to.
pub(crate) struct Tensor<'py> {
    /// Its shape and strides are NULL and those below, unless it is DLPack's.
    tensor: OmmaTensor,
    shape: [i64; MAX_RANK],
    strides: [i64; MAX_RANK],
    managed: Option<Managed>,
    object: Bound<'py, PyAny>,
}

impl<'py> Tensor<'py> {
    /// An argument that is read. Lists become arrays of `lists`, where that is given.
    pub(crate) fn input(
        call: &Call<'py>,
        name: &str,
        object: &Bound<'py, PyAny>,
        lists: Option<DType>,
    ) -> PyResult<Tensor<'py>> {
        if let Ok(array) = object.cast::<PyUntypedArray>() {
            return match Tensor::of_array(call, name, array)? {
                Some(tensor) => Ok(tensor),
                // Elements that do not lie on a grid of their size: a field of records.
                None => Tensor::converted(call, name, object, "ascontiguousarray", None),
            };
        }
        if let Some(managed) = Managed::of(call, name, object)? {
            return Tensor::of_managed(call, name, object, managed);
        }
        let is_list = object.is_instance_of::<PyList>()
            || object.is_instance_of::<PyTuple>()
            || object.is_exact_instance_of::<PyFloat>()
            || object.is_exact_instance_of::<PyInt>();
        Tensor::converted(call, name, object, "asarray", lists.filter(|_| is_list))
    }

    /// An array that numpy makes of `object`.
    fn converted(
        call: &Call<'py>,
        name: &str,
        object: &Bound<'py, PyAny>,
        function: &str,
        dtype: Option<DType>,
    ) -> PyResult<Tensor<'py>> {
        let py = object.py();
        let numpy = py.import(intern!(py, "numpy"))?;
        let array = match dtype {
            Some(dtype) => numpy.call_method1(function, (object, dtype.name())),
            None => numpy.call_method1(function, (object,)),
        };
        let array = array.map_err(|error| {
            let words = format!("{name} does not become an array: {}", error.value(py));
            let wrapped = call.error(OMMA_INVALID_ARGUMENT, &words);
            wrapped.set_cause(py, Some(error));
            wrapped
        })?;
        let array = array.cast::<PyUntypedArray>()?;
        match Tensor::of_array(call, name, array)? {
            Some(tensor) => Ok(tensor),
            None => Err(call.error(OMMA_INVALID_ARGUMENT, &off_grid(name))),
        }
    }

    /// An argument that is written.
    pub(crate) fn output(
        call: &Call<'py>,
        name: &str,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<Tensor<'py>> {
        let read_only = || {
            call.error(
                OMMA_INVALID_ARGUMENT,
                &format!("{name} must not be written"),
            )
        };
        if let Ok(array) = object.cast::<PyUntypedArray>() {
            // SAFETY: Python stays attached, and no other code of it runs.
            if unsafe { header(array).flags } & NPY_ARRAY_WRITEABLE == 0 {
                return Err(read_only());
            }
            return match Tensor::of_array(call, name, array)? {
                Some(tensor) => Ok(tensor),
                None => Err(call.error(OMMA_INVALID_ARGUMENT, &off_grid(name))),
            };
        }
        match Managed::of(call, name, object)? {
            Some(managed) if managed.is_read_only() => Err(read_only()),
            Some(managed) => Tensor::of_managed(call, name, object, managed),
            None => {
                let words = format!(
                    "{name} is of type {}, expected a numpy array or an object with __dlpack__",
                    object.get_type().name()?
                );
                Err(call.error(OMMA_INVALID_ARGUMENT, &words))
            }
        }
    }

    /// A new array, whose elements are not set.
    pub(crate) fn empty(call: &Call<'py>, shape: &[i64], dtype: DType) -> PyResult<Tensor<'py>> {
        let py = call.py;
        let mut dims = [0; MAX_RANK];
        for (dim, &size) in dims.iter_mut().zip(shape) {
            *dim = size as isize;
        }
        // SAFETY: numpy's function with as many dimensions as `dims` has; it may fail.
        let array = unsafe {
            let class = npyffi::get_type_object(py, npyffi::NpyTypes::PyArray_Type);
            let array = PY_ARRAY_API.PyArray_New(
                py,
                class,
                shape.len().min(MAX_RANK) as i32,
                dims.as_mut_ptr(),
                dtype.number() as i32,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                0,
                0,
                std::ptr::null_mut(),
            );
            Bound::from_owned_ptr_or_err(py, array)
        };
        let array = array.map_err(|error| {
            let status = match error.is_instance_of::<PyMemoryError>(py) {
                true => OMMA_OUT_OF_MEMORY,
                false => OMMA_INVALID_ARGUMENT,
            };
            let words = format!(
                "no room for a result of shape {shape:?}: {}",
                error.value(py)
            );
            call.error(status, &words)
        })?;
        match Tensor::of_array(call, "out", array.cast::<PyUntypedArray>()?)? {
            Some(tensor) => Ok(tensor),
            None => Err(call.error(OMMA_INVALID_ARGUMENT, &off_grid("out"))),
        }
    }

    /// A tensor over an array's memory; `None` when its strides are not whole elements.
    fn of_array(
        call: &Call<'py>,
        name: &str,
        array: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Option<Tensor<'py>>> {
        let descr = array.dtype();
        let Some(dtype) = element_type(&descr) else {
            let words = format!("{name} has elements of {descr}, expected float32");
            return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
        };
        // SAFETY: Python stays attached, and no other code of it runs.
        let header = unsafe { header(array) };
        let rank = header.nd as usize;
        let size = i64::from(dtype.bits / 8);
        let (mut shape, mut strides) = ([0; MAX_RANK], [0; MAX_RANK]);
        // An array of more dimensions is refused by its rank alone.
        for axis in 0..rank.min(MAX_RANK) {
            // SAFETY: numpy keeps one entry for each dimension.
            let (dim, stride) = unsafe {
                (
                    *header.dimensions.add(axis) as i64,
                    *header.strides.add(axis) as i64,
                )
            };
            if stride % size != 0 {
                return Ok(None);
            }
            (shape[axis], strides[axis]) = (dim, stride / size);
        }
        Ok(Some(Tensor {
            tensor: OmmaTensor {
                data: header.data.cast(),
                device: CPU,
                ndim: header.nd,
                dtype,
                shape: std::ptr::null(),
                strides: std::ptr::null(),
                byte_offset: 0,
            },
            shape,
            strides,
            managed: None,
            object: array.as_any().clone(),
        }))
    }

    fn of_managed(
        call: &Call<'py>,
        name: &str,
        object: &Bound<'py, PyAny>,
        managed: Managed,
    ) -> PyResult<Tensor<'py>> {
        let tensor = managed.tensor();
        let rank = usize::try_from(tensor.ndim).unwrap_or(usize::MAX);
        if rank > MAX_RANK || (rank > 0 && tensor.shape.is_null()) {
            let words = format!("{name} has {rank} dimensions, expected 0 to {MAX_RANK}");
            return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
        }
        let mut shape = [0; MAX_RANK];
        for (axis, dim) in shape[..rank].iter_mut().enumerate() {
            // SAFETY: DLPack keeps one entry for each dimension.
            *dim = unsafe { *tensor.shape.add(axis) };
        }
        Ok(Tensor {
            tensor,
            shape,
            strides: [0; MAX_RANK],
            managed: Some(managed),
            object: object.clone(),
        })
    }

    /// The description that the C ABI takes; it points into `self`.
    pub(crate) fn descriptor(&self) -> OmmaTensor {
        match self.managed {
            Some(_) => self.tensor,
            None => OmmaTensor {
                shape: self.shape.as_ptr(),
                strides: self.strides.as_ptr(),
                ..self.tensor
            },
        }
    }

    pub(crate) fn shape(&self) -> &[i64] {
        &self.shape[..(self.tensor.ndim as usize).min(MAX_RANK)]
    }

    pub(crate) fn rank(&self) -> usize {
        self.tensor.ndim as usize
    }

    /// The size along an axis, 1 where there is no such axis.
    pub(crate) fn dim(&self, axis: usize) -> i64 {
        self.shape().get(axis).copied().unwrap_or(1)
    }

    pub(crate) fn is_u8(&self) -> bool {
        self.tensor.dtype.code == OMMA_DTYPE_UINT && self.tensor.dtype.bits == 8
    }

    /// The Python object: what the caller gave, or the array that was made.
    pub(crate) fn into_object(self) -> Bound<'py, PyAny> {
        self.object
    }
}

/// A tensor over memory of Rust.
pub(crate) fn over_slice<T>(data: *mut T, dtype: DType, shape: &[i64; 1]) -> OmmaTensor {
    OmmaTensor {
        data: data.cast::<c_void>(),
        device: CPU,
        ndim: 1,
        dtype: dtype.descriptor(),
        shape: shape.as_ptr(),
        strides: std::ptr::null(),
        byte_offset: 0,
    }
}

fn off_grid(name: &str) -> String {
    format!("{name} has strides that are not a whole number of elements")
}

/// # Safety
/// Nobody resizes the array while the reference is used.
unsafe fn header<'a>(array: &'a Bound<'_, PyUntypedArray>) -> &'a PyArrayObject_fields {
    // SAFETY: numpy's layout of its own object, which is alive.
    unsafe { &*npyffi::_PyArray_GET_ITEM_DATA(array.as_array_ptr().cast_const()) }
}

/// The element type in the C ABI's terms; `None` for what has no place there: objects, text,
/// complex numbers, bytes in foreign order.
fn element_type(descr: &Bound<'_, PyArrayDescr>) -> Option<OmmaDataType> {
    use std::ffi::{c_int, c_long, c_longlong, c_short};
    let (code, size) = match descr.num() {
        0 => (OMMA_DTYPE_BOOL, 1),
        1 => (OMMA_DTYPE_INT, 1),
        2 => (OMMA_DTYPE_UINT, 1),
        3 => (OMMA_DTYPE_INT, size_of::<c_short>()),
        4 => (OMMA_DTYPE_UINT, size_of::<c_short>()),
        5 => (OMMA_DTYPE_INT, size_of::<c_int>()),
        6 => (OMMA_DTYPE_UINT, size_of::<c_int>()),
        7 => (OMMA_DTYPE_INT, size_of::<c_long>()),
        8 => (OMMA_DTYPE_UINT, size_of::<c_long>()),
        9 => (OMMA_DTYPE_INT, size_of::<c_longlong>()),
        10 => (OMMA_DTYPE_UINT, size_of::<c_longlong>()),
        11 => (OMMA_DTYPE_FLOAT, 4),
        12 => (OMMA_DTYPE_FLOAT, 8),
        _ => return None,
    };
    if descr.is_native_byteorder() == Some(false) {
        return None;
    }
    Some(OmmaDataType {
        code,
        bits: (size * 8) as u8,
        lanes: 1,
    })
}
