//! `kmeans_anchors`: sizes that stand for the sizes of boxes.
//!
//! k-means with the distance `1 - IoU` of widths and heights, as if boxes shared a corner (Redmon, Farhadi, "YOLO9000",
//! 2016). Means are not what is least in this distance, so the median of each side is the default, as in common use.
//!
//! IoU is largest where the distance is least; two that are nearer than rounding are decided in f64.

use super::assign::store_labels;
use super::nearest::Nearest;
use super::random::Random;
use crate::cluster::distance::tile::{Reduce, VECTORS, points};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use crate::tensor::{View, ViewMut, expect_rank, expect_shape, forbid_overlap};

/// What an anchor is of the boxes of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AnchorAverage {
    /// The median of the widths and that of the heights.
    #[default]
    Median,
    /// The means.
    Mean,
}

/// How anchors are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorsParams {
    /// What an anchor is of its boxes.
    pub average: AnchorAverage,
    /// The most iterations, at least 1.
    pub max_iterations: usize,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for AnchorsParams {
    fn default() -> AnchorsParams {
        AnchorsParams {
            average: AnchorAverage::Median,
            max_iterations: 300,
            seed: 0,
        }
    }
}

/// Boxes of a task.
const BOXES: usize = 4096;

/// Finds K sizes for the boxes of sizes `wh` (N, 2): to `anchors` (K, 2) in ascending order of their areas, and
/// the number of the anchor with the largest IoU with each box to `labels` (N), if asked for. Returns the mean of these IoU.
///
/// The first anchors are `init` (K, 2), if given, else drawn as in k-means++ by the distance
/// `1 - IoU`. It ends when no label changes. Widths and heights are positive and finite, K is at most N.
/// An anchor that loses all of its boxes begins anew at the box that fits its anchor worst. Of equal IoU the lowest label
/// counts.
pub fn kmeans_anchors(
    ctx: &Context,
    params: &AnchorsParams,
    wh: View<'_, f32>,
    init: Option<View<'_, f32>>,
    mut anchors: ViewMut<'_, f32>,
    labels: Option<ViewMut<'_, i64>>,
) -> Result<f64> {
    let op = "kmeans_anchors";
    expect_rank(op, "wh", &wh, 2)?;
    expect_rank(op, "anchors", &anchors, 2)?;
    let (n, k) = (wh.dim(0), anchors.dim(0));
    expect_shape(op, "wh", &wh, &[n, 2])?;
    expect_shape(op, "anchors", &anchors, &[k, 2])?;
    forbid_overlap(op, "anchors", &anchors, "wh", &wh)?;
    if let Some(init) = &init {
        expect_shape(op, "init", init, &[k, 2])?;
        forbid_overlap(op, "anchors", &anchors, "init", init)?;
    }
    if let Some(labels) = &labels {
        expect_shape(op, "labels", labels, &[n])?;
        forbid_overlap(op, "labels", labels, "wh", &wh)?;
        forbid_overlap(op, "labels", labels, "anchors", &anchors)?;
        if let Some(init) = &init {
            forbid_overlap(op, "labels", labels, "init", init)?;
        }
    }
    ensure!(
        (1..=n).contains(&k) && k <= i32::MAX as usize,
        InvalidArgument,
        "{op}: anchors has {k} rows, expected 1 to {n}, the number of boxes"
    );
    ensure!(
        params.max_iterations > 0,
        InvalidArgument,
        "{op}: max_iterations is 0, expected at least 1"
    );
    let wh = wh.contiguous(ctx)?;
    let boxes = wh.as_chunks::<2>().0;
    let mut current = ctx.scratch::<f32>(2 * k)?;
    if let Some(init) = init {
        current.copy_from_slice(&init.contiguous(ctx)?);
    }
    let given = init
        .is_some()
        .then_some(("init", current.as_chunks::<2>().0));
    for (name, sizes) in [Some(("wh", boxes)), given].into_iter().flatten() {
        let fine = |side: f32| (1e-18..=1e18).contains(&side);
        if let Some(at) = sizes.iter().position(|&[w, h]| !(fine(w) && fine(h))) {
            ensure!(
                false,
                InvalidArgument,
                "{op}: {name} is {:?} in row {at}, expected positive finite sides (1e-18 to 1e18)",
                sizes[at]
            );
        }
    }
    let mut job = Job {
        ctx,
        boxes,
        found: ctx.scratch(n)?,
        fit: ctx.scratch(n)?,
    };
    if init.is_none() {
        job.draw(params.seed, &mut current)?;
    }
    let mut sides = match params.average {
        AnchorAverage::Median => ctx.scratch::<f32>(2 * n)?,
        AnchorAverage::Mean => ctx.scratch::<f32>(0)?,
    };
    let mut members = ctx.scratch::<u64>(k + 1)?;
    job.found.fill(u32::MAX);
    for _ in 0..params.max_iterations {
        if !job.assign(&current)? {
            break;
        }
        job.relocate(&mut members[..k]);
        match params.average {
            AnchorAverage::Mean => job.means(&members, &mut current)?,
            AnchorAverage::Median => job.medians(&mut members, &mut sides, &mut current),
        }
    }
    current.as_chunks_mut::<2>().0.sort_unstable_by(|a, b| {
        (a[0] * a[1])
            .total_cmp(&(b[0] * b[1]))
            .then(a[0].total_cmp(&b[0]))
    });
    job.assign(&current)?;
    let mean = job.fit.iter().map(|&f| f64::from(f)).sum::<f64>() / n as f64;
    anchors.copy_from_slice(&current);
    if let Some(labels) = labels {
        store_labels(ctx, &job.found, labels)?;
    }
    Ok(mean)
}

/// The IoU of two sizes, in f64.
fn iou(a: [f32; 2], b: [f32; 2]) -> f64 {
    let ([aw, ah], [bw, bh]) = (a.map(f64::from), b.map(f64::from));
    let inter = aw.min(bw) * ah.min(bh);
    inter / (aw * ah + bw * bh - inter)
}

struct Job<'a> {
    ctx: &'a Context,
    boxes: &'a [[f32; 2]],
    found: crate::runtime::Scratch<'a, u32>,
    /// The IoU of each box with its anchor.
    fit: crate::runtime::Scratch<'a, f32>,
}

impl Job<'_> {
    /// k-means++ by the squared distance.
    fn draw(&mut self, seed: u64, anchors: &mut [f32]) -> Result<()> {
        let mut random = Random::new(seed);
        let mut next = random.below(self.boxes.len());
        self.fit.fill(0.0);
        for anchor in anchors.as_chunks_mut::<2>().0 {
            *anchor = self.boxes[next];
            let mut total = 0.0;
            for (fit, &size) in self.fit.iter_mut().zip(self.boxes) {
                *fit = fit.max(iou(size, *anchor) as f32);
                total += (1.0 - f64::from(*fit)).powi(2);
            }
            let mut left = random.unit() * total;
            for (at, &fit) in self.fit.iter().enumerate() {
                let share = (1.0 - f64::from(fit)).powi(2);
                if share > 0.0 {
                    next = at;
                    left -= share;
                    if left < 0.0 {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The best anchor of each box. False when that changes nothing.
    fn assign(&mut self, anchors: &[f32]) -> Result<bool> {
        let (n, boxes) = (self.boxes.len(), self.boxes);
        let anchors = anchors.as_chunks::<2>().0;
        let changed = std::sync::atomic::AtomicBool::new(false);
        let mut found = ViewMut::new(&mut self.found, &[n])?;
        let mut fit = ViewMut::new(&mut self.fit, &[n])?;
        let (found, fit) = (found.writer(), fit.writer());
        let isa = self.ctx.isa();
        self.ctx.parallel_for(n.div_ceil(BOXES), |task| {
            let start = task * BOXES;
            let len = BOXES.min(n - start);
            // SAFETY: inside of both arrays, and tasks are disjoint.
            let (found, fit) = unsafe {
                (
                    found.slice(start as isize, len),
                    fit.slice(start as isize, len),
                )
            };
            let boxes = &boxes[start..start + len];
            if dispatch!(isa, simd => nearest(simd, boxes, anchors, found, fit)) {
                changed.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        })?;
        Ok(changed.into_inner())
    }

    /// Counts members, and gives the worst fitting boxes to anchors without any.
    fn relocate(&mut self, members: &mut [u64]) {
        members.fill(0);
        for &label in self.found.iter() {
            members[label as usize] += 1;
        }
        for anchor in 0..members.len() {
            if members[anchor] > 0 {
                continue;
            }
            let worst = (0..self.fit.len()).fold(0, |worst, i| {
                if self.fit[i] < self.fit[worst] {
                    i
                } else {
                    worst
                }
            });
            if self.fit[worst] >= 1.0 {
                return;
            }
            members[self.found[worst] as usize] -= 1;
            members[anchor] += 1;
            self.found[worst] = anchor as u32;
            self.fit[worst] = 1.0;
        }
    }

    fn means(&self, members: &[u64], anchors: &mut [f32]) -> Result<()> {
        let mut sums = self.ctx.scratch::<f64>(anchors.len())?;
        sums.fill(0.0);
        let (sums, _) = sums.as_chunks_mut::<2>();
        for (size, &label) in self.boxes.iter().zip(self.found.iter()) {
            let of = &mut sums[label as usize];
            of[0] += f64::from(size[0]);
            of[1] += f64::from(size[1]);
        }
        let anchors = anchors.as_chunks_mut::<2>().0.iter_mut();
        for ((anchor, sums), &count) in anchors.zip(sums).zip(members) {
            if count > 0 {
                *anchor = sums.map(|sum| (sum / count as f64) as f32);
            }
        }
        Ok(())
    }

    /// `members` of k anchors become the ends of their runs in `sides`.
    fn medians(&self, members: &mut [u64], sides: &mut [f32], anchors: &mut [f32]) {
        let n = self.boxes.len();
        let k = members.len() - 1;
        let mut end = 0;
        for count in members[..k].iter_mut() {
            let start = end;
            end += *count;
            *count = start;
        }
        let (widths, heights) = sides.split_at_mut(n);
        for (size, &label) in self.boxes.iter().zip(self.found.iter()) {
            let at = &mut members[label as usize];
            widths[*at as usize] = size[0];
            heights[*at as usize] = size[1];
            *at += 1;
        }
        let mut start = 0;
        for (anchor, &end) in anchors.as_chunks_mut::<2>().0.iter_mut().zip(&members[..k]) {
            let end = end as usize;
            if end > start {
                *anchor = [
                    median(&mut widths[start..end]),
                    median(&mut heights[start..end]),
                ];
            }
            start = end;
        }
    }
}

/// The middle, or the mean of the two in the middle.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    match even {
        false => upper,
        true => {
            let lower = below.iter().copied().fold(f32::MIN, f32::max);
            ((f64::from(lower) + f64::from(upper)) / 2.0) as f32
        }
    }
}

/// Labels and IoU of boxes. True when a label changed.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn nearest<S: Simd>(
    simd: S,
    boxes: &[[f32; 2]],
    anchors: &[[f32; 2]],
    found: &mut [u32],
    fit: &mut [f32],
) -> bool {
    let count = points(S::LANES);
    let mut sizes = [[1.0f32; crate::cluster::distance::tile::MAX_POINTS]; 2];
    let mut labels = [0i32; crate::cluster::distance::tile::MAX_POINTS];
    let mut best = [0f32; crate::cluster::distance::tile::MAX_POINTS];
    let mut changed = false;
    for first in (0..boxes.len()).step_by(count) {
        let boxes = &boxes[first..boxes.len().min(first + count)];
        for (i, &[w, h]) in boxes.iter().enumerate() {
            (sizes[0][i], sizes[1][i]) = (w, h);
        }
        let mut reduce = Nearest::<S, true>::new(simd);
        for (a, &[w, h]) in anchors.iter().enumerate() {
            let area = simd.splat(w * h);
            let mut scores = [[simd.zero(); VECTORS]; 1];
            for v in 0..VECTORS {
                let bw = simd.load(&sizes[0][v * S::LANES..]);
                let bh = simd.load(&sizes[1][v * S::LANES..]);
                let inter = simd.mul(simd.min(bw, simd.splat(w)), simd.min(bh, simd.splat(h)));
                let both = simd.fma(bw, bh, area);
                scores[0][v] = simd.div(inter, simd.sub(both, inter));
            }
            reduce.tile::<1>(simd, a, &scores);
        }
        let mut close = 0;
        for v in 0..VECTORS {
            let gap = simd.sub(reduce.best[v], reduce.second[v]);
            // Five roundings of numbers up to 1, on both sides.
            close |= simd.mask_bits(simd.le(gap, simd.splat(1e-6))) << (v * S::LANES);
            simd.store(&mut best[v * S::LANES..], reduce.best[v]);
            // SAFETY: the array has room for all vectors.
            unsafe { simd.store_i32_ptr(labels.as_mut_ptr().add(v * S::LANES), reduce.index[v]) };
        }
        for (i, &size) in boxes.iter().enumerate() {
            if close >> i & 1 != 0 {
                let mut most = -1.0;
                for (a, &anchor) in anchors.iter().enumerate() {
                    let iou = iou(size, anchor);
                    if iou > most {
                        (most, labels[i], best[i]) = (iou, a as i32, iou as f32);
                    }
                }
            }
            let label = labels[i] as u32;
            changed |= std::mem::replace(&mut found[first + i], label) != label;
            fit[first + i] = best[i];
        }
    }
    changed
}
