//! The search itself: bounds for scores, tasks, what is left of the buffers.

use super::exact::Exact;
use super::select::{Buffers, Select, Slack, capacity};
use crate::cluster::Metric;
use crate::cluster::distance::exact::squared;
use crate::cluster::distance::panels::{
    Bias, Block, Rows, block_len, pack_candidates, pack_points,
};
use crate::cluster::distance::tile::{
    ABSOLUTE, DOT, MAX_POINTS, SQUARED, VECTORS, points, scan, width,
};
use crate::error::{Result, bail};
use crate::runtime::{Context, Scratch};
use crate::simd::{Double, Isa, Simd, dispatch};
use crate::tensor::ViewMut;
use std::ops::Range;

/// Queries of a task, about.
const QUERIES: usize = 512;
/// Where there are fewer tasks than that, points are split, too.
const TASKS: usize = 4;
/// Into parts of that many points at least.
const PART: usize = 8192;
/// Rows that the shift is the mean of.
const SAMPLE: usize = 512;

/// An error for the first number that is none.
pub(super) fn expect_finite(ctx: &Context, op: &str, name: &str, rows: Rows<'_>) -> Result<()> {
    const ROWS: usize = 256;
    let tasks = rows.len().div_ceil(ROWS);
    let mut bad = ctx.scratch::<u8>(tasks)?;
    let mut view = ViewMut::new(&mut bad, &[tasks])?;
    let writer = view.writer();
    let isa = ctx.isa();
    ctx.parallel_for(tasks, |task| {
        let range = task * ROWS..rows.len().min((task + 1) * ROWS);
        let fine = dispatch!(isa, simd => all_finite(simd, rows, range));
        // SAFETY: one element a task.
        unsafe { writer.slice(task as isize, 1)[0] = u8::from(!fine) };
    })?;
    let Some(task) = bad.iter().position(|&b| b != 0) else {
        return Ok(());
    };
    for at in task * ROWS..rows.len() {
        if let Some(column) = rows.row(at).iter().position(|v| !v.is_finite()) {
            bail!(
                InvalidArgument,
                "{op}: {name}[{at}, {column}] is {}",
                rows.row(at)[column]
            );
        }
    }
    Ok(())
}

#[inline(always)]
fn all_finite<S: Simd>(simd: S, rows: Rows<'_>, range: Range<usize>) -> bool {
    // Zero times anything else is not zero.
    let mut sum = simd.zero();
    for at in range {
        let row = rows.row(at);
        let (whole, rest) = row.split_at(row.len() / S::LANES * S::LANES);
        for part in whole.chunks_exact(S::LANES) {
            sum = simd.fma(simd.load(part), simd.zero(), sum);
        }
        sum = simd.fma(simd.load_partial(rest), simd.zero(), sum);
    }
    simd.reduce_add(sum) == 0.0
}

/// What is known of both sides before the first score.
pub(super) struct Search<'a> {
    pub(super) exact: Exact<'a>,
    isa: Isa,
    /// Lengths of the points, less the shift.
    norms: Scratch<'a, f32>,
    shift: Scratch<'a, f32>,
    slack: Slack,
    unit: f32,
    /// Numbers so large or so small that scores would leave the range of f32: everything is measured.
    extreme: bool,
}

impl<'a> Search<'a> {
    /// Of finite rows; others are an error that calls them by `names`.
    pub(super) fn new(
        ctx: &'a Context,
        op: &str,
        names: [&str; 2],
        metric: Metric,
        queries: Rows<'a>,
        data: Rows<'a>,
    ) -> Result<Search<'a>> {
        let depth = data.depth();
        let mut shift = ctx.scratch::<f32>(depth)?;
        shift.fill(0.0);
        let exact = Exact {
            metric,
            queries,
            data,
        };
        let slack = match metric {
            Metric::Cosine => Slack::Angle,
            Metric::InnerProduct => Slack::Product,
            _ if exact.direct() => Slack::Relative,
            _ => Slack::Square,
        };
        if slack == Slack::Square {
            centre(ctx, data, &mut shift)?;
        }
        let mut norms = ctx.scratch::<f32>(data.len())?;
        let (mut low, mut high) = lengths(ctx, data, &shift, &mut norms)?;
        {
            let mut others = ctx.scratch::<f32>(queries.len())?;
            let (l, h) = lengths(ctx, queries, &shift, &mut others)?;
            low = low.min(l);
            // A NaN stays.
            high = if !high.is_finite() || high > h {
                high
            } else {
                h
            };
        }
        // Lengths tell in passing whether rows are finite; large ones need another look.
        if !high.is_finite() {
            expect_finite(ctx, op, names[0], queries)?;
            expect_finite(ctx, op, names[1], data)?;
        }
        let small = match slack {
            Slack::Square | Slack::Relative => high,
            _ => low,
        };
        Ok(Search {
            exact,
            isa: ctx.isa(),
            norms,
            shift,
            slack,
            // A sum of that many products, each a rounding, and the roundings of what goes in and of
            // the comparisons.
            // For an angle the length has such a sum, too.
            unit: match slack {
                Slack::Angle => (2 * depth + 14) as f32 * (0.5 * f32::EPSILON),
                _ => (depth + 14) as f32 * (0.5 * f32::EPSILON),
            },
            extreme: high > 1e17 || (small < 1e-17 && high > 0.0) || depth > 1 << 18,
        })
    }

    /// The k nearest of each query, in order: their keys and numbers.
    pub(super) fn nearest<'s>(
        &self,
        ctx: &'s Context,
        k: usize,
    ) -> Result<(Scratch<'s, f64>, Scratch<'s, u32>)> {
        let (q, n) = (self.exact.queries.len(), self.exact.data.len());
        let groups = q.div_ceil(QUERIES);
        let group = q.div_ceil(groups);
        let parts = match groups < TASKS {
            true => n.div_ceil(PART.max(4 * k)).clamp(1, TASKS.div_ceil(groups)),
            false => 1,
        };
        let part = n.div_ceil(parts);
        // Of each query and part the k best: key and number.
        let mut keys = ctx.scratch::<f64>(q * parts * k)?;
        let mut numbers = ctx.scratch::<u32>(q * parts * k)?;
        let isa = self.isa;
        {
            let mut keys = ViewMut::new(&mut keys, &[q * parts * k])?;
            let mut numbers = ViewMut::new(&mut numbers, &[q * parts * k])?;
            let (keys, numbers) = (keys.writer(), numbers.writer());
            let work = Work::new(isa.tier(), group, self.exact.data.depth(), k);
            ctx.parallel_for_scratch(groups * parts, work.len(), |task, scratch| {
                let (g, p) = (task / parts, task % parts);
                let queries = g * group..q.min((g + 1) * group);
                let points = (p * part).min(n)..n.min((p + 1) * part);
                let put = |query: usize, rank: usize, key: f64, number: u32| {
                    let at = ((query * parts + p) * k + rank) as isize;
                    // SAFETY: a place of this query and part.
                    unsafe {
                        keys.slice(at, 1)[0] = key;
                        numbers.slice(at, 1)[0] = number;
                    }
                };
                if self.extreme {
                    return dispatch!(isa, simd => self.measure_all(simd, queries, points, k, put));
                }
                dispatch!(isa, simd => self.task(simd, &work, scratch, queries, points, k, put));
            })?;
        }
        if parts > 1 {
            merge(&mut keys, &mut numbers, parts, k);
        }
        Ok((keys, numbers))
    }

    /// Some queries against some points.
    #[inline(always)]
    fn task<S: Double>(
        &self,
        simd: S,
        work: &Work,
        scratch: &mut [u64],
        queries: Range<usize>,
        range: Range<usize>,
        k: usize,
        put: impl Fn(usize, usize, f64, u32),
    ) {
        let count = queries.len();
        let (entries, rest) = scratch.split_at_mut(work.group * capacity(k));
        let (counts, rest) = rest.split_at_mut(work.group);
        let (keyed, rest) = rest.split_at_mut(2 * capacity(k));
        let rest = floats(rest);
        let (values, rest) = rest.split_at_mut(work.lens.0);
        let (bias, rest) = rest.split_at_mut(work.lens.1);
        let (lengths, rest) = rest.split_at_mut(work.lens.1);
        let (thresholds, rest) = rest.split_at_mut(work.lens.1);
        let (lower, panel) = rest.split_at_mut(capacity(k));
        counts.fill(0);
        thresholds.fill(f32::INFINITY);
        thresholds[..count].fill(f32::NEG_INFINITY);
        lengths.fill(0.0);
        for (length, query) in lengths.iter_mut().zip(queries.clone()) {
            *length = match self.slack {
                Slack::Relative => 0.0,
                _ => length_of(simd, self.exact.queries.row(query), &self.shift),
            };
        }
        let shift = (self.slack == Slack::Square).then_some(&self.shift[..]);
        let block = pack_candidates(
            self.exact.queries,
            queries.clone(),
            shift,
            None,
            Bias::None,
            work.width,
            values,
            bias,
        );
        let mut buffers = Buffers {
            k,
            entries,
            counts,
            thresholds,
            lengths,
            norms: &self.norms,
            slack: self.slack,
            unit: self.unit,
            exact: self.exact,
            isa: self.isa,
            shift: &self.shift,
            first: queries.start,
            keyed: keyed.as_chunks_mut().0,
            lower,
        };
        let block = Block { first: 0, ..block };
        match (self.slack, self.exact.metric) {
            (Slack::Relative, Metric::Manhattan) => {
                self.scan_all::<S, ABSOLUTE, true>(simd, block, range, panel, &mut buffers)
            }
            (Slack::Relative, _) => {
                self.scan_all::<S, SQUARED, true>(simd, block, range, panel, &mut buffers)
            }
            (Slack::Angle, _) => {
                self.scan_all::<S, DOT, true>(simd, block, range, panel, &mut buffers)
            }
            _ => self.scan_all::<S, DOT, false>(simd, block, range, panel, &mut buffers),
        }
        for query in 0..count {
            buffers.rank(simd, query, &put);
        }
    }

    #[inline(always)]
    fn scan_all<S: Simd, const KIND: u8, const SCALED: bool>(
        &self,
        simd: S,
        block: Block<'_>,
        range: Range<usize>,
        panel: &mut [f32],
        buffers: &mut Buffers<'_>,
    ) {
        let shift = (self.slack == Slack::Square).then_some(&self.shift[..]);
        let unit = simd.splat(self.unit);
        for at in range.clone().step_by(points(S::LANES)) {
            let count = points(S::LANES).min(range.end - at);
            let squares = pack_points(simd, self.exact.data, at..at + count, shift, panel);
            let next = (at + count).min(range.end)..range.end.min(at + 2 * count);
            self.exact.data.prefetch(simd, next);
            let zero = [simd.zero(); VECTORS];
            let (mut factor, mut minus, mut plus) = (zero, zero, zero);
            for v in 0..VECTORS {
                match self.slack {
                    Slack::Square => {
                        // Half the square, less its own slack and that of the score.
                        let half = simd.splat(0.5 - 1.5 * self.unit);
                        minus[v] = simd.mul(squares[v], half);
                        plus[v] = simd.mul(simd.sqrt(squares[v]), unit);
                    }
                    Slack::Product => plus[v] = simd.mul(simd.sqrt(squares[v]), unit),
                    Slack::Angle => {
                        // A row of zeros scores zero.
                        let length = simd.sqrt(squares[v]);
                        let one = simd.splat(1.0);
                        let none = simd.eq(length, simd.zero());
                        factor[v] = simd.div(one, simd.select(none, one, length));
                        plus[v] = unit;
                    }
                    Slack::Relative => factor[v] = simd.splat(1.0 - self.unit),
                }
                if count < points(S::LANES) {
                    let valid = simd.first(count.saturating_sub(v * S::LANES));
                    minus[v] = simd.select(valid, minus[v], simd.splat(f32::INFINITY));
                    plus[v] = simd.select(valid, plus[v], simd.zero());
                }
            }
            let mut select = Select::<S, SCALED> {
                buffers,
                at,
                factor,
                minus,
                plus,
                most: simd
                    .splat(simd.reduce_max(plus.into_iter().fold(zero[0], |a, b| simd.max(a, b)))),
            };
            scan::<S, KIND, _>(simd, panel, block, &mut select);
        }
    }

    /// The same without scores.
    #[inline(always)]
    fn measure_all<S: Double>(
        &self,
        simd: S,
        queries: Range<usize>,
        points: Range<usize>,
        k: usize,
        put: impl Fn(usize, usize, f64, u32),
    ) {
        let mut best = [(f64::INFINITY, u32::MAX); super::MAX_NEIGHBOURS];
        let best = &mut best[..k];
        for query in queries {
            best.fill((f64::INFINITY, u32::MAX));
            for point in points.clone() {
                let key = self.exact.key(simd, query, point);
                if key < best[k - 1].0 || best[k - 1].1 == u32::MAX {
                    // After all that are as near.
                    let place = best.partition_point(|b| b.1 != u32::MAX && b.0 <= key);
                    best[place..].rotate_right(1);
                    best[place] = (key, point as u32);
                }
            }
            for (rank, &(key, number)) in best.iter().enumerate() {
                put(query, rank, key, number);
            }
        }
    }
}

/// Brings the k best of all parts of each query to the front.
fn merge(keys: &mut [f64], numbers: &mut [u32], parts: usize, k: usize) {
    let width = parts * k;
    let queries = keys.len() / width;
    for query in 0..queries {
        let mut heads = [0usize; TASKS];
        let mut best = [(0.0, 0); super::MAX_NEIGHBOURS];
        for best in &mut best[..k] {
            let mut from = 0;
            let mut least = f64::INFINITY;
            // Parts are in the order of numbers: of equal keys the first part's.
            for (p, &head) in heads[..parts].iter().enumerate() {
                if head < k && keys[query * width + p * k + head] < least {
                    from = p;
                    least = keys[query * width + p * k + head];
                }
            }
            let at = query * width + from * k + heads[from];
            *best = (keys[at], numbers[at]);
            heads[from] += 1;
        }
        // Rows of results end before the rows of parts that are still to be read.
        for (rank, &(key, number)) in best[..k].iter().enumerate() {
            keys[query * k + rank] = key;
            numbers[query * k + rank] = number;
        }
    }
}

/// How the scratch of a task is cut.
struct Work {
    group: usize,
    width: usize,
    /// Of the values and the biases of the packed queries.
    lens: (usize, usize),
    depth: usize,
    k: usize,
}

impl Work {
    fn new(tier: crate::simd::Tier, group: usize, depth: usize, k: usize) -> Work {
        let width = width(tier, group);
        Work {
            group,
            width,
            lens: block_len(group, depth, width),
            depth,
            k,
        }
    }

    fn len(&self) -> usize {
        let floats = self.lens.0 + 3 * self.lens.1 + capacity(self.k) + MAX_POINTS * self.depth;
        self.group * (capacity(self.k) + 1) + 2 * capacity(self.k) + floats.div_ceil(2)
    }
}

/// The same memory as floats.
fn floats(words: &mut [u64]) -> &mut [f32] {
    // SAFETY: twice as many, of a smaller alignment; any bits are a value.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 2 * words.len()) }
}

/// The mean of some of the rows, all over the data.
fn centre(ctx: &Context, rows: Rows<'_>, shift: &mut [f32]) -> Result<()> {
    let mut sums = ctx.scratch::<f64>(shift.len())?;
    sums.fill(0.0);
    let step = rows.len().div_ceil(SAMPLE).max(1);
    let mut count = 0.0;
    for at in (0..rows.len()).step_by(step) {
        for (sum, &value) in sums.iter_mut().zip(rows.row(at)) {
            *sum += f64::from(value);
        }
        count += 1.0;
    }
    for (shift, &sum) in shift.iter_mut().zip(sums.iter()) {
        *shift = (sum / count) as f32;
    }
    Ok(())
}

/// The length of a row less the shift, rounded up a little.
#[inline(always)]
fn length_of<S: Double>(simd: S, row: &[f32], shift: &[f32]) -> f32 {
    let square = squared(simd, row, shift);
    (square.sqrt() * (1.0 + 1e-6)) as f32
}

/// The lengths of all rows less the shift; the smallest that is not zero, and the largest, which is
/// infinite or NaN if any is.
fn lengths(ctx: &Context, rows: Rows<'_>, shift: &[f32], out: &mut [f32]) -> Result<(f32, f32)> {
    const ROWS: usize = 256;
    let n = rows.len();
    {
        let mut view = ViewMut::new(out, &[n])?;
        let writer = view.writer();
        let isa = ctx.isa();
        ctx.parallel_for(n.div_ceil(ROWS), |task| {
            let range = task * ROWS..n.min((task + 1) * ROWS);
            // SAFETY: inside of the output, and tasks are disjoint.
            let out = unsafe { writer.slice(range.start as isize, range.len()) };
            dispatch!(isa, simd => {
                for (out, at) in out.iter_mut().zip(range) {
                    *out = length_of(simd, rows.row(at), shift);
                }
            });
        })?;
    }
    let used = || out.iter().copied().filter(|&l| l > 0.0);
    let bad = out.iter().copied().find(|l| !l.is_finite());
    let high = bad.unwrap_or_else(|| used().fold(0.0, f32::max));
    Ok((used().fold(f32::INFINITY, f32::min), high))
}
