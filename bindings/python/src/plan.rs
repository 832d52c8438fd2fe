//! Plans of the C ABI, which are made once, shared by threads and destroyed once.

use crate::call::Call;
use omma::capi::{OmmaContext, OmmaStatus};
use pyo3::prelude::*;
use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

/// A plan.
pub(crate) struct Plan<P> {
    pointer: *mut P,
    destroy: unsafe extern "C" fn(*mut P),
}

// SAFETY: a plan of the C ABI is immutable, any thread may run and destroy it.
unsafe impl<P> Send for Plan<P> {}
// SAFETY: as above.
unsafe impl<P> Sync for Plan<P> {}

impl<P> Plan<P> {
    /// What `create` makes in the slot that it is given.
    ///
    /// # Safety
    /// On success `create` leaves in the slot a plan that `destroy` takes back.
    pub(crate) unsafe fn create(
        call: &Call<'_>,
        destroy: unsafe extern "C" fn(*mut P),
        create: impl FnOnce(*const OmmaContext, *mut *mut P) -> OmmaStatus,
    ) -> PyResult<Plan<P>> {
        let mut pointer = null_mut();
        call.run(|ctx| create(ctx, &mut pointer))?;
        Ok(Plan { pointer, destroy })
    }

    pub(crate) fn pointer(&self) -> *const P {
        self.pointer
    }
}

impl<P> Drop for Plan<P> {
    fn drop(&mut self) {
        // SAFETY: made by the function that belongs to `destroy`; a run borrows the plan.
        unsafe { (self.destroy)(self.pointer) }
    }
}

/// What a `describe` function of the C ABI writes.
pub(crate) fn description(describe: impl FnOnce(*mut c_char, usize)) -> String {
    let mut text = [0u8; 256];
    describe(text.as_mut_ptr().cast(), text.len());
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    text.to_string_lossy().into_owned()
}
