//! Few rows: one query, or the handful that share a key head, against many keys.
//!
//! There is nothing to keep in registers here: every key and every value is used for a few
//! multiply-adds and not again, so the time is that of reading them, once, in the order in
//! which they lie. Lanes run along the elements of a key (a dot product) and of a value (a weighted sum of
//! rows); four keys, or values, are taken together, so that the row that they meet is
//! loaded once for them. They are a quarter of a tile apart: a CPU reads four streams faster than one (25 GB/s from
//! memory where one has 17), but neighbours in one page are one stream to it.

use super::problem::{Part, Problem, base_of, masked};
use crate::simd::{Simd, math};

/// The most rows that are taken this way.
pub(super) const MOST: usize = 8;
/// Keys of a tile.
const KEYS: usize = 256;
/// Keys that are taken together.
const TOGETHER: usize = 4;

/// Floats of scratch of a task.
pub(super) fn room(p: &Problem<'_>, rows: usize) -> usize {
    let staged = stages(p);
    rows * (padded(p.dim()) + KEYS)
        + KEYS
        + staged.0 * KEYS * p.dim()
        + staged.1 * KEYS * p.value_dim()
}

/// Floats of the result of `rows` rows: outputs not yet divided by the sum, maxima, sums.
pub(super) fn result_len(p: &Problem<'_>, rows: usize) -> usize {
    rows * (p.value_dim() + 2)
}

fn padded(dim: usize) -> usize {
    dim.next_multiple_of(crate::simd::MAX_LANES)
}

/// 1 for keys and for values whose elements are not neighbours: tiles of them are copied.
fn stages(p: &Problem<'_>) -> (usize, usize) {
    let stage = |dim: usize, stride: isize| usize::from(dim > 1 && stride != 1);
    (
        stage(p.dim(), p.k.stride(3)),
        stage(p.value_dim(), p.v.stride(3)),
    )
}

/// The rows of `part` over its keys. `result` becomes the outputs, row by row and not yet divided by
/// the sums, the maxima and the sums.
///
/// # Safety
/// `part` is of the problem, whose arrays are readable.
#[inline(always)]
pub(super) unsafe fn attend<S: Simd>(
    simd: S,
    p: &Problem<'_>,
    part: &Part,
    scratch: &mut [f32],
    result: &mut [f32],
) {
    let (rows, dim, columns) = (part.rows.len(), p.dim(), p.value_dim());
    let pitch = padded(dim);
    assert!(result.len() >= result_len(p, rows));
    // What is no stage has to be empty.
    let (queries, rest) = scratch[..room(p, rows)].split_at_mut(rows * pitch);
    let (weights, rest) = rest.split_at_mut(rows * KEYS);
    let (mask, rest) = rest.split_at_mut(KEYS);
    let (for_keys, for_values) = rest.split_at_mut(stages(p).0 * KEYS * dim);
    let (out, state) = result.split_at_mut(rows * columns);
    let (max, sum) = state.split_at_mut(rows);
    out.fill(0.0);
    max.fill(f32::NEG_INFINITY);
    sum.fill(0.0);

    for (row, query) in queries.chunks_exact_mut(pitch.max(1)).enumerate() {
        let from = p.query(part, part.rows.start + row);
        query.fill(0.0);
        for (c, to) in query.iter_mut().enumerate().take(dim) {
            // SAFETY: an element of the query.
            *to = unsafe { *from.offset(c as isize * p.q.stride(3)) } * p.scale;
        }
    }

    let limit = |row: usize| p.limit(part.rows.start + row);
    let end = (0..rows).map(limit).max().unwrap_or(0).min(part.keys.end);
    let mut start = part.keys.start;
    while start < end {
        let count = KEYS.min(end - start);
        // SAFETY: keys and values of the call; a stage has room for a tile.
        unsafe {
            let keys = stage(
                p.key(part, start),
                p.k.stride(2),
                p.k.stride(3),
                count,
                dim,
                for_keys,
            );
            let values = stage(
                p.value(part, start),
                p.v.stride(2),
                p.v.stride(3),
                count,
                columns,
                for_values,
            );
            let hides = p.mask.is_some() || (0..rows).any(|row| limit(row) < start + count);
            let mut row = 0;
            while row < rows {
                let queries = queries.as_ptr().add(row * pitch);
                let weights = weights.as_mut_ptr().add(row * KEYS);
                if rows - row >= 2 {
                    logits::<S, 2>(simd, keys, count, queries, pitch, dim, weights);
                    row += 2;
                } else {
                    logits::<S, 1>(simd, keys, count, queries, pitch, dim, weights);
                    row += 1;
                }
            }
            for row in 0..rows {
                let line = &mut weights[row * KEYS..][..count];
                let number = part.rows.start + row;
                if p.mask.is_some() {
                    p.mask_row(simd, part, number, start, count, mask.as_mut_ptr());
                }
                let seen = limit(row).saturating_sub(start).min(count);
                let add = p.mask.is_some().then_some(&mask[..count]);
                let factor = weigh(simd, p, line, add, seen, &mut max[row], &mut sum[row]);
                for x in out[row * columns..][..columns].chunks_mut(S::LANES) {
                    let y = simd.mul(simd.load_partial(x), simd.splat(factor));
                    simd.store_partial(x, y);
                }
            }
            if hides {
                visible_sums(simd, values, count, weights, rows, columns, out);
            } else {
                let mut row = 0;
                while row < rows {
                    let weights = weights.as_ptr().add(row * KEYS);
                    let out = out.as_mut_ptr().add(row * columns);
                    if rows - row >= 2 {
                        sums::<S, 2>(simd, values, count, weights, columns, out);
                        row += 2;
                    } else {
                        sums::<S, 1>(simd, values, count, weights, columns, out);
                        row += 1;
                    }
                }
            }
        }
        start += count;
    }
}

/// Address and distance of the lines of a tile, or of a copy of them in `stage`.
///
/// # Safety
/// `count` lines of `dim` elements are readable; `stage` has room for them or is empty.
#[inline(always)]
unsafe fn stage(
    ptr: *const f32,
    stride: isize,
    step: isize,
    count: usize,
    dim: usize,
    stage: &mut [f32],
) -> (*const f32, isize) {
    if stage.is_empty() {
        return (ptr, stride);
    }
    for (line, to) in stage.chunks_exact_mut(dim.max(1)).take(count).enumerate() {
        let from = ptr.wrapping_offset(line as isize * stride);
        for (c, to) in to.iter_mut().enumerate() {
            // SAFETY: an element of the line.
            *to = unsafe { *from.offset(c as isize * step) };
        }
    }
    (stage.as_ptr(), dim as isize)
}

/// The products of `count` keys with `R` queries, `KEYS` apart in `weights`.
///
/// # Safety
/// `count` keys of `dim` elements are readable, `R` queries of `pitch`, and `weights` has room.
#[inline(always)]
unsafe fn logits<S: Simd, const R: usize>(
    simd: S,
    (keys, stride): (*const f32, isize),
    count: usize,
    queries: *const f32,
    pitch: usize,
    dim: usize,
    weights: *mut f32,
) {
    let quarter = count / TOGETHER;
    // SAFETY: the caller's promise.
    unsafe {
        for key in 0..quarter {
            let keys = keys.wrapping_offset(key as isize * stride);
            let apart = (quarter as isize * stride, quarter);
            dots::<S, TOGETHER, R>(simd, keys, apart, queries, pitch, dim, weights.add(key));
        }
        for key in TOGETHER * quarter..count {
            let keys = keys.wrapping_offset(key as isize * stride);
            dots::<S, 1, R>(simd, keys, (0, 0), queries, pitch, dim, weights.add(key));
        }
    }
}

/// `apart` is the distance of the keys in memory and that of their weights.
///
/// # Safety
/// As [`logits`], for `K` keys.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn dots<S: Simd, const K: usize, const R: usize>(
    simd: S,
    keys: *const f32,
    apart: (isize, usize),
    queries: *const f32,
    pitch: usize,
    dim: usize,
    weights: *mut f32,
) {
    let mut acc = [[simd.zero(); R]; K];
    let mut lines = [keys; K];
    for k in 0..K {
        lines[k] = keys.wrapping_offset(k as isize * apart.0);
    }
    macro_rules! step {
        ($at:expr, $from:ident => $load:expr) => {
            let mut query = [simd.zero(); R];
            for r in 0..R {
                query[r] = simd.load_ptr(queries.add(r * pitch + $at));
            }
            for k in 0..K {
                let $from = lines[k].add($at);
                let key = $load;
                for r in 0..R {
                    acc[k][r] = simd.fma(key, query[r], acc[k][r]);
                }
            }
        };
    }
    // SAFETY: elements of the keys; queries are padded to whole vectors.
    unsafe {
        let mut c = 0;
        while c + S::LANES <= dim {
            step!(c, at => simd.load_ptr(at));
            c += S::LANES;
        }
        if c < dim {
            step!(c, at => simd.load_partial_ptr(at, dim - c));
        }
        for k in 0..K {
            for r in 0..R {
                *weights.add(r * KEYS + k * apart.1) = simd.reduce_add(acc[k][r]);
            }
        }
    }
}

/// One step of the online softmax for one row: logits become weights. What is returned is the
/// factor that earlier outputs need.
#[inline(always)]
fn weigh<S: Simd>(
    simd: S,
    p: &Problem<'_>,
    line: &mut [f32],
    mask: Option<&[f32]>,
    seen: usize,
    max: &mut f32,
    sum: &mut f32,
) -> f32 {
    let hidden = simd.splat(f32::NEG_INFINITY);
    let mut best = simd.splat(*max);
    for at in (0..line.len()).step_by(S::LANES) {
        let x = &mut line[at..];
        let mut logit = p.capped(simd, simd.load_partial(x));
        if let Some(mask) = mask {
            logit = masked(simd, logit, simd.load_partial(&mask[at..]));
        }
        logit = simd.select(simd.first(seen.saturating_sub(at)), logit, hidden);
        best = simd.max(logit, best);
        simd.store_partial(x, logit);
    }
    let new = simd.splat(simd.reduce_max(best));
    let base = base_of(simd, new);
    let mut total = simd.zero();
    for at in (0..line.len()).step_by(S::LANES) {
        let x = &mut line[at..];
        let e = math::exp_nonpositive(simd, simd.sub(simd.load_partial(x), base));
        // Lanes beyond the end hold whatever zero makes.
        total = simd.add(total, simd.select(simd.first(x.len()), e, simd.zero()));
        simd.store_partial(x, e);
    }
    let old = simd.splat(*max);
    let factor = simd.reduce_max(math::exp_nonpositive(simd, simd.sub(old, base)));
    *max = simd.reduce_max(new);
    *sum = *sum * factor + simd.reduce_add(total);
    factor
}

/// `out += weights · values` for `R` rows.
///
/// # Safety
/// `count` values of `columns` elements are readable, `R` rows of weights `KEYS` apart, and `out` has
/// `R` rows of `columns`.
#[inline(always)]
unsafe fn sums<S: Simd, const R: usize>(
    simd: S,
    (values, stride): (*const f32, isize),
    count: usize,
    weights: *const f32,
    columns: usize,
    out: *mut f32,
) {
    let quarter = count / TOGETHER;
    // SAFETY: the caller's promise.
    unsafe {
        for key in 0..quarter {
            let values = values.wrapping_offset(key as isize * stride);
            let apart = (quarter as isize * stride, quarter);
            add_lines::<S, TOGETHER, R>(simd, values, apart, weights.add(key), columns, out);
        }
        for key in TOGETHER * quarter..count {
            let values = values.wrapping_offset(key as isize * stride);
            add_lines::<S, 1, R>(simd, values, (0, 0), weights.add(key), columns, out);
        }
    }
}

/// `apart` is the distance of the values in memory and that of their weights.
///
/// # Safety
/// As [`sums`], for `K` values.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn add_lines<S: Simd, const K: usize, const R: usize>(
    simd: S,
    values: *const f32,
    apart: (isize, usize),
    weights: *const f32,
    columns: usize,
    out: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut factor = [[simd.zero(); K]; R];
        let mut lines = [values; K];
        for k in 0..K {
            lines[k] = values.wrapping_offset(k as isize * apart.0);
            for r in 0..R {
                factor[r][k] = simd.splat(*weights.add(r * KEYS + k * apart.1));
            }
        }
        let mut c = 0;
        while c < columns {
            let left = columns - c;
            let mut x = [simd.zero(); K];
            for k in 0..K {
                x[k] = match left >= S::LANES {
                    true => simd.load_ptr(lines[k].add(c)),
                    false => simd.load_partial_ptr(lines[k].add(c), left),
                };
            }
            for r in 0..R {
                let at = out.add(r * columns + c);
                let mut acc = match left >= S::LANES {
                    true => simd.load_ptr(at),
                    false => simd.load_partial_ptr(at, left),
                };
                for k in 0..K {
                    acc = simd.fma(x[k], factor[r][k], acc);
                }
                match left >= S::LANES {
                    true => simd.store_ptr(at, acc),
                    false => simd.store_partial_ptr(at, left, acc),
                }
            }
            c += S::LANES;
        }
    }
}

/// As [`sums`] for all rows, leaving out every value whose weight is zero: a hidden value may
/// hold infinity, and is not even read.
///
/// # Safety
/// As [`sums`].
#[inline(always)]
unsafe fn visible_sums<S: Simd>(
    simd: S,
    (values, stride): (*const f32, isize),
    count: usize,
    weights: &[f32],
    rows: usize,
    columns: usize,
    out: &mut [f32],
) {
    for row in 0..rows {
        let out = out[row * columns..].as_mut_ptr();
        for key in 0..count {
            let weight = weights[row * KEYS + key];
            if weight != 0.0 {
                let values = values.wrapping_offset(key as isize * stride);
                // SAFETY: one value, one weight, one row.
                unsafe { add_lines::<S, 1, 1>(simd, values, (0, 0), &weight, columns, out) };
            }
        }
    }
}

/// Adds the result of other keys (`from`) to that of the same rows (`into`).
#[inline(always)]
pub(super) fn merge<S: Simd>(
    simd: S,
    p: &Problem<'_>,
    rows: usize,
    into: &mut [f32],
    from: &[f32],
) {
    let columns = p.value_dim();
    let (out, state) = into.split_at_mut(rows * columns);
    let (max, sum) = state.split_at_mut(rows);
    let (their_out, their_state) = from.split_at(rows * columns);
    let (their_max, their_sum) = their_state.split_at(rows);
    for row in 0..rows {
        let both = max[row].max(their_max[row]);
        let base = base_of(simd, simd.splat(both));
        let ours = math::exp_nonpositive(simd, simd.sub(simd.splat(max[row]), base));
        let theirs = math::exp_nonpositive(simd, simd.sub(simd.splat(their_max[row]), base));
        max[row] = both;
        sum[row] = sum[row] * simd.reduce_max(ours) + their_sum[row] * simd.reduce_max(theirs);
        let line = row * columns..(row + 1) * columns;
        let from = their_out[line.clone()].chunks(S::LANES);
        for (x, y) in out[line].chunks_mut(S::LANES).zip(from) {
            let total = simd.mul(simd.load_partial(x), ours);
            simd.store_partial(x, simd.fma(simd.load_partial(y), theirs, total));
        }
    }
}

/// Divides by the sums and stores rows and logarithms.
///
/// # Safety
/// `result` is that of the rows of `part`, which belong to this task.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(simd: S, p: &Problem<'_>, part: &Part, result: &mut [f32]) {
    let (rows, columns) = (part.rows.len(), p.value_dim());
    let (out, state) = result.split_at_mut(rows * columns);
    let (max, sum) = state.split_at_mut(rows);
    for row in 0..rows {
        let number = part.rows.start + row;
        // Rows that see nothing.
        let factor = if sum[row] == 0.0 { 0.0 } else { 1.0 / sum[row] };
        let to = p.output(part, number);
        for (c, x) in out[row * columns..][..columns].iter().enumerate() {
            // SAFETY: an element of a row of this task.
            unsafe { *to.offset(c as isize * p.out.strides[3]) = x * factor };
        }
        p.store_log_sum_exp(simd, part, number, max[row], sum[row]);
    }
}
