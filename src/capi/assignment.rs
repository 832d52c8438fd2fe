//! Assignment of rows to columns.

use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::cluster::linear_assignment;
use crate::error::bail;
use crate::tensor::DType;

/// Which assignment is best.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaLinearAssignmentParams {
    /// `sizeof(OmmaLinearAssignmentParams)`.
    pub struct_size: u32,
    /// 0 for the least sum of costs, 1 for the largest.
    pub maximize: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaLinearAssignmentParams {}

/// Assigns the rows of `cost` (N, M), f64 or f32, to columns, or columns to rows where these are fewer: of
/// all ways to choose `min(N, M)` entries, no two in one row or column, one with the least sum (the largest, to
/// maximise). The pairs go to `rows` and `cols` (`min(N, M)`) int64, by ascending row, and the sum to
/// `total`, unless that is NULL.
///
/// Plus infinity forbids a pair (minus infinity, to maximise); when every assignment needs such a pair the
/// result is `OMMA_INVALID_ARGUMENT`, and so it is for NaN and the other infinity. Which of several optimal
/// assignments comes out is not specified, and always the same.
///
/// Arithmetic is in f64, for costs of f32, too: sums of whole numbers are the least there are, others but for
/// the rounding of N numbers of the size of the costs that are chosen. Memory is that of a few rows and columns, and
/// a copy of the costs only if neither rows nor columns are runs (or the shorter side is). One thread works.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `total` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_linear_assignment(
    ctx: *const OmmaContext,
    params: *const OmmaLinearAssignmentParams,
    cost: *const OmmaTensor,
    rows: *const OmmaTensor,
    cols: *const OmmaTensor,
    total: *mut f64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, dtype, mut rows, mut cols, total) = unsafe {
            let call = Call::new("linear_assignment", ctx)?;
            (
                call,
                call.params(params)?,
                call.dtype("cost", cost)?,
                call.output("rows", rows)?,
                call.output("cols", cols)?,
                total.as_mut(),
            )
        };
        let maximize = match p.maximize {
            0 => false,
            1 => true,
            other => bail!(
                InvalidArgument,
                "{}: maximize is {other}, expected 0 or 1",
                call.op
            ),
        };
        let found = match dtype {
            DType::F32 => {
                // SAFETY: the caller's pointer.
                let cost = unsafe { call.input::<f32>("cost", cost)? };
                linear_assignment(call.ctx, maximize, cost.view(), rows.view()?, cols.view()?)?
            }
            _ => {
                // SAFETY: the caller's pointer.
                let cost = unsafe { call.input::<f64>("cost", cost)? };
                linear_assignment(call.ctx, maximize, cost.view(), rows.view()?, cols.view()?)?
            }
        };
        if let Some(total) = total {
            *total = found;
        }
        rows.finish()?;
        cols.finish()
    })
}
