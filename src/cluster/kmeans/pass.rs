//! One pass over the points: labels, and what else is wanted while a point is in the cache.
//!
//! Up to eight dimensions differences are squared directly, which is exact enough by itself.
//! Above that a score is `x · c - |c|² / 2` (see `distance`), both less the mean of the centroids, and
//! the best two are kept: where they are closer than rounding may have moved them, all distances
//! of that point are computed anew in f64. So labels are those of exact arithmetic.
//!
//! NaN, infinity and values whose squares overflow show in the sum of squares that packing yields:
//! looking for them costs no pass of its own.
//!
//! Sums over points go by tasks of rows, whose number follows from the shapes alone,
//! and are added up in the order of the tasks.

use super::nearest::Nearest;
use crate::cluster::distance::exact;
use crate::cluster::distance::panels::{Bias, Candidates, Rows, pack_points};
use crate::cluster::distance::tile::{DOT, MAX_POINTS, SQUARED, VECTORS, points, scan};
use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{MAX_LANES, Simd, dispatch};
use crate::tensor::{ViewMut, Writer};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Up to so many dimensions differences are taken directly: `(8 + 2)` roundings are below 1e-6.
const DIRECT: usize = 8;
/// The most that a sum of squares may be, so that the square of no distance overflows.
const LIMIT: f32 = 8e37;
/// Tasks that a pass is cut into at most.
const TASKS: usize = 64;

/// Rows of a task over `n` points: whole panels, and so many that the sums of the tasks
/// over `k` clusters are small beside the points.
pub fn task_rows(n: usize, k: usize) -> usize {
    n.div_ceil(TASKS)
        .max(256)
        .max(16 * k)
        .next_multiple_of(MAX_POINTS)
}

/// The centroids as a pass takes them.
pub struct Centroids<'c> {
    /// One row after the other.
    pub values: Scratch<'c, f32>,
    pub k: usize,
    pub depth: usize,
    packed: Candidates<'c>,
    shift: Scratch<'c, f32>,
    /// A call is close when the scores differ by `margin.0 * |x| + margin.1` at most.
    margin: (f32, f32),
    /// A squared distance of that many margins does not suffer from the cancellation of `|x|² - 2 score`.
    apart: f32,
}

impl<'c> Centroids<'c> {
    /// Room for `k` of `depth`; `values` are to be written, then [`prepare`](Centroids::prepare) is called.
    pub fn empty(ctx: &'c Context, k: usize, depth: usize) -> Result<Centroids<'c>> {
        Ok(Centroids {
            values: ctx.scratch(k * depth)?,
            k,
            depth,
            packed: Candidates::empty(ctx, ctx.isa().tier(), k, depth)?,
            shift: ctx.scratch(depth)?,
            margin: (0.0, 0.0),
            apart: 0.0,
        })
    }

    /// Checks that every element is finite and small enough to be squared.
    pub fn check(&self, op: &str, name: &str) -> Result<()> {
        for i in 0..self.k {
            let row = self.row(i);
            ensure!(
                exact::dot(row, row) <= f64::from(LIMIT),
                InvalidArgument,
                "{op}: {name} has NaN, infinity or a value too large to be squared in row {i}"
            );
        }
        Ok(())
    }

    /// Packs `values`.
    pub fn prepare(&mut self) {
        let (k, depth) = (self.k, self.depth);
        if depth <= DIRECT {
            let rows = Rows::compact(&self.values, depth);
            self.packed.fill(rows, None, None, Bias::None);
            return;
        }
        for (p, shift) in self.shift.iter_mut().enumerate() {
            let sum: f64 = (0..k).map(|i| f64::from(self.values[i * depth + p])).sum();
            *shift = (sum / k as f64) as f32;
        }
        let rows = Rows::compact(&self.values, depth);
        self.packed
            .fill(rows, Some(&self.shift), None, Bias::HalfSquare);
        // Both scores may be off by `growth` roundings of the sum of the magnitudes of their terms, which
        // is at most |x| |c| + |c|² / 2. That many in a row only when all go one way: the
        // square root covers six standard deviations.
        let bias = self.packed.block().bias;
        let square = -2.0
            * bias
                .iter()
                .filter(|b| b.is_finite())
                .fold(0.0f32, |a, &b| a.min(b));
        let growth = (depth as f32).min(6.0 * (depth as f32).sqrt() + 8.0) + 4.0;
        let each = 2.0 * growth * (f32::EPSILON / 2.0);
        self.margin = (each * square.sqrt(), each * square);
        // What rounding does to a score, as a rule `sqrt(depth) / 4` roundings of that sum, is then
        // below 3e-6 of the distance.
        self.apart = (depth as f32).sqrt() / 64.0 / each;
    }

    pub fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.depth..][..self.depth]
    }

    /// The label of a row by distances in f64.
    #[inline(always)]
    fn exactly(&self, row: &[f32]) -> u32 {
        let mut best = (f64::INFINITY, 0);
        for i in 0..self.k {
            let distance = exact::squared(row, self.row(i));
            if distance < best.0 {
                best = (distance, i as u32);
            }
        }
        best.1
    }
}

/// What is added up a cluster: by task, and then over the tasks.
///
/// For each cluster `depth` sums of coordinates, the sum of weights, and the number of points
/// whose weight is not zero (which, unlike sums of weights, comes back to 0 exactly).
pub struct Sums<'c> {
    pub total: Scratch<'c, f64>,
    parts: Scratch<'c, f64>,
    /// Numbers of a cluster.
    pub stride: usize,
    k: usize,
}

impl<'c> Sums<'c> {
    pub fn new(ctx: &'c Context, n: usize, k: usize, depth: usize) -> Result<Sums<'c>> {
        let stride = depth + 2;
        let tasks = n.div_ceil(task_rows(n, k));
        let (Some(len), Some(parts)) = (
            k.checked_mul(stride),
            k.checked_mul(stride).and_then(|l| l.checked_mul(tasks)),
        ) else {
            bail!(
                OutOfMemory,
                "sums of {k} clusters overflow the address space"
            );
        };
        let mut total = ctx.scratch(len)?;
        total.fill(0.0);
        Ok(Sums {
            total,
            parts: ctx.scratch(parts)?,
            stride,
            k,
        })
    }

    /// The sums of a cluster, its weight and the number of its points.
    pub fn of(&self, cluster: usize) -> (&[f64], f64, f64) {
        let of = &self.total[cluster * self.stride..][..self.stride];
        let depth = self.stride - 2;
        (&of[..depth], of[depth], of[depth + 1])
    }

    /// Takes a point of that weight from one cluster (if there is one) to another.
    pub fn transfer(&mut self, row: &[f32], weight: f32, from: Option<usize>, to: usize) {
        let stride = self.stride;
        if let Some(from) = from {
            add(
                &mut self.total[from * stride..][..stride],
                row,
                weight,
                -1.0,
            );
        }
        add(&mut self.total[to * stride..][..stride], row, weight, 1.0);
    }

    /// Adds the parts to the total, which begins at 0 unless they are differences.
    fn merge(&mut self, ctx: &Context, tasks: usize, differences: bool) -> Result<()> {
        let (len, stride, k) = (self.k * self.stride, self.stride, self.k);
        let parts = &self.parts;
        let mut total = ViewMut::new(&mut self.total, &[len])?;
        let total = total.writer();
        let together = (4096 / stride).clamp(1, k);
        ctx.parallel_for(k.div_ceil(together), |task| {
            let start = task * together * stride;
            let size = (together * stride).min(len - start);
            // SAFETY: inside of the total, and tasks are disjoint.
            let to = unsafe { total.slice(start as isize, size) };
            if !differences {
                to.fill(0.0);
            }
            for part in parts.chunks_exact(len).take(tasks) {
                for (to, &x) in to.iter_mut().zip(&part[start..start + size]) {
                    *to += x;
                }
            }
        })
    }
}

/// Adds a point, `sign` times, to the numbers of a cluster.
#[inline(always)]
fn add(of: &mut [f64], row: &[f32], weight: f32, sign: f64) {
    if weight == 0.0 {
        return;
    }
    let weight = f64::from(weight) * sign;
    let (sums, rest) = of.split_at_mut(row.len());
    for (sum, &x) in sums.iter_mut().zip(row) {
        *sum += weight * f64::from(x);
    }
    rest[0] += weight;
    rest[1] += sign;
}

/// What a pass does with the sums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Leaves them.
    Labels,
    /// Makes them.
    Sums,
    /// Moves those points whose label differs from the one before.
    Changes,
}

/// What a pass finds besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// Labels that differ from those before.
    pub changed: usize,
    /// `Σ weight * distance²`, when distances are asked for.
    pub inertia: f64,
}

/// What a pass reads and writes.
pub struct Pass<'a> {
    pub op: &'a str,
    pub rows: Rows<'a>,
    pub weights: Option<&'a [f32]>,
    pub centroids: &'a Centroids<'a>,
}

impl Pass<'_> {
    /// Writes `labels`, which hold those of the pass before, and `distances`, squared. `inertia` asks for theirs.
    pub fn run(
        &self,
        ctx: &Context,
        labels: &mut [u32],
        distances: Option<&mut [f32]>,
        inertia: bool,
        mode: Mode,
        sums: Option<&mut Sums<'_>>,
    ) -> Result<Found> {
        let (n, k, depth) = (self.rows.len(), self.centroids.k, self.centroids.depth);
        assert!(labels.len() == n && self.rows.depth() == depth && k > 0);
        assert!(distances.as_ref().is_none_or(|d| d.len() == n));
        let each = task_rows(n, k);
        let tasks = n.div_ceil(each);
        let mut inertias = ctx.scratch::<f64>(tasks)?;
        let (changed, bad) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let mut sums = sums;
        {
            let mut labels = ViewMut::new(labels, &[n])?;
            let mut inertias = ViewMut::new(&mut inertias, &[tasks])?;
            let (labels, inertias) = (labels.writer(), inertias.writer());
            let mut distances = distances.map(|d| ViewMut::new(d, &[n])).transpose()?;
            let distances = distances.as_mut().map(|d| d.writer());
            let stride = k * (depth + 2);
            let mut parts = match &mut sums {
                Some(sums) => {
                    let len = sums.parts.len();
                    Some(ViewMut::new(&mut sums.parts, &[len])?)
                }
                None => None,
            };
            let parts: Option<Writer<'_, f64>> = parts.as_mut().map(|p| p.writer());
            let isa = ctx.isa();
            ctx.parallel_for_scratch(tasks, MAX_POINTS * depth, |task, panel| {
                let range = task * each..n.min((task + 1) * each);
                let (first, len) = (range.start as isize, range.len());
                // SAFETY: inside of arrays of n elements, one of `tasks`, and one of `tasks` parts; tasks are disjoint.
                let (labels, distances, inertia_of, part) = unsafe {
                    (
                        labels.slice(first, len),
                        distances.map(|d| d.slice(first, len)),
                        &mut inertias.slice(task as isize, 1)[0],
                        parts.map(|p| p.slice((task * stride) as isize, stride)),
                    )
                };
                let mut out = Out {
                    labels,
                    distances,
                    inertia: inertia.then_some(0.0),
                    part: part.filter(|_| mode != Mode::Labels),
                    differences: mode == Mode::Changes,
                    changed: 0,
                    bad: None,
                };
                if let Some(part) = &mut out.part {
                    part.fill(0.0);
                }
                match depth <= DIRECT {
                    true => {
                        dispatch!(isa, simd => self.task::<_, true>(simd, range, panel, &mut out))
                    }
                    false => {
                        dispatch!(isa, simd => self.task::<_, false>(simd, range, panel, &mut out))
                    }
                }
                *inertia_of = out.inertia.unwrap_or(0.0);
                changed.fetch_add(out.changed, Ordering::Relaxed);
                if let Some(row) = out.bad {
                    bad.fetch_min(row, Ordering::Relaxed);
                }
            })?;
        }
        let bad = bad.into_inner();
        ensure!(
            bad == usize::MAX,
            InvalidArgument,
            "{}: x has NaN, infinity or a value too large to be squared in row {bad}",
            self.op
        );
        if let Some(sums) = &mut sums
            && mode != Mode::Labels
        {
            sums.merge(ctx, tasks, mode == Mode::Changes)?;
        }
        Ok(Found {
            changed: changed.into_inner(),
            inertia: inertias.iter().sum(),
        })
    }

    #[inline(always)]
    fn task<S: Simd, const EXACT: bool>(
        &self,
        simd: S,
        range: Range<usize>,
        panel: &mut [f32],
        out: &mut Out<'_>,
    ) {
        let centroids = self.centroids;
        let block = centroids.packed.block();
        let shift = (!EXACT).then_some(&centroids.shift[..]);
        let mut labels = [0i32; MAX_POINTS];
        let mut distances = [0f32; MAX_POINTS];
        for first in range.clone().step_by(points(S::LANES)) {
            let count = points(S::LANES).min(range.end - first);
            let squares = pack_points(simd, self.rows, first..first + count, shift, panel);
            let mut close = 0u32;
            for (v, &square) in squares.iter().enumerate() {
                let fine = simd.mask_bits(simd.le(square, simd.splat(LIMIT)));
                if fine != u32::MAX >> (32 - S::LANES as u32) {
                    let at = first + v * S::LANES + fine.trailing_ones() as usize;
                    out.bad = Some(out.bad.map_or(at, |b| b.min(at)));
                }
            }
            if EXACT {
                let mut nearest = Nearest::<S, false>::new(simd);
                scan::<S, SQUARED, _>(simd, panel, block, &mut nearest);
                for v in 0..VECTORS {
                    // SAFETY: both arrays have room for all vectors of a panel.
                    unsafe {
                        let at = v * S::LANES;
                        simd.store_i32_ptr(labels.as_mut_ptr().add(at), nearest.index[v]);
                        let distance = simd.sub(simd.zero(), nearest.best[v]);
                        simd.store_ptr(distances.as_mut_ptr().add(at), distance);
                    }
                }
            } else {
                let mut nearest = Nearest::<S, true>::new(simd);
                scan::<S, DOT, _>(simd, panel, block, &mut nearest);
                let (slope, margin) = centroids.margin;
                let mut near = 0u32;
                for (v, &square) in squares.iter().enumerate() {
                    let margin = simd.splat(margin);
                    let margin = simd.fma(simd.sqrt(square), simd.splat(slope), margin);
                    let gap = simd.sub(nearest.best[v], nearest.second[v]);
                    close |= simd.mask_bits(simd.le(gap, margin)) << (v * S::LANES);
                    let distance = simd.fma(simd.splat(-2.0), nearest.best[v], square);
                    let apart = simd.mul(margin, simd.splat(centroids.apart));
                    near |= simd.mask_bits(simd.lt(distance, apart)) << (v * S::LANES);
                    // SAFETY: both arrays have room for all vectors of a panel.
                    unsafe {
                        let at = v * S::LANES;
                        simd.store_i32_ptr(labels.as_mut_ptr().add(at), nearest.index[v]);
                        simd.store_ptr(distances.as_mut_ptr().add(at), distance);
                    }
                }
                let all = u32::MAX >> (32 - count as u32);
                close &= all;
                near = (near | close) & all;
                while close != 0 {
                    let i = close.trailing_zeros() as usize;
                    close &= close - 1;
                    labels[i] = centroids.exactly(self.rows.row(first + i)) as i32;
                }
                while near != 0 && (out.distances.is_some() || out.inertia.is_some()) {
                    let i = near.trailing_zeros() as usize;
                    near &= near - 1;
                    let centroid = centroids.row(labels[i] as usize);
                    distances[i] = exact::squared_f32(simd, self.rows.row(first + i), centroid);
                }
            }
            let base = first - range.start;
            if let Some(to) = &mut out.distances {
                to[base..base + count].copy_from_slice(&distances[..count]);
            }
            if let Some(inertia) = &mut out.inertia {
                for i in 0..count {
                    let weight = self.weights.map_or(1.0, |w| w[first + i]);
                    *inertia += f64::from(weight) * f64::from(distances[i]);
                }
            }
            self.account(first, base, &labels[..count], out);
        }
    }

    /// Notes labels and, where that is asked for, adds the points up.
    #[inline(always)]
    fn account(&self, first: usize, base: usize, labels: &[i32], out: &mut Out<'_>) {
        let stride = self.centroids.depth + 2;
        let olds = &mut out.labels[base..base + labels.len()];
        for (i, (old, &label)) in olds.iter_mut().zip(labels).enumerate() {
            let label = label as u32;
            let before = std::mem::replace(old, label);
            let changed = before != label;
            out.changed += usize::from(changed);
            let Some(part) = &mut out.part else {
                continue;
            };
            if out.differences && !changed {
                continue;
            }
            let row = self.rows.row(first + i);
            let weight = self.weights.map_or(1.0, |w| w[first + i]);
            add(
                &mut part[label as usize * stride..][..stride],
                row,
                weight,
                1.0,
            );
            if out.differences {
                let from = &mut part[before as usize * stride..][..stride];
                add(from, row, weight, -1.0);
            }
        }
    }
}

/// What a task writes.
struct Out<'a> {
    labels: &'a mut [u32],
    distances: Option<&'a mut [f32]>,
    inertia: Option<f64>,
    part: Option<&'a mut [f64]>,
    differences: bool,
    changed: usize,
    bad: Option<usize>,
}

/// The lanes of a mask fit its bits.
const _: () = assert!(MAX_POINTS <= 32 && MAX_LANES <= 16);
