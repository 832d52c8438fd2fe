//! One pass over the points: labels, and what else is wanted while a point is in the cache.
//!
//! Up to eight dimensions differences are squared directly, which is exact enough by itself.
//! Above that a score is `x · c - |c|² / 2` (see `distance`), both less the mean of the centroids, and
//! the best two are kept: where they are closer than rounding may have moved them, all distances
//! of that point are computed anew in f64. So labels are those of exact arithmetic.
//!
//! Between iterations each point keeps two bounds (`bounds`), and those whose bounds do not meet are not
//! looked at: with 256 clusters in 64 dimensions that saves a third of ten iterations, with few
//! dimensions it would cost more than the distances.
//!
//! NaN, infinity and values whose squares overflow show in the sum of squares that packing yields:
//! looking for them costs no pass of its own.
//!
//! Sums over points go by tasks of rows, whose number follows from the shapes alone,
//! and are added up in the order of the tasks.

use super::bounds::{Bounds, Drift, ROUND};
use super::centroids::{Centroids, DIRECT, LIMIT, Packed};
use super::nearest::Nearest;
use super::sums::{Sums, add};
use crate::cluster::distance::exact;
use crate::cluster::distance::panels::{Rows, pack_listed, pack_points};
use crate::cluster::distance::tile::{DOT, MAX_POINTS, Reduce, SQUARED, VECTORS, points, scan};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Double, MAX_LANES, Simd, dispatch};
use crate::tensor::{ViewMut, Writer};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

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
        bounds: Option<&mut Bounds<'_>>,
    ) -> Result<Found> {
        let (n, k, depth) = (self.rows.len(), self.centroids.k, self.centroids.depth);
        assert!(labels.len() == n && self.rows.depth() == depth && k > 0);
        assert!(distances.as_ref().is_none_or(|d| d.len() == n));
        let each = task_rows(n, k);
        let tasks = n.div_ceil(each);
        let mut inertias = ctx.scratch::<f64>(tasks)?;
        let (changed, bad) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let mut sums = sums;
        // Differences of few dimensions cost less than the bounds would.
        let mut bounds = bounds.filter(|_| depth > DIRECT);
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
            let (mut limits, drift) = match &mut bounds {
                Some(bounds) => {
                    let (upper, lower) = (&mut bounds.upper, &mut bounds.lower);
                    let limits = (ViewMut::new(upper, &[n])?, ViewMut::new(lower, &[n])?);
                    (Some(limits), bounds.known.then_some(&bounds.drift))
                }
                None => (None, None),
            };
            let limits = limits.as_mut().map(|(u, l)| (u.writer(), l.writer()));
            let isa = ctx.isa();
            let panel = match self.centroids.packed {
                Packed::Panels(_) => MAX_POINTS * depth,
                Packed::Few(_) => 0,
            };
            ctx.parallel_for_scratch(tasks, panel, |task, panel| {
                let range = task * each..n.min((task + 1) * each);
                let (first, len) = (range.start as isize, range.len());
                // SAFETY: inside of arrays of n elements, one of `tasks`, and one of `tasks` parts; tasks are disjoint.
                let (labels, distances, inertia_of, part, limits) = unsafe {
                    (
                        labels.slice(first, len),
                        distances.map(|d| d.slice(first, len)),
                        &mut inertias.slice(task as isize, 1)[0],
                        parts.map(|p| p.slice((task * stride) as isize, stride)),
                        limits.map(|(u, l)| (u.slice(first, len), l.slice(first, len))),
                    )
                };
                let mut out = Out {
                    labels,
                    distances,
                    inertia: inertia.then_some(0.0),
                    part: part.filter(|_| mode != Mode::Labels),
                    differences: mode == Mode::Changes,
                    limits,
                    drift,
                    changed: 0,
                    bad: None,
                };
                if let Some(part) = &mut out.part {
                    part.fill(0.0);
                }
                match depth <= DIRECT {
                    true => dispatch!(isa, simd => self.directly(simd, range, panel, &mut out)),
                    false => dispatch!(isa, simd => self.expanded(simd, range, panel, &mut out)),
                }
                *inertia_of = out.inertia.unwrap_or(0.0);
                changed.fetch_add(out.changed, Ordering::Relaxed);
                if let Some(row) = out.bad {
                    bad.fetch_min(row, Ordering::Relaxed);
                }
            })?;
        }
        if let Some(bounds) = bounds {
            bounds.known = true;
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

    /// A task in few dimensions.
    #[inline(always)]
    fn directly<S: Simd>(
        &self,
        simd: S,
        range: Range<usize>,
        panel: &mut [f32],
        out: &mut Out<'_>,
    ) {
        let Packed::Panels(packed) = &self.centroids.packed else {
            unreachable!("panels serve few dimensions");
        };
        let block = packed.block();
        let mut labels = [0i32; MAX_POINTS];
        let mut distances = [0f32; MAX_POINTS];
        for first in range.clone().step_by(points(S::LANES)) {
            let count = points(S::LANES).min(range.end - first);
            let squares = pack_points(simd, self.rows, first..first + count, None, panel);
            for (v, &square) in squares.iter().enumerate() {
                out.check(simd, square, |lane| first + v * S::LANES + lane);
            }
            let mut nearest = Nearest::<S, false>::new(simd);
            scan::<S, SQUARED, _>(simd, panel, block, &mut nearest);
            for v in 0..VECTORS {
                // SAFETY: both arrays have room for all vectors of a panel.
                unsafe {
                    let at = v * S::LANES;
                    simd.store_i32_ptr(labels.as_mut_ptr().add(at), nearest.index[v]);
                    // Not the sign flipped: 0 stays 0.
                    let distance = simd.sub(simd.zero(), nearest.best[v]);
                    simd.store_ptr(distances.as_mut_ptr().add(at), distance);
                }
            }
            for i in 0..count {
                self.account(first + i, range.start, labels[i], distances[i], out);
            }
        }
    }

    /// A task in more dimensions: points whose nearest centroid is certain by their bounds are done with, the
    /// others go through panels.
    #[inline(always)]
    fn expanded<S: Double>(
        &self,
        simd: S,
        range: Range<usize>,
        panel: &mut [f32],
        out: &mut Out<'_>,
    ) {
        let mut list = [0usize; MAX_POINTS];
        let mut listed = 0;
        for row in range.clone() {
            let label = out.settled(row - range.start);
            if let Some(label) = label {
                let distance = match out.distances.is_some() || out.inertia.is_some() {
                    true => {
                        let centroid = self.centroids.row(label as usize);
                        exact::squared_f32(simd, self.rows.row(row), centroid)
                    }
                    false => 0.0,
                };
                self.account(row, range.start, label as i32, distance, out);
                continue;
            }
            list[listed] = row;
            listed += 1;
            if listed == points(S::LANES) {
                if !panel.is_empty() {
                    self.rows
                        .prefetch(simd, row + 1..range.end.min(row + 1 + listed));
                }
                self.panel(simd, &list[..listed], range.start, panel, out);
                listed = 0;
            }
        }
        if listed > 0 {
            self.panel(simd, &list[..listed], range.start, panel, out);
        }
    }

    /// Those points, by the expanded square.
    #[inline(always)]
    fn panel<S: Double>(
        &self,
        simd: S,
        list: &[usize],
        start: usize,
        panel: &mut [f32],
        out: &mut Out<'_>,
    ) {
        let centroids = self.centroids;
        let mut labels = [0i32; MAX_POINTS];
        let mut distances = [0f32; MAX_POINTS];
        let mut upper = [0f32; MAX_POINTS];
        let mut lower = [0f32; MAX_POINTS];
        let mut nearest = Nearest::<S, true>::new(simd);
        let squares = match &centroids.packed {
            Packed::Panels(packed) => {
                let squares = pack_listed(simd, self.rows, list, &centroids.shift, panel);
                scan::<S, DOT, _>(simd, panel, packed.block(), &mut nearest);
                squares
            }
            Packed::Few(few) => {
                let found = few.scores(simd, self.rows, list);
                let scores = found.scores.iter().take(centroids.k);
                for (candidate, scores) in scores.enumerate() {
                    nearest.tile(simd, candidate, &[vectors(simd, scores)]);
                }
                vectors(simd, &found.squares)
            }
        };
        for (v, &square) in squares.iter().enumerate() {
            out.check(simd, square, |lane| list[v * S::LANES + lane]);
        }
        let (slope, margin) = centroids.margin;
        let minus_two = simd.splat(-2.0);
        let (mut close, mut near) = (0u32, 0u32);
        for (v, &square) in squares.iter().enumerate() {
            let (best, second) = (nearest.best[v], nearest.second[v]);
            let margin = simd.fma(simd.sqrt(square), simd.splat(slope), simd.splat(margin));
            let gap = simd.sub(best, second);
            close |= simd.mask_bits(simd.le(gap, margin)) << (v * S::LANES);
            let distance = simd.fma(minus_two, best, square);
            let apart = simd.mul(margin, simd.splat(centroids.apart));
            near |= simd.mask_bits(simd.lt(distance, apart)) << (v * S::LANES);
            let at = v * S::LANES;
            // SAFETY: the array has room for all vectors of a panel.
            unsafe { simd.store_i32_ptr(labels.as_mut_ptr().add(at), nearest.index[v]) };
            simd.store(&mut distances[at..], distance);
            if out.limits.is_some() {
                // What rounding may have done to the squared distances, and then to the roots.
                let slack = simd.fma(simd.splat(centroids.each), square, simd.add(margin, margin));
                let high = simd.max(simd.add(distance, slack), simd.zero());
                let other = simd.fma(minus_two, second, square);
                let low = simd.max(simd.sub(other, slack), simd.zero());
                let high = simd.mul(simd.sqrt(high), simd.splat(1.0 + ROUND));
                let low = simd.mul(simd.sqrt(low), simd.splat(1.0 - ROUND));
                simd.store(&mut upper[at..], high);
                simd.store(&mut lower[at..], low);
            }
        }
        let wanted = out.distances.is_some() || out.inertia.is_some();
        for (i, &row) in list.iter().enumerate() {
            if close >> i & 1 != 0 {
                labels[i] = centroids.exactly(simd, self.rows.row(row)) as i32;
                lower[i] = 0.0;
            }
            if wanted && (close | near) >> i & 1 != 0 {
                let centroid = centroids.row(labels[i] as usize);
                distances[i] = exact::squared_f32(simd, self.rows.row(row), centroid);
            }
            if let Some((to_upper, to_lower)) = &mut out.limits {
                to_upper[row - start] = upper[i];
                to_lower[row - start] = lower[i];
            }
            self.account(row, start, labels[i], distances[i], out);
        }
    }

    /// Notes the label of a point and, where that is asked for, its distance, and adds it up.
    #[inline(always)]
    fn account(&self, row: usize, start: usize, label: i32, distance: f32, out: &mut Out<'_>) {
        let (at, label) = (row - start, label as u32);
        let before = std::mem::replace(&mut out.labels[at], label);
        let changed = before != label;
        out.changed += usize::from(changed);
        if let Some(to) = &mut out.distances {
            to[at] = distance;
        }
        let weight = self.weights.map_or(1.0, |w| w[row]);
        if let Some(inertia) = &mut out.inertia {
            *inertia += f64::from(weight) * f64::from(distance);
        }
        let Some(part) = &mut out.part else {
            return;
        };
        if out.differences && !changed {
            return;
        }
        let stride = self.centroids.depth + 2;
        let values = self.rows.row(row);
        add(
            &mut part[label as usize * stride..][..stride],
            values,
            weight,
            1.0,
        );
        if out.differences {
            let from = &mut part[before as usize * stride..][..stride];
            add(from, values, weight, -1.0);
        }
    }
}

/// The numbers of a panel of points as vectors.
#[inline(always)]
fn vectors<S: Simd>(simd: S, of: &[f32; MAX_POINTS]) -> [S::F32; VECTORS] {
    let mut out = [simd.zero(); VECTORS];
    for (v, out) in out.iter_mut().enumerate() {
        *out = simd.load(&of[v * S::LANES..]);
    }
    out
}

/// What a task writes.
struct Out<'a> {
    labels: &'a mut [u32],
    distances: Option<&'a mut [f32]>,
    inertia: Option<f64>,
    part: Option<&'a mut [f64]>,
    differences: bool,
    limits: Option<(&'a mut [f32], &'a mut [f32])>,
    /// There if the limits are those of the pass before.
    drift: Option<&'a Drift<'a>>,
    changed: usize,
    bad: Option<usize>,
}

impl Out<'_> {
    /// Looks for what is not finite in the sums of squares of points; `at` gives the number of that of a lane.
    #[inline(always)]
    fn check<S: Simd>(&mut self, simd: S, square: S::F32, at: impl Fn(usize) -> usize) {
        let fine = simd.mask_bits(simd.le(square, simd.splat(LIMIT)));
        if fine != u32::MAX >> (32 - S::LANES as u32) {
            let at = at(fine.trailing_ones() as usize);
            self.bad = Some(self.bad.map_or(at, |b| b.min(at)));
        }
    }

    /// The label of a point that can have no other one than before. Brings its bounds up to date.
    #[inline(always)]
    fn settled(&mut self, at: usize) -> Option<u32> {
        let (Some(drift), Some((upper, lower))) = (self.drift, &mut self.limits) else {
            return None;
        };
        let label = self.labels[at];
        let others = match drift.whose == label as usize {
            true => drift.next,
            false => drift.most,
        };
        let high = (upper[at] + drift.each[label as usize]) * (1.0 + ROUND);
        let low = (lower[at] - others) * (1.0 - ROUND);
        (upper[at], lower[at]) = (high, low);
        (high < low).then_some(label)
    }
}

/// The lanes of a mask fit its bits.
const _: () = assert!(MAX_POINTS <= 32 && MAX_LANES <= 16);
