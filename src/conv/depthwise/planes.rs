//! NCHW: neighbouring columns are lanes, and planes are read where they lie.
//!
//! A task goes down a channel a vector of columns at a time and sums some output rows at once, so that each
//! input row is loaded once for each column of the window, whatever its height. Where the window reaches
//! over the edge, loads are masked and rows are left out: with a padded copy ([`rows`](super::rows)) it takes nearly
//! twice as long.

use super::super::finish::{Finish, Place};
use super::super::tile::{SINGLE, store};
use super::Job;
use crate::simd::Simd;

/// Output rows that are summed at once: with the window's weights they fit the registers.
const fn most_rows<S: Simd>(kernel: usize, stride: usize) -> usize {
    match (S::LANES, kernel, stride) {
        (16, 3, 1) => 8,
        _ => 4,
    }
}

impl Job<'_> {
    /// [`planes_of_vectors`](Job::planes_of_vectors) serves this on vectors of `lanes` floats. Tiers without masked loads are better
    /// off with a padded copy.
    pub(super) fn reads_in_place(&self, lanes: usize) -> bool {
        let spec = self.spec;
        lanes >= 8
            && matches!(spec.kernel, [3, 3] | [5, 5])
            && matches!(spec.stride, [1, 1] | [2, 2])
            && spec.dilation == [1, 1]
            && self.x.x == 1
            && self.finish.is_simple()
            && self.finish.columns_together()
    }

    /// The output channels of input channel `c` of image `n`.
    #[inline(always)]
    pub(super) fn planes_of_vectors<S: Simd>(&self, simd: S, n: usize, c: usize) {
        let (spec, finish) = (self.spec, self.finish);
        let taps = spec.kernel[0] * spec.kernel[1];
        for channel in c * spec.og..(c + 1) * spec.og {
            let origin = finish.place(0, 0, 0, 0);
            let plane = Plane {
                job: self,
                channel,
                src: self.x.ptr.wrapping_offset(self.x.offset(n, c, 0, 0)),
                weights: &self.weights.weights()[channel * taps..(channel + 1) * taps],
                bias: self.weights.bias()[channel],
                first: finish.place(n, channel, 0, 0),
                down: finish.place(0, 0, 1, 0).from(origin),
                right: finish.place(0, 0, 0, 1).from(origin),
            };
            match (spec.kernel[0], spec.stride[0]) {
                (3, 1) => plane.all::<S, 3, 1>(simd),
                (3, _) => plane.all::<S, 3, 2>(simd),
                (_, 1) => plane.all::<S, 5, 1>(simd),
                _ => plane.all::<S, 5, 2>(simd),
            }
        }
    }
}

/// An output channel and the input channel that it sees.
struct Plane<'a> {
    job: &'a Job<'a>,
    channel: usize,
    src: *const f32,
    weights: &'a [f32],
    bias: f32,
    /// The first output, and the ways to the next row and column.
    first: Place,
    down: Place,
    right: Place,
}

/// A vector of output columns.
#[derive(Clone, Copy)]
struct Columns<M> {
    /// Input column of the first output's first tap, and the outputs that exist.
    first: isize,
    count: usize,
    /// The place of the first output of the first row.
    place: Place,
    /// For each vector that is loaded of a row, the lanes that hit the image.
    masks: [M; MAX_LOADS],
}

/// Vectors that are loaded of a row: for stride 2 a pair for two columns of the window.
const MAX_LOADS: usize = 6;

/// Where the `i`-th vector is loaded, counted from the first tap of the first output.
const fn load_at<S: Simd>(stride: usize, i: usize) -> usize {
    match stride {
        1 => i,
        _ => i / 2 * 2 + i % 2 * S::LANES,
    }
}

impl Plane<'_> {
    /// All outputs, with a window of `K` x `K`.
    #[inline(always)]
    fn all<S: Simd, const K: usize, const STRIDE: usize>(&self, simd: S) {
        let (extents, [top, _, left, _]) = (self.job.extents, self.job.spec.padding);
        let loads = if STRIDE == 1 { K } else { K + 1 };
        let mut weights = [[simd.zero(); K]; K];
        for (y, row) in weights.iter_mut().enumerate() {
            for (x, weight) in row.iter_mut().enumerate() {
                *weight = simd.splat(self.weights[y * K + x]);
            }
        }
        for x in (0..extents.ow).step_by(S::LANES) {
            let first = (x * STRIDE) as isize - left as isize;
            let mut masks = [simd.first(0); MAX_LOADS];
            for (i, mask) in masks.iter_mut().enumerate().take(loads) {
                let at = first + load_at::<S>(STRIDE, i) as isize;
                let lanes = |way: isize| way.max(0) as usize;
                *mask = simd.between(lanes(-at), lanes(extents.w as isize - at));
            }
            let columns = Columns {
                first,
                count: S::LANES.min(extents.ow - x),
                place: self.first.moved(self.right, x),
                masks,
            };
            let end = x * STRIDE + load_at::<S>(STRIDE, loads - 1) + S::LANES;
            let within = first >= 0 && end <= extents.w + left;
            let mut y = 0;
            while y < extents.oh {
                macro_rules! rows {
                    ($rows:literal) => {{
                        let end = (y + $rows - 1) * STRIDE + K;
                        match within && y * STRIDE >= top && end <= extents.h + top {
                            true => {
                                self.rows::<S, $rows, K, STRIDE, true>(simd, &weights, &columns, y)
                            }
                            false => {
                                self.rows::<S, $rows, K, STRIDE, false>(simd, &weights, &columns, y)
                            }
                        }
                        $rows
                    }};
                }
                y += match extents.oh - y {
                    8.. if const { most_rows::<S>(K, STRIDE) == 8 } => rows!(8),
                    4.. => rows!(4),
                    2.. => rows!(2),
                    _ => rows!(1),
                };
            }
        }
    }

    /// `RB` rows of a vector of columns, from row `y` on. `WHOLE`: all that is loaded is in the image.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn rows<S: Simd, const RB: usize, const K: usize, const STRIDE: usize, const WHOLE: bool>(
        &self,
        simd: S,
        weights: &[[S::F32; K]; K],
        columns: &Columns<S::Mask>,
        y: usize,
    ) {
        let (image, extents) = (&self.job.x, self.job.extents);
        let above = (y * STRIDE) as isize - self.job.spec.padding[0] as isize;
        let src = self.src.wrapping_offset(above * image.y + columns.first);
        let mut sums = [[simd.splat(self.bias)]; RB];
        for i in 0..(RB - 1) * STRIDE + K {
            let row = above + i as isize;
            if !WHOLE && (row < 0 || row >= extents.h as isize) {
                continue;
            }
            let src = src.wrapping_offset(i as isize * image.y);
            macro_rules! load {
                ($i:expr) => {{
                    let at = src.wrapping_add(load_at::<S>(STRIDE, $i));
                    // SAFETY: a row of the image, in which the lanes of the mask, or all, are columns.
                    unsafe {
                        match WHOLE {
                            true => simd.load_ptr(at),
                            false => simd.load_masked_ptr(at, columns.masks[$i]),
                        }
                    }
                }};
            }
            let mut taps = [simd.zero(); K];
            if STRIDE == 1 {
                for x in 0..K {
                    taps[x] = load!(x);
                }
            } else {
                for pair in 0..K.div_ceil(2) {
                    let (even, odd) = simd.deinterleave(load!(2 * pair), load!(2 * pair + 1));
                    taps[2 * pair] = even;
                    if 2 * pair + 1 < K {
                        taps[2 * pair + 1] = odd;
                    }
                }
            }
            for x in 0..K {
                for r in 0..RB {
                    if i >= r * STRIDE && i < r * STRIDE + K {
                        sums[r][0] = simd.fma(weights[i - r * STRIDE][x], taps[x], sums[r][0]);
                    }
                }
            }
        }
        let mut rows = [columns.place.moved(self.down, y); RB];
        for r in 1..RB {
            rows[r] = rows[r - 1].moved(self.down, 1);
        }
        let (finish, channel): (&Finish<'_>, _) = (self.job.finish, self.channel);
        let start = [Place::default()];
        // SAFETY: the rows and columns are outputs of this channel, which is the task's own.
        unsafe {
            store::<S, RB, 1, SINGLE>(simd, sums, finish, channel, rows, start, [columns.count])
        };
    }
}
