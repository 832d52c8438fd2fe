//! Mean shift.

use super::nms::deliver;
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::cluster::{MeanShiftKernel, MeanShiftParams, mean_shift};
use crate::error::{Result, bail, ensure};

/// Points within the bandwidth count as one.
pub const OMMA_MEAN_SHIFT_FLAT: i32 = 0;
/// A point at distance r counts as `exp(-r² / (2 bandwidth²))`, as nothing from 8 bandwidths on.
pub const OMMA_MEAN_SHIFT_GAUSSIAN: i32 = 1;

/// In `flags`: seeds are the places of a lattice, one bandwidth apart, that points round to.
pub const OMMA_MEAN_SHIFT_BIN_SEEDING: u32 = 1;
/// In `flags`: points farther than the bandwidth from every centre get the label -1.
pub const OMMA_MEAN_SHIFT_ORPHANS: u32 = 2;

/// How to look for modes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMeanShiftParams {
    /// `sizeof(OmmaMeanShiftParams)`.
    pub struct_size: u32,
    /// A sum of `OMMA_MEAN_SHIFT_BIN_SEEDING` and `OMMA_MEAN_SHIFT_ORPHANS`, or 0.
    pub flags: u32,
    /// The radius of the flat kernel, the standard deviation of the Gaussian one; positive.
    pub bandwidth: f64,
    /// `OMMA_MEAN_SHIFT_FLAT` or `OMMA_MEAN_SHIFT_GAUSSIAN`.
    pub kernel: i32,
    /// 0.
    pub reserved: u32,
    /// Points that must round to a place of the lattice to make it a seed; 0 means 1.
    pub min_bin_freq: i64,
    /// A seed moves that often at most, and once more; 0 means 300.
    pub max_iterations: i64,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaMeanShiftParams {}

fn mean_shift_params(op: &str, p: &OmmaMeanShiftParams) -> Result<MeanShiftParams> {
    let known = OMMA_MEAN_SHIFT_BIN_SEEDING | OMMA_MEAN_SHIFT_ORPHANS;
    ensure!(
        p.flags & !known == 0,
        InvalidArgument,
        "{op}: flags is {:#x}, known is {known:#x}",
        p.flags
    );
    ensure!(
        p.reserved == 0,
        InvalidArgument,
        "{op}: reserved is {}, expected 0",
        p.reserved
    );
    let count = |name: &str, value: i64, default: usize| match usize::try_from(value) {
        Ok(0) => Ok(default),
        Ok(value) => Ok(value),
        Err(_) => bail!(InvalidArgument, "{op}: {name} is {value}"),
    };
    Ok(MeanShiftParams {
        bandwidth: p.bandwidth,
        kernel: match p.kernel {
            OMMA_MEAN_SHIFT_FLAT => MeanShiftKernel::Flat,
            OMMA_MEAN_SHIFT_GAUSSIAN => MeanShiftKernel::Gaussian,
            other => bail!(
                InvalidArgument,
                "{op}: kernel is {other}, expected OMMA_MEAN_SHIFT_FLAT or OMMA_MEAN_SHIFT_GAUSSIAN"
            ),
        },
        bin_seeding: p.flags & OMMA_MEAN_SHIFT_BIN_SEEDING != 0,
        min_bin_freq: count("min_bin_freq", p.min_bin_freq, 1)?,
        cluster_all: p.flags & OMMA_MEAN_SHIFT_ORPHANS == 0,
        max_iterations: count("max_iterations", p.max_iterations, 300)?,
    })
}

/// Mean shift clustering of `x` (N, D) f32: each seed moves to the (weighted) mean of the points around it until
/// it moves by no more than a thousandth of the bandwidth. Centres go to the first `count` rows of `centers` (C, D)
/// f32, and the number of the nearest one to `labels` (N) int64. Seeds are `seeds` (S, D) f32 if not NULL, or the
/// lattice of `OMMA_MEAN_SHIFT_BIN_SEEDING`, or `x`.
///
/// Results are those of scikit-learn's `MeanShift`: centres are ordered by the number of points (the sum of weights)
/// around them, then by coordinates, descending, and of centres closer than the bandwidth the first remains.
/// Arithmetic is in f64. NaN and infinity are errors, and so is it when no point is within reach of any seed.
///
/// When `centers` is too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the number of rows
/// needed, and nothing else is written. As many as there are seeds always suffice.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `count` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_mean_shift(
    ctx: *const OmmaContext,
    params: *const OmmaMeanShiftParams,
    x: *const OmmaTensor,
    seeds: *const OmmaTensor,
    labels: *const OmmaTensor,
    centers: *const OmmaTensor,
    count: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, seeds, mut labels, mut centers, count) = unsafe {
            let call = Call::new("mean_shift", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("x", x)?,
                call.optional("seeds", seeds)?,
                call.output("labels", labels)?,
                call.output("centers", centers)?,
                call.out("count", count)?,
            )
        };
        let p = mean_shift_params(call.op, &p)?;
        let mut found = 0;
        let result = mean_shift(
            call.ctx,
            &p,
            x.view(),
            seeds.as_ref().map(|s| s.view()),
            labels.view()?,
            centers.view()?,
            &mut found,
        );
        deliver(result, found, count)?;
        labels.finish()?;
        centers.finish_first(found)
    })
}
