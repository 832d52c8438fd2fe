//! Status codes, the last error's words, the guard, and the version.

use crate::error::{Error, Result, Status};
use crate::runtime::{is_quiet, quiet};
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// What a function that can fail returns: `OMMA_OK` or the kind of failure.
pub type OmmaStatus = i32;
/// Success.
pub const OMMA_OK: OmmaStatus = 0;
/// An argument is outside of its domain.
pub const OMMA_INVALID_ARGUMENT: OmmaStatus = 1;
/// The shapes of two arguments do not go together.
pub const OMMA_SHAPE_MISMATCH: OmmaStatus = 2;
/// A legal request that this build or CPU cannot serve.
pub const OMMA_UNSUPPORTED: OmmaStatus = 3;
/// An output has less room than the result needs; where a count is returned, it is the room needed.
pub const OMMA_BUFFER_TOO_SMALL: OmmaStatus = 4;
/// Memory could not be had.
pub const OMMA_OUT_OF_MEMORY: OmmaStatus = 5;
/// A defect of omma.
pub const OMMA_INTERNAL: OmmaStatus = 6;

/// Major version of this header; the soname follows it.
pub const OMMA_VERSION_MAJOR: u32 = 0;
/// Minor version of this header.
pub const OMMA_VERSION_MINOR: u32 = 1;
/// Patch version of this header.
pub const OMMA_VERSION_PATCH: u32 = 0;

/// The version of the library: `major * 10000 + minor * 100 + patch`.
#[unsafe(no_mangle)]
pub extern "C" fn omma_version() -> u32 {
    OMMA_VERSION_MAJOR * 10_000 + OMMA_VERSION_MINOR * 100 + OMMA_VERSION_PATCH
}

/// The name of a status, for example `"OMMA_SHAPE_MISMATCH"`. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn omma_status_name(status: OmmaStatus) -> *const c_char {
    let name = match status {
        OMMA_OK => c"OMMA_OK",
        OMMA_INVALID_ARGUMENT => c"OMMA_INVALID_ARGUMENT",
        OMMA_SHAPE_MISMATCH => c"OMMA_SHAPE_MISMATCH",
        OMMA_UNSUPPORTED => c"OMMA_UNSUPPORTED",
        OMMA_BUFFER_TOO_SMALL => c"OMMA_BUFFER_TOO_SMALL",
        OMMA_OUT_OF_MEMORY => c"OMMA_OUT_OF_MEMORY",
        OMMA_INTERNAL => c"OMMA_INTERNAL",
        _ => c"unknown status",
    };
    name.as_ptr()
}

thread_local! {
    static LAST_ERROR: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// What went wrong in this thread's last failed call, naming the argument and
/// both sides of a mismatch. UTF-8, never NULL, empty before the first
/// failure, valid until the next failure on this thread. A success leaves it.
#[unsafe(no_mangle)]
pub extern "C" fn omma_last_error() -> *const c_char {
    // During the destruction of the thread's storage there is nothing to say.
    LAST_ERROR
        .try_with(|last| {
            last.borrow()
                .as_ref()
                .map_or(c"".as_ptr(), |message| message.as_ptr())
        })
        .unwrap_or(c"".as_ptr())
}

/// Runs the body of an export: an error becomes its status and the thread's
/// last message, a panic becomes `OMMA_INTERNAL` and prints nothing.
pub(crate) fn guard(body: impl FnOnce() -> Result<()>) -> OmmaStatus {
    silence_caught_panics();
    let result = quiet(|| catch_unwind(AssertUnwindSafe(body))).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Err(Error::new(
            Status::Internal,
            format!("defect of omma: {words}"),
        ))
    });
    match result {
        Ok(()) => OMMA_OK,
        Err(error) => {
            // A message with a NUL in it would come from a NUL in the environment's text.
            let message = CString::new(error.message().replace('\0', "?")).ok();
            let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
            error.status() as OmmaStatus
        }
    }
}

/// Panics that the guard will report print nothing; others go to the hook that was there.
fn silence_caught_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_quiet() {
                previous(info);
            }
        }));
    });
}
