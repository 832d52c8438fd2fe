//! The points of a mean shift in an order in which neighbours are runs of memory, and what is summed
//! over those around a place.
//!
//! The three widest dimensions (or as many as there are) are cut into cells no narrower than the reach, and
//! points are sorted by cell. The cells that a ball touches are then a few runs, one for
//! each row of cells. With more dimensions the grid still leaves out whoever is too far away in those three;
//! where it is a single cell this is brute force. Coordinates are doubles, a plane a
//! dimension: a mean over many points must not drift, and which points are inside must be what it is in f64.

use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::Double;

/// Dimensions that are cut into cells.
const CUT: usize = 3;

/// The slack of the reach when cells are chosen, far above the rounding of a quotient.
const SLACK: f64 = 1.0 + 1e-9;

/// The factorials of 0 to 13.
const SERIES: [f64; 14] = [
    1.0,
    1.0,
    2.0,
    6.0,
    24.0,
    120.0,
    720.0,
    5040.0,
    40320.0,
    362880.0,
    3628800.0,
    39916800.0,
    479001600.0,
    6227020800.0,
];

/// How points count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MeanShiftKernel {
    /// Points within the bandwidth count as one.
    #[default]
    Flat,
    /// A point at distance r counts as `exp(-r² / (2 bandwidth²))`, as nothing from 8 bandwidths on.
    Gaussian,
}

/// What is known of one dimension that is cut.
#[derive(Clone, Copy)]
struct Cut {
    /// Which dimension.
    axis: usize,
    low: f64,
    /// One over the width of a cell.
    per: f64,
    cells: usize,
}

impl Cut {
    /// The cell of a coordinate: never falls when the coordinate rises.
    #[inline(always)]
    fn cell(&self, x: f64) -> usize {
        // A negative number becomes zero, one that is too large the last cell.
        (((x - self.low) * self.per) as usize).min(self.cells - 1)
    }
}

/// Points by cells.
pub(super) struct Field<'c> {
    len: usize,
    depth: usize,
    /// Coordinates of one dimension, and a vector of room behind them.
    plane: usize,
    planes: Scratch<'c, f64>,
    /// Where each point came from.
    pub(super) order: Scratch<'c, u32>,
    /// Cell c has the points from `starts[c]` to `starts[c + 1]`.
    starts: Scratch<'c, u32>,
    cuts: [Cut; CUT],
    reach: f64,
    kernel: MeanShiftKernel,
    bandwidth: f64,
}

impl<'c> Field<'c> {
    /// Sorts `points` (N, depth), all finite.
    pub(super) fn new(
        ctx: &'c Context,
        points: &[f32],
        depth: usize,
        kernel: MeanShiftKernel,
        bandwidth: f64,
    ) -> Result<Field<'c>> {
        let len = points.len() / depth;
        let reach = match kernel {
            MeanShiftKernel::Flat => bandwidth,
            MeanShiftKernel::Gaussian => 8.0 * bandwidth,
        };
        let cuts = cut(points, depth, reach);
        let cells: usize = cuts.iter().map(|c| c.cells).product();
        let plane = len + crate::simd::MAX_LANES;
        let mut field = Field {
            len,
            depth,
            plane,
            planes: ctx.scratch(plane * depth)?,
            order: ctx.scratch(len)?,
            starts: ctx.scratch(cells + 2)?,
            cuts,
            reach,
            kernel,
            bandwidth,
        };
        let cell_of = |point: &[f32]| {
            let at = |c: &Cut| c.cell(f64::from(point[c.axis]));
            (at(&cuts[0]) * cuts[1].cells + at(&cuts[1])) * cuts[2].cells + at(&cuts[2])
        };
        // starts[c + 1] serves as the next free place of cell c, and becomes its end.
        let starts = &mut field.starts;
        starts.fill(0);
        for point in points.chunks_exact(depth) {
            starts[cell_of(point) + 2] += 1;
        }
        for c in 2..starts.len() {
            starts[c] += starts[c - 1];
        }
        for (i, point) in points.chunks_exact(depth).enumerate() {
            let place = &mut starts[cell_of(point) + 1];
            let at = *place as usize;
            *place += 1;
            field.order[at] = i as u32;
            for (k, &x) in point.iter().enumerate() {
                field.planes[k * plane + at] = f64::from(x);
            }
        }
        for plane in field.planes.chunks_exact_mut(plane) {
            plane[len..].fill(0.0);
        }
        Ok(field)
    }

    /// Doubles that [`sum`](Field::sum) takes for `depth` dimensions.
    pub(super) fn room(depth: usize) -> usize {
        depth * crate::simd::MAX_LANES / 2
    }

    /// Writes the weighted mean of the points around `centre` to `mean`, and returns the sum of weights; of
    /// zero nothing is written. `sums` is [`room`](Field::room) for sums.
    #[inline(always)]
    pub(super) fn sum<S: Double>(
        &self,
        simd: S,
        centre: &[f64],
        mean: &mut [f64],
        sums: &mut [f64],
    ) -> f64 {
        let weight = match (self.depth, self.kernel) {
            (1, MeanShiftKernel::Flat) => self.flat::<S, 1>(simd, centre, sums),
            (2, MeanShiftKernel::Flat) => self.flat::<S, 2>(simd, centre, sums),
            (3, MeanShiftKernel::Flat) => self.flat::<S, 3>(simd, centre, sums),
            _ => self.general(simd, centre, sums),
        };
        if weight > 0.0 {
            for (mean, sum) in mean.iter_mut().zip(sums.chunks_exact(S::DOUBLES)) {
                let mut total = sum[0];
                for &s in &sum[1..] {
                    total += s;
                }
                *mean = total / weight;
            }
        }
        weight
    }

    /// The next run of points that may be within reach of `centre`. `at` counts the runs.
    #[inline(always)]
    fn run(&self, centre: &[f64], at: usize) -> Option<(usize, usize)> {
        let reach = self.reach * SLACK;
        let bounds = |c: &Cut| {
            let x = centre[c.axis];
            (c.cell(x - reach), c.cell(x + reach))
        };
        let [a, b, c] = &self.cuts;
        let ((a0, a1), (b0, b1)) = (bounds(a), bounds(b));
        let wide = b1 - b0 + 1;
        let (i, j) = (a0 + at / wide, b0 + at % wide);
        if i > a1 {
            return None;
        }
        let row = (i * b.cells + j) * c.cells;
        let (c0, c1) = bounds(c);
        Some((
            self.starts[row + c0] as usize,
            self.starts[row + c1 + 1] as usize,
        ))
    }

    /// Points with the same weight, in registers.
    #[inline(always)]
    fn flat<S: Double, const D: usize>(&self, simd: S, centre: &[f64], sums: &mut [f64]) -> f64 {
        let limit = simd.splat_f64(self.reach * self.reach);
        let (zero, one) = (simd.splat_f64(0.0), simd.splat_f64(1.0));
        let mut at = [zero; D];
        for k in 0..D {
            at[k] = simd.splat_f64(centre[k]);
        }
        let (mut count, mut sum) = (zero, [zero; D]);
        let planes = self.planes.as_ptr();
        let mut runs = 0;
        while let Some((start, end)) = self.run(centre, runs) {
            runs += 1;
            let mut from = start;
            while from < end {
                let mut square = zero;
                let mut x = [zero; D];
                for k in 0..D {
                    // SAFETY: a plane has room for a vector from any point on.
                    x[k] = unsafe { simd.load_f64_ptr(planes.add(k * self.plane + from)) };
                    let t = simd.sub_f64(x[k], at[k]);
                    square = simd.add_f64(square, simd.mul_f64(t, t));
                }
                if from + S::DOUBLES > end {
                    square = beyond(simd, square, end - from);
                }
                count = simd.add_f64(count, simd.keep_le_f64(square, limit, one));
                for k in 0..D {
                    sum[k] = simd.add_f64(sum[k], simd.keep_le_f64(square, limit, x[k]));
                }
                from += S::DOUBLES;
            }
        }
        for k in 0..D {
            // SAFETY: `sums` has room for a vector a dimension.
            unsafe { simd.store_f64_ptr(sums[k * S::DOUBLES..].as_mut_ptr(), sum[k]) };
        }
        simd.reduce_add_f64(count)
    }

    /// Any number of dimensions, either kernel, sums in memory.
    #[inline(always)]
    fn general<S: Double>(&self, simd: S, centre: &[f64], sums: &mut [f64]) -> f64 {
        let limit = simd.splat_f64(self.reach * self.reach);
        let (zero, one) = (simd.splat_f64(0.0), simd.splat_f64(1.0));
        let sums = &mut sums[..self.depth * S::DOUBLES];
        sums.fill(0.0);
        let mut count = zero;
        let planes = self.planes.as_ptr();
        let mut runs = 0;
        while let Some((start, end)) = self.run(centre, runs) {
            runs += 1;
            let mut from = start;
            while from < end {
                let mut square = zero;
                for (k, &c) in centre[..self.depth].iter().enumerate() {
                    // SAFETY: a plane has room for a vector from any point on.
                    let x = unsafe { simd.load_f64_ptr(planes.add(k * self.plane + from)) };
                    let t = simd.sub_f64(x, simd.splat_f64(c));
                    square = simd.add_f64(square, simd.mul_f64(t, t));
                }
                if from + S::DOUBLES > end {
                    square = beyond(simd, square, end - from);
                }
                if simd.le_bits_f64(square, limit) != 0 {
                    let weight = match self.kernel {
                        MeanShiftKernel::Flat => one,
                        MeanShiftKernel::Gaussian => self.gaussian(simd, square),
                    };
                    let weight = simd.keep_le_f64(square, limit, weight);
                    count = simd.add_f64(count, weight);
                    for k in 0..self.depth {
                        // SAFETY: as above; `sums` has a vector a dimension.
                        unsafe {
                            let x = simd.load_f64_ptr(planes.add(k * self.plane + from));
                            let sum = sums.as_mut_ptr().add(k * S::DOUBLES);
                            let more =
                                simd.add_f64(simd.load_f64_ptr(sum), simd.mul_f64(weight, x));
                            simd.store_f64_ptr(sum, more);
                        }
                    }
                }
                from += S::DOUBLES;
            }
        }
        simd.reduce_add_f64(count)
    }

    /// `exp` of minus half the squared distance over the squared bandwidth, to 1e-14, for exponents down to
    /// -32: the series of a 64th of it, squared six times. Sums and products alone, so that every
    /// tier has the same bits: which of two modes has more weight must not depend on it.
    #[inline(always)]
    fn gaussian<S: Double>(&self, simd: S, square: S::F64) -> S::F64 {
        let factor = -0.5 / (self.bandwidth * self.bandwidth) / 64.0;
        let x = simd.mul_f64(square, simd.splat_f64(factor));
        let mut sum = simd.splat_f64(0.0);
        for &factorial in SERIES.iter().rev() {
            sum = simd.add_f64(simd.mul_f64(sum, x), simd.splat_f64(1.0 / factorial));
        }
        for _ in 0..6 {
            sum = simd.mul_f64(sum, sum);
        }
        sum
    }

    /// The nearest of `centres` (K, depth) for the points that stand from `from` on, as many as a vector has,
    /// the first of equally near ones: its number and squared distance.
    #[inline(always)]
    pub(super) fn nearest<S: Double>(
        &self,
        simd: S,
        from: usize,
        centres: &[f64],
    ) -> (S::F64, S::F64) {
        let mut best = simd.splat_f64(f64::INFINITY);
        let mut which = simd.splat_f64(0.0);
        let planes = self.planes.as_ptr();
        assert!(from < self.len);
        for (c, centre) in centres.chunks_exact(self.depth).enumerate() {
            let mut square = simd.splat_f64(0.0);
            for (k, &c) in centre.iter().enumerate() {
                // SAFETY: a plane has room for a vector from any point on.
                let x = unsafe { simd.load_f64_ptr(planes.add(k * self.plane + from)) };
                let t = simd.sub_f64(x, simd.splat_f64(c));
                square = simd.add_f64(square, simd.mul_f64(t, t));
            }
            which = simd.select_lt_f64(square, best, simd.splat_f64(c as f64), which);
            best = simd.min_f64(square, best);
        }
        (which, best)
    }
}

/// Infinity in the lanes from `count` on.
#[inline(always)]
fn beyond<S: Double>(simd: S, v: S::F64, count: usize) -> S::F64 {
    const RAMP: [f64; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    // SAFETY: no tier has more than eight doubles.
    let ramp = unsafe { simd.load_f64_ptr(RAMP.as_ptr()) };
    let infinity = simd.splat_f64(f64::INFINITY);
    simd.select_lt_f64(ramp, simd.splat_f64(count as f64), v, infinity)
}

/// Cells no narrower than `reach` along the widest dimensions, not many more in all than there are points.
fn cut(points: &[f32], depth: usize, reach: f64) -> [Cut; CUT] {
    let len = points.len() / depth;
    let none = Cut {
        axis: 0,
        low: 0.0,
        per: 0.0,
        cells: 1,
    };
    let mut cuts = [none; CUT];
    // The widest so far, widest first; of equal ones the first.
    let mut widths = [-1.0; CUT];
    for axis in 0..depth {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for point in points.chunks_exact(depth) {
            low = low.min(point[axis]);
            high = high.max(point[axis]);
        }
        let (mut cut, mut width) = (none, f64::from(high) - f64::from(low));
        cut.axis = axis;
        cut.low = f64::from(low);
        for (place, widest) in cuts.iter_mut().zip(&mut widths) {
            if width > *widest {
                std::mem::swap(place, &mut cut);
                std::mem::swap(widest, &mut width);
            }
        }
    }
    let used = depth.min(CUT);
    let most = (len as f64).powf(1.0 / used as f64).ceil().max(1.0);
    for (cut, &width) in cuts.iter_mut().zip(&widths).take(used) {
        let cells = (width / reach).floor().clamp(1.0, most);
        cut.cells = cells as usize;
        cut.per = if width > 0.0 { cells / width } else { 0.0 };
    }
    // The last one is where runs go along: the one with the most cells.
    cuts.reverse();
    cuts
}
