//! Arrays of other libraries, through DLPack.
//!
//! An object with `__dlpack__` hands out a capsule with a managed tensor: the version of the
//! protocol that has flags (`dltensor_versioned`), which is asked for, or the older one. Both
//! hold a `DLTensor`, whose layout is `OmmaTensor`'s, so nothing is converted and nothing copied.
//!
//! A type with `__dlpack_c_exchange_api__` has a table of C functions, one of which gives the same
//! tensor without the detour through Python: for torch a tenth of the time.

use crate::call::Call;
use omma::capi::{OMMA_INVALID_ARGUMENT, OMMA_UNSUPPORTED, OmmaTensor};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError};
use pyo3::ffi::{PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_SetName, PyObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;

const PLAIN: (&CStr, &CStr) = (c"dltensor", c"used_dltensor");
const VERSIONED: (&CStr, &CStr) = (c"dltensor_versioned", c"used_dltensor_versioned");
/// The major version whose layout is known; the minor ones only add meanings.
const MAJOR: u32 = 1;
/// In the flags of a versioned tensor: it must not be written.
const READ_ONLY: u64 = 1;

/// `DLManagedTensor`.
#[repr(C)]
struct Plain {
    tensor: OmmaTensor,
    manager: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Plain)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    manager: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    tensor: OmmaTensor,
}

/// The beginning of `DLPackExchangeAPI`.
#[repr(C)]
struct ExchangeApi {
    major: u32,
    minor: u32,
    previous: *const c_void,
    allocate: *const c_void,
    export: Option<unsafe extern "C" fn(*mut PyObject, *mut *mut Versioned) -> c_int>,
}

/// A managed tensor that is ours, until it is dropped.
pub(crate) enum Managed {
    #[allow(private_interfaces)]
    Plain(*mut Plain),
    #[allow(private_interfaces)]
    Versioned(*mut Versioned),
}

impl Managed {
    /// The tensor of an object, or `None` when it has none to give.
    pub(crate) fn of(
        call: &Call<'_>,
        name: &str,
        object: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Managed>> {
        let py = object.py();
        let refused = |error: PyErr| {
            // The first line: some libraries add a trace of their own.
            let reason = error.value(py).to_string();
            let reason = reason.lines().next().unwrap_or_default();
            let words = format!("{name} does not give its memory: {reason}");
            let wrapped = call.error(OMMA_INVALID_ARGUMENT, &words);
            wrapped.set_cause(py, Some(error));
            wrapped
        };
        let managed = match Managed::exchanged(object).map_err(refused)? {
            Some(managed) => managed,
            None => {
                let Ok(export) = object.getattr(intern!(py, "__dlpack__")) else {
                    return Ok(None);
                };
                let capsule = exported(&export).map_err(refused)?;
                let Some(managed) = Managed::from_capsule(&capsule) else {
                    let words = format!("{name} has a __dlpack__ that gives no tensor");
                    return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
                };
                managed
            }
        };
        if let Managed::Versioned(tensor) = managed {
            // SAFETY: alive until `managed` is dropped; every version begins with its number.
            let (major, minor) = unsafe { ((*tensor).major, (*tensor).minor) };
            if major != MAJOR {
                let words =
                    format!("{name} gives a tensor of DLPack {major}.{minor}, known is {MAJOR}");
                return Err(call.error(OMMA_UNSUPPORTED, &words));
            }
        }
        Ok(Some(managed))
    }

    /// The tensor of an object whose type has the table of C functions.
    fn exchanged(object: &Bound<'_, PyAny>) -> PyResult<Option<Managed>> {
        let py = object.py();
        let attribute = intern!(py, "__dlpack_c_exchange_api__");
        let Some(table) = object.get_type().getattr_opt(attribute)? else {
            return Ok(None);
        };
        let name = c"dlpack_exchange_api".as_ptr();
        // SAFETY: both functions take any object. A capsule of that name holds the table of the
        // type, for as long as the process lives; whatever its version it begins with the version.
        let export = unsafe {
            if PyCapsule_IsValid(table.as_ptr(), name) == 0 {
                return Ok(None);
            }
            let table = PyCapsule_GetPointer(table.as_ptr(), name).cast::<ExchangeApi>();
            match (*table).major == MAJOR {
                true => (*table).export,
                false => None,
            }
        };
        let Some(export) = export else {
            return Ok(None);
        };
        let mut managed = null_mut();
        // SAFETY: an object of the table's type, and a place to write.
        let status = unsafe { export(object.as_ptr(), &mut managed) };
        if status != 0 || managed.is_null() {
            return Err(PyErr::fetch(py));
        }
        Ok(Some(Managed::Versioned(managed)))
    }

    /// Takes the tensor out of a capsule, which is marked as used. `None` when it holds none.
    fn from_capsule(capsule: &Bound<'_, PyAny>) -> Option<Managed> {
        let take = |(name, used): (&CStr, &'static CStr)| {
            // SAFETY: both functions take any object; a pointer is asked for under the name that
            // the capsule has, and the new name is static.
            unsafe {
                if PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) == 0 {
                    return None;
                }
                let pointer = PyCapsule_GetPointer(capsule.as_ptr(), name.as_ptr());
                PyCapsule_SetName(capsule.as_ptr(), used.as_ptr());
                Some(pointer)
            }
        };
        match take(VERSIONED) {
            Some(pointer) => Some(Managed::Versioned(pointer.cast())),
            None => take(PLAIN).map(|pointer| Managed::Plain(pointer.cast())),
        }
    }

    /// The tensor; what it points to lives as long as `self`.
    pub(crate) fn tensor(&self) -> OmmaTensor {
        // SAFETY: alive until the deleter is called.
        unsafe {
            match *self {
                Managed::Plain(managed) => (*managed).tensor,
                Managed::Versioned(managed) => (*managed).tensor,
            }
        }
    }

    /// Whether the owner forbids writing. The older protocol cannot say.
    pub(crate) fn is_read_only(&self) -> bool {
        match *self {
            Managed::Plain(_) => false,
            // SAFETY: alive until the deleter is called.
            Managed::Versioned(managed) => unsafe { (*managed).flags & READ_ONLY != 0 },
        }
    }
}

/// What `__dlpack__` gives, in the version with flags where it knows that.
fn exported<'py>(export: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = export.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "max_version"), (MAJOR, 0))?;
    match export.call((), Some(&options)) {
        // Libraries from before the versioned protocol do not know the argument, or know it alone.
        Err(error)
            if error.is_instance_of::<PyTypeError>(py)
                || error.is_instance_of::<PyNotImplementedError>(py) =>
        {
            export.call0()
        }
        result => result,
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        // SAFETY: the capsule gave up the tensor to `self`; nobody uses it after this.
        unsafe {
            match *self {
                Managed::Plain(managed) => {
                    if let Some(delete) = (*managed).deleter {
                        delete(managed);
                    }
                }
                Managed::Versioned(managed) => {
                    if let Some(delete) = (*managed).deleter {
                        delete(managed);
                    }
                }
            }
        }
    }
}
