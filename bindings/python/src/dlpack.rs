//! Arrays of other libraries, through DLPack.
//!
//! An object with `__dlpack__` hands out a capsule with a managed tensor: the version of the
//! protocol that has flags (`dltensor_versioned`), which is asked for, or the older one. Both
//! hold a `DLTensor`, whose layout is `OmmaTensor`'s, so nothing is converted and nothing copied.

use crate::call::Call;
use omma::capi::{OMMA_INVALID_ARGUMENT, OMMA_UNSUPPORTED, OmmaTensor};
use pyo3::ffi::{PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_SetName};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{CStr, c_void};

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

/// A managed tensor that is ours, until it is dropped.
pub(crate) enum Managed {
    #[allow(private_interfaces)]
    Plain(*mut Plain),
    #[allow(private_interfaces)]
    Versioned(*mut Versioned),
}

impl Managed {
    /// The tensor of an object, or `None` when it has no `__dlpack__`.
    pub(crate) fn of(
        call: &Call<'_>,
        name: &str,
        object: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Managed>> {
        let py = object.py();
        let Ok(export) = object.getattr(intern!(py, "__dlpack__")) else {
            return Ok(None);
        };
        let refused = |error: PyErr| {
            let words = format!("{name} does not give its memory: {}", error.value(py));
            let wrapped = call.error(OMMA_INVALID_ARGUMENT, &words);
            wrapped.set_cause(py, Some(error));
            wrapped
        };
        // Memory of another device would be brought in order for nothing by `__dlpack__`.
        if let Ok(device) = object.call_method0(intern!(py, "__dlpack_device__")) {
            let (kind, _): (i64, i64) = device.extract().map_err(refused)?;
            if !HOST_DEVICES.contains(&kind) {
                let words = format!("{name} is on device type {kind}, expected the CPU (1)");
                return Err(call.error(OMMA_UNSUPPORTED, &words));
            }
        }
        let options = PyDict::new(py);
        options.set_item(intern!(py, "max_version"), (MAJOR, 0))?;
        let capsule = match export.call((), Some(&options)) {
            // Libraries from before the versioned protocol do not know the argument.
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) => {
                export.call0()
            }
            result => result,
        }
        .map_err(refused)?;
        let Some(managed) = Managed::from_capsule(&capsule) else {
            let words = format!("{name} has a __dlpack__ that gives no tensor that is known");
            return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
        };
        if let Managed::Versioned(tensor) = managed {
            // SAFETY: the capsule's tensor, alive until `managed` is dropped.
            let (major, minor) = unsafe { ((*tensor).major, (*tensor).minor) };
            if major != MAJOR {
                let words =
                    format!("{name} gives a tensor of DLPack {major}.{minor}, known is {MAJOR}");
                return Err(call.error(OMMA_UNSUPPORTED, &words));
            }
        }
        Ok(Some(managed))
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

/// Memory that the CPU reads and writes: CPU, CUDA host, ROCm host.
const HOST_DEVICES: [i64; 3] = [1, 3, 11];

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
