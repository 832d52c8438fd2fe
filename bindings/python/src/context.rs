//! Contexts: threads and instruction set.
//!
//! Operators that are given no `ctx` share one context of the process, made when it is first
//! needed, with a thread for every core.

use crate::call::Call;
use omma::capi::{self, OMMA_INVALID_ARGUMENT, OmmaContext, OmmaContextOptions};
use pyo3::prelude::*;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};

const TIERS: [(&str, i32); 4] = [
    ("portable", capi::OMMA_ISA_PORTABLE),
    ("neon", capi::OMMA_ISA_NEON),
    ("avx2", capi::OMMA_ISA_AVX2),
    ("avx512", capi::OMMA_ISA_AVX512),
];

/// A context of the C ABI.
pub(crate) struct Handle(*mut OmmaContext);

// SAFETY: the C ABI's contexts may be used by several threads at once and destroyed by any.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// The context of calls that name none. It is only locked for a copy of the pointer while Python is
/// attached, so a fork, which takes place attached, never finds it locked.
static PROCESS: Mutex<Option<Arc<Handle>>> = Mutex::new(None);

impl Handle {
    fn new(call: &Call<'_>, num_threads: i32, max_isa: i32) -> PyResult<Arc<Handle>> {
        let options = OmmaContextOptions {
            struct_size: size_of::<OmmaContextOptions>() as u32,
            num_threads,
            max_isa,
            flags: 0,
            parallel_for: None,
            parallel_for_user: null_mut(),
            allocate: None,
            deallocate: None,
            allocator_user: null_mut(),
        };
        let mut context = null_mut();
        // SAFETY: both point to values of their type.
        call.check(unsafe { capi::omma_context_create(&options, &mut context) })?;
        Ok(Arc::new(Handle(context)))
    }

    /// The context of calls that name none.
    pub(crate) fn of_process(call: &Call<'_>) -> PyResult<Arc<Handle>> {
        let process = || PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = process().clone();
        if let Some(handle) = known {
            return Ok(handle);
        }
        // Not under the lock: an error is a Python object, and making one runs Python.
        let handle = Handle::new(call, 0, capi::OMMA_ISA_DEFAULT)?;
        Ok(process().get_or_insert(handle).clone())
    }

    pub(crate) fn pointer(&self) -> *const OmmaContext {
        self.0
    }

    fn num_threads(&self) -> i32 {
        // SAFETY: alive as long as `self`.
        unsafe { capi::omma_context_num_threads(self.0) }
    }

    fn scratch_bytes(&self) -> usize {
        // SAFETY: alive as long as `self`.
        unsafe { capi::omma_context_scratch_bytes(self.0) }
    }

    fn isa(&self) -> String {
        // SAFETY: alive as long as `self`; the name is static.
        let name = unsafe { CStr::from_ptr(capi::omma_isa_name(capi::omma_context_isa(self.0))) };
        name.to_string_lossy().into_owned()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by `omma_context_create`; whoever uses it holds an `Arc`.
        unsafe { capi::omma_context_destroy(self.0) }
    }
}

/// Threads, instruction set and scratch memory of a run of operators.
///
/// Pass it as ``ctx=``. Several Python threads may use one context at once, and it works after
/// ``fork`` in the child.
///
/// Parameters
/// ----------
/// num_threads : int
///     Threads that work at once; 0 is the number of cores, 1 starts none.
/// max_isa : str, optional
///     The fastest instruction set to use: ``"portable"``, ``"neon"``, ``"avx2"``, ``"avx512"``.
///     One that the CPU lacks is an error. The environment variable ``OMMA_MAX_ISA`` lowers the
///     instruction set of every context.
///
/// Used in a ``with`` statement it is closed at the end.
///
/// Examples
/// --------
/// >>> import omma
/// >>> with omma.Context(num_threads=1, max_isa="portable") as ctx:
/// ...     print(ctx.isa, ctx.num_threads, omma.relu([-1, 2], ctx=ctx))
/// portable 1 [0. 2.]
#[pyclass(frozen, module = "omma")]
pub(crate) struct Context {
    handle: Mutex<Option<Arc<Handle>>>,
}

impl Context {
    /// The context, unless it is closed.
    pub(crate) fn handle(&self, call: &Call<'_>) -> PyResult<Arc<Handle>> {
        let handle = self
            .handle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        handle.ok_or_else(|| call.error(OMMA_INVALID_ARGUMENT, "ctx is closed"))
    }
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (*, num_threads=0, max_isa=None))]
    fn new(py: Python<'_>, num_threads: i64, max_isa: Option<&str>) -> PyResult<Context> {
        let call = Call::without_context(py, "Context");
        let max_isa = match max_isa {
            Some(name) => call.choice("max_isa", name, &TIERS)?,
            None => capi::OMMA_ISA_DEFAULT,
        };
        let num_threads = call.number("num_threads", num_threads, 0)?;
        Ok(Context {
            handle: Mutex::new(Some(Handle::new(&call, num_threads, max_isa)?)),
        })
    }

    /// How many threads work at once.
    #[getter]
    fn num_threads(&self, py: Python<'_>) -> PyResult<i32> {
        let call = Call::without_context(py, "Context.num_threads");
        Ok(self.handle(&call)?.num_threads())
    }

    /// Bytes of scratch memory held: what running calls borrow, and what is kept for later ones.
    /// After the first call on a new context, all the memory which this call used beyond its
    /// inputs, outputs and plan.
    #[getter]
    fn scratch_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        let call = Call::without_context(py, "Context.scratch_bytes");
        Ok(self.handle(&call)?.scratch_bytes())
    }

    /// The name of the instruction set in use.
    #[getter]
    fn isa(&self, py: Python<'_>) -> PyResult<String> {
        let call = Call::without_context(py, "Context.isa");
        Ok(self.handle(&call)?.isa())
    }

    /// Ends the threads and frees the memory, after the calls that run. Any later use is an error.
    fn close(&self) {
        let handle = self
            .handle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(handle);
    }

    fn __enter__(slf: Bound<'_, Context>) -> Bound<'_, Context> {
        slf
    }

    fn __exit__(
        &self,
        _exc_type: &Bound<'_, PyAny>,
        _exc_value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close();
    }

    fn __repr__(&self) -> String {
        match &*self.handle.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(handle) => format!(
                "<omma.Context num_threads={} isa={}>",
                handle.num_threads(),
                handle.isa()
            ),
            None => "<omma.Context closed>".into(),
        }
    }
}

/// Sets how many threads calls without ``ctx=`` use.
///
/// Parameters
/// ----------
/// num_threads : int
///     Threads that work at once; 0 is the number of cores, 1 starts none.
///
/// Calls that run keep what they have.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.set_num_threads(2)
/// >>> omma.get_num_threads()
/// 2
/// >>> omma.set_num_threads(0)
#[pyfunction]
pub(crate) fn set_num_threads(py: Python<'_>, num_threads: i64) -> PyResult<()> {
    let call = Call::without_context(py, "set_num_threads");
    let num_threads = call.number("num_threads", num_threads, 0)?;
    let handle = Handle::new(&call, num_threads, capi::OMMA_ISA_DEFAULT)?;
    let previous = PROCESS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .replace(handle);
    drop(previous);
    Ok(())
}

/// How many threads calls without ``ctx=`` use.
#[pyfunction]
pub(crate) fn get_num_threads(py: Python<'_>) -> PyResult<i32> {
    let call = Call::without_context(py, "get_num_threads");
    Ok(Handle::of_process(&call)?.num_threads())
}

/// The name of the instruction set that calls without ``ctx=`` use: ``"portable"``, ``"neon"``,
/// ``"avx2"`` or ``"avx512"``.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.isa() in ("portable", "neon", "avx2", "avx512")
/// True
#[pyfunction]
pub(crate) fn isa(py: Python<'_>) -> PyResult<String> {
    Ok(Handle::of_process(&Call::without_context(py, "isa"))?.isa())
}

/// Whether this CPU has an instruction set.
///
/// Parameters
/// ----------
/// name : ``"portable"``, ``"neon"``, ``"avx2"`` or ``"avx512"``
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.isa_available("portable")
/// True
#[pyfunction]
pub(crate) fn isa_available(py: Python<'_>, name: &str) -> PyResult<bool> {
    let number = Call::without_context(py, "isa_available").choice("name", name, &TIERS)?;
    Ok(capi::omma_isa_available(number) != 0)
}

/// The version of the library, as the C ABI numbers it.
pub(crate) fn version() -> String {
    let version = capi::omma_version();
    format!(
        "{}.{}.{}",
        version / 10_000,
        version / 100 % 100,
        version % 100
    )
}
