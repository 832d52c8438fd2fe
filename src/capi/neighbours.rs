//! Nearest neighbours and matches.

use super::kmeans::metric;
use super::nms::deliver;
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::cluster::{MatchParams, knn, match_descriptors, match_descriptors_binary};
use crate::error::{Result, bail, ensure};
use crate::tensor::DType;

/// In `flags`: `ratio` is set.
pub const OMMA_MATCH_RATIO: u32 = 1;
/// In `flags`: `max_distance` is set.
pub const OMMA_MATCH_MAX_DISTANCE: u32 = 2;

/// What is near.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaKnnParams {
    /// `sizeof(OmmaKnnParams)`.
    pub struct_size: u32,
    /// An `OMMA_METRIC_…`.
    pub metric: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaKnnParams {}

/// Which nearest neighbours are matches.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMatchDescriptorsParams {
    /// `sizeof(OmmaMatchDescriptorsParams)`.
    pub struct_size: u32,
    /// A sum of `OMMA_MATCH_RATIO` and `OMMA_MATCH_MAX_DISTANCE`, or 0.
    pub flags: u32,
    /// 1 for pairs alone that are each other's nearest; else 0.
    pub cross_check: i32,
    /// 0.
    pub reserved: u32,
    /// With `OMMA_MATCH_RATIO`: only pairs closer than this times the distance of the second nearest; positive.
    pub ratio: f64,
    /// With `OMMA_MATCH_MAX_DISTANCE`: only pairs no farther apart; not negative.
    pub max_distance: f64,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaMatchDescriptorsParams {}

fn match_params(op: &str, p: &OmmaMatchDescriptorsParams) -> Result<MatchParams> {
    let known = OMMA_MATCH_RATIO | OMMA_MATCH_MAX_DISTANCE;
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
    Ok(MatchParams {
        cross_check: match p.cross_check {
            0 => false,
            1 => true,
            other => bail!(
                InvalidArgument,
                "{op}: cross_check is {other}, expected 0 or 1"
            ),
        },
        ratio: (p.flags & OMMA_MATCH_RATIO != 0).then_some(p.ratio),
        max_distance: (p.flags & OMMA_MATCH_MAX_DISTANCE != 0).then_some(p.max_distance),
    })
}

/// The k nearest rows of `data` (N, D) for each row of `queries` (Q, D), both f32, by looking at all: their
/// numbers to `indices` (Q, k) int64 and their distances to `distances` (Q, k) f32, the nearest first, equally
/// near ones by number. k is the second dimension of the outputs, from 1 to 1024 and at most N.
///
/// `OMMA_METRIC_INNER_PRODUCT` gives the largest products, descending. `covariance` (D, D), symmetric and positive
/// definite, is for `OMMA_METRIC_MAHALANOBIS` alone and else NULL. The order is that of distances in f64, which
/// are rounded once (Mahalanobis: of rows that were rounded to f32 after whitening). NaN and infinity are errors.
///
/// Distances are never stored: memory beyond inputs and outputs is 12 bytes a result, 4 a row, and what some 200
/// queries and `2 k` candidates of each take, for each thread.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_knn(
    ctx: *const OmmaContext,
    params: *const OmmaKnnParams,
    queries: *const OmmaTensor,
    data: *const OmmaTensor,
    covariance: *const OmmaTensor,
    indices: *const OmmaTensor,
    distances: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, queries, data, covariance, mut indices, mut distances) = unsafe {
            let call = Call::new("knn", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("queries", queries)?,
                call.input("data", data)?,
                call.optional("covariance", covariance)?,
                call.output("indices", indices)?,
                call.output("distances", distances)?,
            )
        };
        knn(
            call.ctx,
            metric(call.op, p.metric)?,
            queries.view(),
            data.view(),
            covariance.as_ref().map(|c| c.view()),
            indices.view()?,
            distances.view()?,
        )?;
        indices.finish()?;
        distances.finish()
    })
}

/// Matches descriptors: for each row of `a` (N, D) the nearest row of `b` (M, D), if it passes all tests of
/// `params`. The pairs (number in a, number in b) go to the first `count` rows of `pairs` (C, 2) int64, by ascending
/// number in a, and their distances to those of `distances` (C) f32.
///
/// f32 descriptors are compared by Euclidean distance; uint8 ones, of up to 4095 bytes, are strings of bits (ORB,
/// BRIEF, AKAZE) and compared by Hamming distance. Of equally near ones the first is the nearest. The ratio test is
/// on distances, not on their squares, and passes where `b` has one row. NaN and infinity are errors.
///
/// When the outputs, which are equally long, are too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the
/// length needed, and nothing else is written. N always suffices.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `count` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_match_descriptors(
    ctx: *const OmmaContext,
    params: *const OmmaMatchDescriptorsParams,
    a: *const OmmaTensor,
    b: *const OmmaTensor,
    pairs: *const OmmaTensor,
    distances: *const OmmaTensor,
    count: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, dtype, mut pairs, mut distances, count) = unsafe {
            let call = Call::new("match_descriptors", ctx)?;
            (
                call,
                call.params(params)?,
                call.dtype("a", a)?,
                call.output("pairs", pairs)?,
                call.output("distances", distances)?,
                call.out("count", count)?,
            )
        };
        let p = match_params(call.op, &p)?;
        let mut found = 0;
        let (ctx, to) = (call.ctx, (pairs.view()?, distances.view()?));
        let result = match dtype {
            DType::U8 => {
                // SAFETY: the caller's pointers.
                let (a, b) = unsafe { (call.input("a", a)?, call.input("b", b)?) };
                match_descriptors_binary(ctx, &p, a.view(), b.view(), to.0, to.1, &mut found)
            }
            _ => {
                // SAFETY: the caller's pointers.
                let (a, b) = unsafe { (call.input("a", a)?, call.input("b", b)?) };
                match_descriptors(ctx, &p, a.view(), b.view(), to.0, to.1, &mut found)
            }
        };
        deliver(result, found, count)?;
        pairs.finish_first(found)?;
        distances.finish_first(found)
    })
}
