//! Many rows: queries in the lanes.
//!
//! A *panel* is as many rows as a register tile is wide, transposed: element `c` of all its
//! queries is one step. Then both products are one loop. Logits are `K · Qᵀ`: a few keys at
//! a time are broadcast against the panel of queries; the output is `Vᵀ · P`, a few columns
//! of V broadcast against the panel of weights. So keys and values are read where they lie
//! and as they lie, nothing of them is packed; the weights come out of the exponential in
//! the very layout in which the second product wants them; and maximum, sum and correction of
//! a row are vertical operations on vectors of rows, without a single shuffle.
//!
//! Keys are taken in tiles that stay in the nearest caches for all panels of the task.

use super::problem::{Part, Problem, base_of, masked};
use crate::simd::{MAX_LANES, Simd, Tier, math};

/// Sizes of one tier.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Keys, or columns of V, that are broadcast at once: rows of the register tile.
    broadcast: usize,
    /// Rows of a panel: two vectors, the columns of the register tile.
    pub width: usize,
    /// The most keys of a tile, a multiple of `broadcast`.
    pub keys: usize,
}

/// The most rows of a panel of any tier.
const MOST: usize = 2 * MAX_LANES;

pub(super) const fn sizes(tier: Tier) -> Sizes {
    let (broadcast, width, keys) = match tier {
        Tier::Portable => (4, 8, 96),
        Tier::Neon => (8, 8, 96),
        Tier::Avx2 => (6, 16, 96),
        Tier::Avx512 => (14, 32, 98),
    };
    Sizes {
        broadcast,
        width,
        keys,
    }
}

/// Where the parts of a task's scratch are.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Rows, padded to whole panels.
    rows: usize,
    queries: usize,
    weights: usize,
    mask: usize,
    pub len: usize,
}

impl Room {
    pub fn new(tier: Tier, p: &Problem<'_>, rows: usize) -> Room {
        let size = sizes(tier);
        let rows = rows.next_multiple_of(size.width);
        let keys = size.keys.next_multiple_of(MAX_LANES) + MAX_LANES;
        let mask = if p.mask.is_some() { 2 } else { 0 } * keys * size.width;
        let staged = stages(p).0 * size.keys * p.dim() + stages(p).1 * size.keys * p.value_dim();
        let (queries, weights) = (rows * p.dim(), keys * size.width);
        Room {
            rows,
            queries,
            weights,
            mask,
            len: queries + weights + mask + staged,
        }
    }
}

/// Floats of the result of `rows` rows: outputs not yet divided by the sum, maxima, sums.
pub(super) fn result_len(tier: Tier, p: &Problem<'_>, rows: usize) -> usize {
    rows.next_multiple_of(sizes(tier).width) * (p.value_dim() + 2)
}

/// 1 for keys and for values whose elements are not neighbours: tiles of them are copied.
fn stages(p: &Problem<'_>) -> (usize, usize) {
    let stage = |dim: usize, stride: isize| usize::from(dim > 1 && stride != 1);
    (
        stage(p.dim(), p.k.stride(3)),
        stage(p.value_dim(), p.v.stride(3)),
    )
}

/// Some consecutive keys or values, elements next to each other.
#[derive(Clone, Copy)]
struct Lines {
    ptr: *const f32,
    stride: isize,
}

/// The rows of `part` over its keys. `result` becomes the outputs (as panels, not yet divided by the
/// sums), the maxima and the sums.
///
/// # Safety
/// `scratch` is of [`Room`], `result` of [`result_len`].
#[inline(always)]
pub(super) unsafe fn attend<S: Simd>(
    simd: S,
    p: &Problem<'_>,
    part: &Part,
    scratch: &mut [f32],
    result: &mut [f32],
) {
    let size = const { sizes(S::TIER) };
    let room = Room::new(S::TIER, p, part.rows.len());
    assert!(result.len() >= room.rows * (p.value_dim() + 2));
    // Of the largest block's scratch what this one needs: what is no stage has to be empty.
    let (queries, rest) = scratch[..room.len].split_at_mut(room.queries);
    let (weights, rest) = rest.split_at_mut(room.weights);
    let (mask, rest) = rest.split_at_mut(room.mask);
    let (for_keys, for_values) = rest.split_at_mut(stages(p).0 * size.keys * p.dim());
    let (out, state) = result.split_at_mut(room.rows * p.value_dim());
    let (max, sum) = state.split_at_mut(room.rows);
    out.fill(0.0);
    max.fill(f32::NEG_INFINITY);
    sum[..room.rows].fill(0.0);

    let panels = room.rows / size.width;
    for panel in 0..panels {
        let first = part.rows.start + panel * size.width;
        let count = size.width.min(part.rows.end - first);
        // SAFETY: the panel's part of `queries`.
        unsafe {
            pack(
                simd,
                p,
                part,
                first,
                count,
                &mut queries[panel * size.width * p.dim()..],
            )
        };
    }

    let end = part.keys.end.min(p.reach(part.rows.clone()));
    let mut start = part.keys.start;
    // As few tiles as can be, and none that is short.
    let len = end.saturating_sub(start);
    let tile = len.div_ceil(len.div_ceil(size.keys).max(1));
    let tile = tile.next_multiple_of(size.broadcast);
    while start < end {
        let count = tile.min(end - start);
        // SAFETY: keys and values of the call; a stage has room for a tile.
        let (keys, values) = unsafe {
            (
                lines(
                    p.key(part, start),
                    p.k.stride(2),
                    p.k.stride(3),
                    count,
                    p.dim(),
                    for_keys,
                ),
                lines(
                    p.value(part, start),
                    p.v.stride(2),
                    p.v.stride(3),
                    count,
                    p.value_dim(),
                    for_values,
                ),
            )
        };
        let mut finite = None;
        for panel in 0..panels {
            let first = part.rows.start + panel * size.width;
            let rows = first..part.rows.end.min(first + size.width);
            let reach = p.reach(rows.clone());
            if reach <= start {
                continue;
            }
            let seen = count.min(reach - start);
            let causal = p.causal.is_some() && rows.clone().any(|row| p.limit(row) < start + seen);
            let hides = causal || p.mask.is_some();
            // A hidden key has weight zero, but zero times infinity is not zero.
            if hides && finite.is_none() {
                // SAFETY: the values of the tile.
                finite = Some(unsafe { all_finite(simd, values, count, p.value_dim()) });
            }
            let exact = hides && finite == Some(false);
            let vectors = rows.len().div_ceil(S::LANES);
            let step = Step {
                p,
                part,
                first,
                rows: rows.len(),
                start,
                keys,
                values,
                count: seen,
                causal,
                exact,
                queries: queries[panel * size.width * p.dim()..].as_ptr(),
                weights: weights.as_mut_ptr(),
                mask: mask.as_mut_ptr(),
                out: out[panel * size.width * p.value_dim()..].as_mut_ptr(),
                max: max[panel * size.width..].as_mut_ptr(),
                sum: sum[panel * size.width..].as_mut_ptr(),
            };
            // SAFETY: everything of the step is of this panel and this tile.
            unsafe {
                if vectors == 1 {
                    advance::<S, 1>(simd, &step);
                } else {
                    advance::<S, 2>(simd, &step);
                }
            }
        }
        start += count;
    }
}

/// A tile of keys and a panel of rows.
struct Step<'a> {
    p: &'a Problem<'a>,
    part: &'a Part,
    /// The first row, and how many are in use.
    first: usize,
    rows: usize,
    /// The first key, and how many.
    start: usize,
    keys: Lines,
    values: Lines,
    count: usize,
    /// Some row does not see all of these keys.
    causal: bool,
    /// Values of hidden keys must not be touched.
    exact: bool,
    queries: *const f32,
    weights: *mut f32,
    mask: *mut f32,
    out: *mut f32,
    max: *mut f32,
    sum: *mut f32,
}

/// Rows of a panel that is `vectors` wide, transposed and scaled.
///
/// # Safety
/// `count` rows from `first` on are the task's, `dst` has room for the panel.
#[inline(always)]
unsafe fn pack<S: Simd>(
    simd: S,
    p: &Problem<'_>,
    part: &Part,
    first: usize,
    count: usize,
    dst: &mut [f32],
) {
    let (dim, step) = (p.dim(), p.q.stride(3));
    let width = count.div_ceil(S::LANES) * S::LANES;
    let dst = &mut dst[..width * dim];
    let squares = if step == 1 { dim / S::LANES } else { 0 };
    for lane in (0..width).step_by(S::LANES) {
        // Lanes without a row repeat the last one: what they compute is never looked at.
        let mut rows = [std::ptr::null(); MAX_LANES];
        for (i, row) in rows.iter_mut().enumerate().take(S::LANES) {
            *row = p.query(part, first + (lane + i).min(count - 1));
        }
        for square in 0..squares {
            let at = square * S::LANES;
            let mut from = rows;
            for row in from.iter_mut().take(S::LANES) {
                *row = row.wrapping_add(at);
            }
            // SAFETY: `LANES` elements of each row; as many steps of the panel.
            unsafe { simd.transpose_ptr(&from, dst.as_mut_ptr().add(at * width + lane), width) };
        }
        for c in squares * S::LANES..dim {
            for (i, row) in rows.iter().enumerate().take(S::LANES) {
                // SAFETY: an element of the row.
                dst[c * width + lane + i] = unsafe { *row.offset(c as isize * step) };
            }
        }
    }
    let scale = simd.splat(p.scale);
    for at in dst.chunks_exact_mut(S::LANES) {
        simd.store(at, simd.mul(simd.load(at), scale));
    }
}

/// Lines where they lie, or a copy of them in `stage` when their elements are not neighbours.
///
/// # Safety
/// `count` lines of `dim` elements are readable; `stage` has room for them or is empty.
#[inline(always)]
unsafe fn lines(
    ptr: *const f32,
    stride: isize,
    step: isize,
    count: usize,
    dim: usize,
    stage: &mut [f32],
) -> Lines {
    if stage.is_empty() {
        return Lines { ptr, stride };
    }
    for (line, to) in stage.chunks_exact_mut(dim.max(1)).take(count).enumerate() {
        let from = ptr.wrapping_offset(line as isize * stride);
        for (c, to) in to.iter_mut().enumerate() {
            // SAFETY: an element of the line.
            *to = unsafe { *from.offset(c as isize * step) };
        }
    }
    Lines {
        ptr: stage.as_ptr(),
        stride: dim as isize,
    }
}

/// True when no element is infinite or NaN.
///
/// # Safety
/// `count` lines of `dim` elements are readable.
#[inline(always)]
unsafe fn all_finite<S: Simd>(simd: S, lines: Lines, count: usize, dim: usize) -> bool {
    let mut products = simd.zero();
    for line in 0..count as isize {
        let line = lines.ptr.wrapping_offset(line * lines.stride);
        let mut at = 0;
        while at < dim {
            // SAFETY: elements of the line.
            let x = unsafe { simd.load_partial_ptr(line.add(at), dim - at) };
            products = simd.fma(x, simd.zero(), products);
            at += S::LANES;
        }
    }
    simd.all(simd.eq(products, simd.zero()))
}

/// Runs `$body` with `$rows` as a constant over pieces of `$count`, the largest that the tier's
/// register tile has first. `$at` is where a piece begins.
macro_rules! pieces {
    ($most:expr, $at:ident .. $count:expr, $rows:ident => $body:expr) => {
        pieces!(@ $most, $at, $count, $rows, $body, 14, 8, 6, 4, 2, 1)
    };
    (@ $most:expr, $at:ident, $count:expr, $rows:ident, $body:expr, $($size:literal),*) => {
        let mut $at = 0;
        $(
            // The tier's own size, and what fills the rest of one.
            if $size == $most || $size <= 4 || ($size == 8 && $most == 14) {
                const $rows: usize = $size;
                while $count - $at >= $size {
                    $body;
                    $at += $size;
                }
            }
        )*
    };
}

/// One step of the online softmax: `V` vectors of rows go on by a tile of keys.
///
/// # Safety
/// As [`attend`]; the pointers of `s` are to the panel's queries, outputs, maxima and sums and
/// to room for a tile of weights and of masks.
#[inline(always)]
unsafe fn advance<S: Simd, const V: usize>(simd: S, s: &Step<'_>) {
    let width = V * S::LANES;
    let size = const { sizes(S::TIER) };
    let p = s.p;
    // SAFETY: a tile of weights has a vector of rows per key; the panel has `width` rows.
    unsafe {
        let mut best = [simd.splat(f32::NEG_INFINITY); V];
        let dim = p.dim();
        pieces!(size.broadcast, key .. s.count, ROWS => {
            let keys = s.keys.ptr.wrapping_offset(key as isize * s.keys.stride);
            let tile = products::<S, ROWS, V>(simd, keys, s.keys.stride, s.queries, dim);
            for r in 0..ROWS {
                for v in 0..V {
                    best[v] = simd.max(tile[r][v], best[v]);
                    simd.store_ptr(s.weights.add((key + r) * width + v * S::LANES), tile[r][v]);
                }
            }
        });
        if s.causal || p.mask.is_some() || p.cap.is_some() {
            best = hide::<S, V>(simd, s);
        }

        let mut base = [simd.zero(); V];
        let mut correction = [simd.zero(); V];
        let mut sum = [simd.zero(); V];
        for v in 0..V {
            let old = simd.load_ptr(s.max.add(v * S::LANES));
            let new = simd.max(best[v], old);
            simd.store_ptr(s.max.add(v * S::LANES), new);
            base[v] = base_of(simd, new);
            correction[v] = math::exp_nonpositive(simd, simd.sub(old, base[v]));
        }
        for key in 0..s.count {
            for v in 0..V {
                let at = s.weights.add(key * width + v * S::LANES);
                let e = math::exp_nonpositive(simd, simd.sub(simd.load_ptr(at), base[v]));
                sum[v] = simd.add(sum[v], e);
                simd.store_ptr(at, e);
            }
        }
        for v in 0..V {
            let at = s.sum.add(v * S::LANES);
            let old = simd.load_ptr(at);
            simd.store_ptr(at, simd.fma(old, correction[v], sum[v]));
        }

        let columns = p.value_dim();
        if s.exact {
            for c in 0..columns {
                let values = s.values.ptr.add(c);
                let out = s.out.add(c * width);
                visible_sums::<S, V>(simd, s, values, correction, out);
            }
            return;
        }
        pieces!(size.broadcast, column .. columns, ROWS => {
            let values = s.values.ptr.add(column);
            let out = s.out.add(column * width);
            sums::<S, ROWS, V>(simd, values, s.values.stride, s.weights, s.count, correction, out);
        });
    }
}

/// The products of `R` keys and a panel of queries.
///
/// Plain index loops: their bounds are constants, so they are unrolled before the
/// compiler decides what stays in registers, which here is everything.
///
/// # Safety
/// `R` keys of `dim` elements are readable, and as many steps of the panel.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn products<S: Simd, const R: usize, const V: usize>(
    simd: S,
    keys: *const f32,
    stride: isize,
    queries: *const f32,
    dim: usize,
) -> [[S::F32; V]; R] {
    let mut acc = [[simd.zero(); V]; R];
    let mut lines = [keys; R];
    for r in 0..R {
        lines[r] = keys.wrapping_offset(r as isize * stride);
    }
    macro_rules! step {
        ($at:expr) => {
            let mut row = [simd.zero(); V];
            for v in 0..V {
                row[v] = simd.load_ptr(queries.add(($at * V + v) * S::LANES));
            }
            for r in 0..R {
                let key = simd.splat(*lines[r].add($at));
                for v in 0..V {
                    acc[r][v] = simd.fma(key, row[v], acc[r][v]);
                }
            }
        };
    }
    // SAFETY: elements of the keys and of the panel.
    unsafe {
        let mut c = 0;
        while c + 4 <= dim {
            step!(c);
            step!(c + 1);
            step!(c + 2);
            step!(c + 3);
            c += 4;
        }
        while c < dim {
            step!(c);
            c += 1;
        }
    }
    acc
}

/// `out = out * correction + Σ values · weights` for `R` columns of V and a panel of rows.
///
/// # Safety
/// `count` values have `R` elements here, `weights` is a panel of them, and `out` one of `R` columns.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn sums<S: Simd, const R: usize, const V: usize>(
    simd: S,
    mut values: *const f32,
    stride: isize,
    mut weights: *const f32,
    count: usize,
    correction: [S::F32; V],
    out: *mut f32,
) {
    let mut acc = [[simd.zero(); V]; R];
    // SAFETY: the caller's promise.
    unsafe {
        for r in 0..R {
            for v in 0..V {
                let at = out.add((r * V + v) * S::LANES);
                acc[r][v] = simd.mul(simd.load_ptr(at), correction[v]);
            }
        }
        macro_rules! step {
            ($at:expr) => {
                let mut row = [simd.zero(); V];
                for v in 0..V {
                    row[v] = simd.load_ptr(weights.add(($at * V + v) * S::LANES));
                }
                for r in 0..R {
                    let value = simd.splat(*values.add(r));
                    for v in 0..V {
                        acc[r][v] = simd.fma(value, row[v], acc[r][v]);
                    }
                }
                values = values.wrapping_offset(stride);
            };
        }
        for _ in 0..count / 4 {
            step!(0);
            step!(1);
            step!(2);
            step!(3);
            weights = weights.add(4 * V * S::LANES);
        }
        for _ in 0..count % 4 {
            step!(0);
            weights = weights.add(V * S::LANES);
        }
        for r in 0..R {
            for v in 0..V {
                simd.store_ptr(out.add((r * V + v) * S::LANES), acc[r][v]);
            }
        }
    }
}

/// As [`sums`] for one column, leaving out every value whose weight is zero.
///
/// # Safety
/// As [`sums`].
#[inline(always)]
unsafe fn visible_sums<S: Simd, const V: usize>(
    simd: S,
    s: &Step<'_>,
    values: *const f32,
    correction: [S::F32; V],
    out: *mut f32,
) {
    for (v, &correction) in correction.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let out = out.add(v * S::LANES);
            let mut acc = simd.mul(simd.load_ptr(out), correction);
            for key in 0..s.count {
                let value = simd.splat(*values.offset(key as isize * s.values.stride));
                let weight = simd.load_ptr(s.weights.add((key * V + v) * S::LANES));
                let hidden = simd.eq(weight, simd.zero());
                acc = simd.select(hidden, acc, simd.fma(value, weight, acc));
            }
            simd.store_ptr(out, acc);
        }
    }
}

/// Bounds the logits of a tile, applies the mask and causality, and finds the maxima.
///
/// # Safety
/// As [`advance`].
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn hide<S: Simd, const V: usize>(simd: S, s: &Step<'_>) -> [S::F32; V] {
    let width = V * S::LANES;
    let p = s.p;
    let hidden = simd.splat(f32::NEG_INFINITY);
    let mut best = [hidden; V];
    // Rows beyond the last are like the last.
    let row = |lane: usize| s.first + lane.min(s.rows - 1);
    // SAFETY: the tile of weights has `count` steps of `width`; the mask's room is twice a
    // tile of whole vectors of keys.
    unsafe {
        let shared = (1..s.rows).all(|lane| p.same_mask(s.first, row(lane)));
        let pitch = (s.count.next_multiple_of(S::LANES)).max(S::LANES);
        let lines = s.mask;
        let columns = s.mask.add(pitch * width);
        if p.mask.is_some() {
            for lane in 0..if shared { 1 } else { width } {
                let line = lines.add(lane * pitch);
                p.mask_row(simd, s.part, row(lane), s.start, s.count, line);
            }
            if !shared {
                for v in 0..V {
                    for key in (0..pitch).step_by(S::LANES) {
                        let mut from = [lines.cast_const(); MAX_LANES];
                        for (i, from) in from.iter_mut().enumerate().take(S::LANES) {
                            *from = lines.add((v * S::LANES + i) * pitch + key);
                        }
                        let to = columns.add(key * width + v * S::LANES);
                        simd.transpose_ptr(&from, to, width);
                    }
                }
            }
        }
        let mut limits = [0i32; MOST];
        for (lane, limit) in limits.iter_mut().enumerate().take(width) {
            // Beyond 2^31 keys the difference to this tile is what fits.
            let left = p.limit(row(lane)).saturating_sub(s.start);
            *limit = left.min(s.count) as i32;
        }
        let mut limit = [simd.splat_i32(0); V];
        for v in 0..V {
            limit[v] = simd.load_i32_ptr(limits.as_ptr().add(v * S::LANES));
        }
        for key in 0..s.count {
            let number = simd.splat_i32(key as i32);
            for v in 0..V {
                let at = s.weights.add(key * width + v * S::LANES);
                let mut logit = p.capped(simd, simd.load_ptr(at));
                if p.mask.is_some() {
                    let add = match shared {
                        true => simd.splat(*lines.add(key)),
                        false => simd.load_ptr(columns.add(key * width + v * S::LANES)),
                    };
                    logit = masked(simd, logit, add);
                }
                if s.causal {
                    logit = simd.select(simd.gt_i32(limit[v], number), logit, hidden);
                }
                best[v] = simd.max(logit, best[v]);
                simd.store_ptr(at, logit);
            }
        }
    }
    best
}

/// Adds the result of other keys (`from`) to that of the same `count` rows (`into`).
#[inline(always)]
pub(super) fn merge<S: Simd>(
    simd: S,
    p: &Problem<'_>,
    count: usize,
    into: &mut [f32],
    from: &[f32],
) {
    let size = const { sizes(S::TIER) };
    let columns = p.value_dim();
    let rows = into.len() / (columns + 2);
    assert_eq!(into.len(), from.len());
    let (out, state) = into.split_at_mut(rows * columns);
    let (max, sum) = state.split_at_mut(rows);
    let (from, their_state) = from.split_at(rows * columns);
    let (their_max, their_sum) = their_state.split_at(rows);
    for panel in (0..count).step_by(size.width) {
        let width = size.width.min(count - panel).div_ceil(S::LANES) * S::LANES;
        for lane in (0..width).step_by(S::LANES) {
            let row = panel + lane;
            let (a, b) = (simd.load(&max[row..]), simd.load(&their_max[row..]));
            // NaN is in the sums, not in the maxima.
            let both = simd.max(a, b);
            let base = base_of(simd, both);
            let ours = math::exp_nonpositive(simd, simd.sub(a, base));
            let theirs = math::exp_nonpositive(simd, simd.sub(b, base));
            simd.store(&mut max[row..], both);
            let total = simd.mul(simd.load(&sum[row..]), ours);
            let total = simd.fma(simd.load(&their_sum[row..]), theirs, total);
            simd.store(&mut sum[row..], total);
            for c in 0..columns {
                let at = panel * columns + c * width + lane;
                let x = simd.mul(simd.load(&out[at..]), ours);
                let x = simd.fma(simd.load(&from[at..]), theirs, x);
                simd.store(&mut out[at..], x);
            }
        }
    }
}

/// Divides by the sums and stores rows and logarithms.
///
/// # Safety
/// `result` is that of the rows of `part`, which belong to this task.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(simd: S, p: &Problem<'_>, part: &Part, result: &mut [f32]) {
    let size = const { sizes(S::TIER) };
    let columns = p.value_dim();
    let rows = result.len() / (columns + 2);
    let (out, state) = result.split_at_mut(rows * columns);
    let (max, sum) = state.split_at_mut(rows);
    let step = p.out.strides[3];
    let whole = if step == 1 { columns / S::LANES } else { 0 };
    let mut square = [0f32; MAX_LANES * MAX_LANES];
    for panel in (0..part.rows.len()).step_by(size.width) {
        let count = size.width.min(part.rows.len() - panel);
        let width = count.div_ceil(S::LANES) * S::LANES;
        let out = &mut out[panel * columns..][..width * columns];
        for lane in (0..count).step_by(S::LANES) {
            let total = simd.load(&sum[panel + lane..]);
            let one = simd.div(simd.splat(1.0), total);
            // Rows that see nothing.
            let factor = simd.select(simd.eq(total, simd.zero()), simd.zero(), one);
            for c in 0..columns {
                let at = &mut out[c * width + lane..];
                simd.store(at, simd.mul(simd.load(at), factor));
            }
            let rows = S::LANES.min(count - lane);
            let first = part.rows.start + panel + lane;
            for block in 0..whole {
                let mut from = [std::ptr::null(); MAX_LANES];
                for (i, from) in from.iter_mut().enumerate().take(S::LANES) {
                    *from = out[(block * S::LANES + i) * width + lane..].as_ptr();
                }
                // SAFETY: `LANES` steps of the panel; a square; columns of rows of this task.
                unsafe {
                    simd.transpose_ptr(&from, square.as_mut_ptr(), S::LANES);
                    for row in 0..rows {
                        let to = p.output(part, first + row).add(block * S::LANES);
                        simd.store_ptr(to, simd.load_ptr(square.as_ptr().add(row * S::LANES)));
                    }
                }
            }
            for row in 0..rows {
                let to = p.output(part, first + row);
                for c in whole * S::LANES..columns {
                    // SAFETY: an element of a row of this task.
                    unsafe { *to.offset(c as isize * step) = out[c * width + lane + row] };
                }
                let (max, sum) = (max[panel + lane + row], sum[panel + lane + row]);
                p.store_log_sum_exp(simd, part, first + row, max, sum);
            }
        }
    }
}
