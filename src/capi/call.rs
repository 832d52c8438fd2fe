//! How an export reads its arguments. Whatever is wrong with a pointer, a
//! shape or a params struct is found here, once, with the operator and the
//! argument in the message.

use super::{
    OMMA_DTYPE_BOOL, OMMA_DTYPE_FLOAT, OMMA_DTYPE_INT, OMMA_DTYPE_UINT, OmmaContext, OmmaTensor,
};
use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::tensor::{DType, Element, MAX_RANK, Raw, View, ViewMut, gather, scatter};

/// One call of an export: who is called, and with which context.
#[derive(Clone, Copy)]
pub(crate) struct Call<'c> {
    /// The operator, as messages name it.
    pub(crate) op: &'static str,
    /// The caller's context, or the serial one.
    pub(crate) ctx: &'c Context,
}

/// A params struct of the ABI.
///
/// # Safety
/// `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
pub(crate) unsafe trait Params: Copy {}

/// Device types whose memory the CPU reads and writes: CPU, CUDA host, ROCm host.
const HOST_DEVICES: [i32; 3] = [1, 3, 11];

impl<'c> Call<'c> {
    /// # Safety
    /// `ctx` is NULL or a living context.
    pub(crate) unsafe fn new(op: &'static str, ctx: *const OmmaContext) -> Result<Call<'c>> {
        // SAFETY: the caller's promise.
        let ctx = match unsafe { ctx.as_ref() } {
            Some(ctx) => &ctx.context,
            None => Context::serial()?,
        };
        Ok(Call { op, ctx })
    }

    /// The params that the caller's struct means: NULL is all defaults, a
    /// shorter struct of an older caller leaves the rest at their defaults, of a
    /// longer one the unknown rest must be zero.
    ///
    /// # Safety
    /// `params` is NULL or valid for reading `params->struct_size` bytes.
    pub(crate) unsafe fn params<P: Params>(&self, params: *const P) -> Result<P> {
        let op = self.op;
        // SAFETY: all-zero bytes are a value (trait contract).
        let mut value: P = unsafe { std::mem::zeroed() };
        if params.is_null() {
            return Ok(value);
        }
        // SAFETY: struct_size comes first.
        let size = unsafe { params.cast::<u32>().read_unaligned() } as usize;
        ensure!(
            (size_of::<u32>()..=1 << 16).contains(&size),
            InvalidArgument,
            "{op}: params.struct_size is {size}, set it to sizeof the struct ({})",
            size_of::<P>()
        );
        // SAFETY: the caller vouches for `size` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(params.cast::<u8>(), size) };
        let known = size.min(size_of::<P>());
        ensure!(
            bytes[known..].iter().all(|&b| b == 0),
            InvalidArgument,
            "{op}: params.struct_size is {size}, this version knows {} bytes and the rest is not zero",
            size_of::<P>()
        );
        // SAFETY: `known` bytes fit both; any prefix of the caller's struct with zeros behind is a value.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut value).cast::<u8>(), known)
        };
        Ok(value)
    }

    /// The element type of a tensor whose type decides the kernel.
    ///
    /// # Safety
    /// `tensor` is NULL or valid for reading.
    pub(crate) unsafe fn dtype(&self, name: &str, tensor: *const OmmaTensor) -> Result<DType> {
        let op = self.op;
        // SAFETY: the caller's promise.
        let Some(tensor) = (unsafe { tensor.as_ref() }) else {
            bail!(InvalidArgument, "{op}: {name} is NULL");
        };
        let dtype = tensor.dtype;
        let known = match (dtype.code, dtype.bits, dtype.lanes) {
            (OMMA_DTYPE_FLOAT, 32, 1) => Some(DType::F32),
            (OMMA_DTYPE_FLOAT, 64, 1) => Some(DType::F64),
            (OMMA_DTYPE_UINT, 8, 1) => Some(DType::U8),
            (OMMA_DTYPE_UINT, 16, 1) => Some(DType::U16),
            (OMMA_DTYPE_UINT, 32, 1) => Some(DType::U32),
            (OMMA_DTYPE_UINT, 64, 1) => Some(DType::U64),
            (OMMA_DTYPE_INT, 8, 1) => Some(DType::I8),
            (OMMA_DTYPE_INT, 16, 1) => Some(DType::I16),
            (OMMA_DTYPE_INT, 32, 1) => Some(DType::I32),
            (OMMA_DTYPE_INT, 64, 1) => Some(DType::I64),
            (OMMA_DTYPE_BOOL, 8, 1) => Some(DType::Bool),
            _ => None,
        };
        match known {
            Some(known) => Ok(known),
            None => bail!(
                InvalidArgument,
                "{op}: {name} has element type code {}, {} bits, {} lanes, which omma does not know",
                dtype.code,
                dtype.bits,
                dtype.lanes
            ),
        }
    }

    /// Address, shape and strides of a tensor of `T`, checked.
    ///
    /// # Safety
    /// `tensor` is NULL or valid for reading, and so are its shape and strides.
    unsafe fn raw<T: Element>(&self, name: &str, tensor: *const OmmaTensor) -> Result<Raw<T>> {
        let op = self.op;
        // SAFETY: the caller's promise.
        let dtype = unsafe { self.dtype(name, tensor)? };
        ensure!(
            dtype == T::DTYPE,
            InvalidArgument,
            "{op}: {name} is {dtype}, expected {}",
            T::DTYPE
        );
        // SAFETY: `dtype` has refused NULL.
        let tensor = unsafe { &*tensor };
        ensure!(
            HOST_DEVICES.contains(&tensor.device.device_type),
            Unsupported,
            "{op}: {name} is on device type {}, expected the CPU (1)",
            tensor.device.device_type
        );
        ensure!(
            (0..=MAX_RANK as i32).contains(&tensor.ndim),
            InvalidArgument,
            "{op}: {name} has ndim {}, expected 0 to {MAX_RANK}",
            tensor.ndim
        );
        let rank = tensor.ndim as usize;
        ensure!(
            rank == 0 || !tensor.shape.is_null(),
            InvalidArgument,
            "{op}: {name} has shape NULL"
        );
        let mut shape = [0usize; MAX_RANK];
        let mut strides = [0isize; MAX_RANK];
        for axis in 0..rank {
            // SAFETY: the caller vouches for ndim entries.
            let dim = unsafe { *tensor.shape.add(axis) };
            ensure!(
                dim >= 0,
                InvalidArgument,
                "{op}: {name} has {dim} elements along dimension {axis}"
            );
            shape[axis] = dim as usize;
            if !tensor.strides.is_null() {
                // SAFETY: the caller vouches for ndim entries.
                strides[axis] = unsafe { *tensor.strides.add(axis) } as isize;
            }
        }
        let ptr = tensor
            .data
            .cast::<u8>()
            .wrapping_add(tensor.byte_offset as usize);
        let given = (!tensor.strides.is_null()).then_some(&strides[..rank]);
        let raw = Raw::new(
            &format_args!("{op}: {name}"),
            ptr.cast::<T>(),
            &shape[..rank],
            given,
        )?;
        ensure!(
            raw.is_empty() || !tensor.data.is_null(),
            InvalidArgument,
            "{op}: {name} has data NULL"
        );
        ensure!(
            tensor.byte_offset <= isize::MAX as u64 && !raw.wraps(),
            InvalidArgument,
            "{op}: {name} reaches beyond the address space"
        );
        Ok(raw)
    }

    /// A tensor that is read.
    ///
    /// # Safety
    /// `tensor` is NULL or describes memory that is valid for reading during the call.
    pub(crate) unsafe fn input<T: Element>(
        &self,
        name: &str,
        tensor: *const OmmaTensor,
    ) -> Result<Input<'c, T>> {
        // SAFETY: the caller's promise.
        let raw = unsafe { self.raw::<T>(name, tensor)? };
        if raw.is_empty() || raw.ptr().is_aligned() {
            // SAFETY: aligned, and readable by the caller's promise.
            let view = unsafe { View::from_raw(raw) };
            return Ok(Input { view, _copy: None });
        }
        let mut copy = self.ctx.scratch::<T>(raw.len())?;
        // SAFETY: readable at any alignment; the scratch has as many elements.
        unsafe { gather(&raw, copy.as_mut_ptr()) };
        let packed = Raw::new(&name, copy.as_mut_ptr(), raw.shape(), None)?;
        // SAFETY: the memory of the scratch, which lives in the same struct.
        let view = unsafe { View::from_raw(packed) };
        Ok(Input {
            view,
            _copy: Some(copy),
        })
    }

    /// A tensor that is read, or NULL.
    ///
    /// # Safety
    /// As [`input`](Call::input).
    pub(crate) unsafe fn optional<T: Element>(
        &self,
        name: &str,
        tensor: *const OmmaTensor,
    ) -> Result<Option<Input<'c, T>>> {
        if tensor.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's promise.
        unsafe { self.input(name, tensor) }.map(Some)
    }

    /// A tensor that is written. The operator writes to `view()`, and after its
    /// success the export calls `finish()`.
    ///
    /// # Safety
    /// `tensor` is NULL or describes memory that is valid for writing during the call.
    pub(crate) unsafe fn output<T: Element>(
        &self,
        name: &str,
        tensor: *const OmmaTensor,
    ) -> Result<Output<'c, T>> {
        // SAFETY: the caller's promise.
        let raw = unsafe { self.raw::<T>(name, tensor)? };
        let op = self.op;
        // SAFETY: writable by the caller's promise; the view is only used when aligned.
        unsafe { ViewMut::from_raw(&format_args!("{op}: {name}"), raw)? };
        let copy = match raw.is_empty() || raw.ptr().is_aligned() {
            true => None,
            false => Some(self.ctx.scratch::<T>(raw.len())?),
        };
        Ok(Output { raw, copy })
    }

    /// A tensor that is written, or NULL.
    ///
    /// # Safety
    /// As [`output`](Call::output).
    pub(crate) unsafe fn optional_output<T: Element>(
        &self,
        name: &str,
        tensor: *const OmmaTensor,
    ) -> Result<Option<Output<'c, T>>> {
        if tensor.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's promise.
        unsafe { self.output(name, tensor) }.map(Some)
    }

    /// A pointer argument that may not be NULL.
    ///
    /// # Safety
    /// `ptr` is NULL or valid for reading during the call.
    pub(crate) unsafe fn required<'a, P>(&self, name: &str, ptr: *const P) -> Result<&'a P> {
        let op = self.op;
        // SAFETY: the caller's promise.
        match unsafe { ptr.as_ref() } {
            Some(value) => Ok(value),
            None => bail!(InvalidArgument, "{op}: {name} is NULL"),
        }
    }

    /// A pointer to one value to be written, not NULL.
    ///
    /// # Safety
    /// `ptr` is NULL or valid for writing during the call.
    pub(crate) unsafe fn out<'a, P>(&self, name: &str, ptr: *mut P) -> Result<&'a mut P> {
        let op = self.op;
        // SAFETY: the caller's promise.
        match unsafe { ptr.as_mut() } {
            Some(value) => Ok(value),
            None => bail!(InvalidArgument, "{op}: {name} is NULL"),
        }
    }
}

/// A tensor that is read: the caller's memory, or an aligned copy of it.
pub(crate) struct Input<'c, T: Element> {
    view: View<'c, T>,
    /// Holds what the view looks at.
    _copy: Option<Scratch<'c, T>>,
}

impl<T: Element> Input<'_, T> {
    /// The array.
    pub(crate) fn view(&self) -> View<'_, T> {
        self.view
    }
}

/// A tensor that is written: the caller's memory, or aligned scratch for it.
pub(crate) struct Output<'c, T: Element> {
    raw: Raw<T>,
    copy: Option<Scratch<'c, T>>,
}

impl<T: Element> Output<'_, T> {
    /// The array to write.
    pub(crate) fn view(&mut self) -> Result<ViewMut<'_, T>> {
        let raw = match &mut self.copy {
            None => self.raw,
            Some(copy) => Raw::new(&"output", copy.as_mut_ptr(), self.raw.shape(), None)?,
        };
        // SAFETY: aligned, writable by the caller's promise or owned scratch.
        unsafe { ViewMut::from_raw(&"output", raw) }
    }

    /// Brings the result to the caller's memory where it is not there yet.
    pub(crate) fn finish(self) -> Result<()> {
        if let Some(copy) = &self.copy {
            // SAFETY: writable at any alignment; the scratch has as many elements.
            unsafe { scatter(copy.as_ptr(), &self.raw) };
        }
        Ok(())
    }

    /// As [`finish`](Output::finish), after an operator that has written only the
    /// first `count` indices of the first axis: the rest keeps what it holds.
    pub(crate) fn finish_first(self, count: usize) -> Result<()> {
        if let Some(copy) = &self.copy {
            let mut shape = [0; MAX_RANK];
            let shape = &mut shape[..self.raw.rank()];
            shape.copy_from_slice(self.raw.shape());
            shape[0] = count.min(shape[0]);
            let raw = Raw::new(&"output", self.raw.ptr(), shape, Some(self.raw.strides()))?;
            // SAFETY: writable at any alignment, a part of the whole; the scratch has as many elements.
            unsafe { scatter(copy.as_ptr(), &raw) };
        }
        Ok(())
    }
}
