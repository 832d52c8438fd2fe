//! Pixels at arbitrary places of an image: nearest, bilinear and bicubic.
//!
//! A vector has one destination pixel in each lane. Where all of its samples lie inside of
//! the image, which is known from four comparisons, an offset per lane is all that is needed: one
//! 64-bit load a lane and row brings two pixels of up to four bytes (loads with inserts are
//! faster than gather instructions on the CPUs measured), shuffles deal samples to
//! vectors, and interpolation is the same few multiplications for all lanes. Vectors at
//! the border collect their samples one by one, and then do the same arithmetic, so that a
//! pixel does not depend on which of the two ways made it.

use super::border::Border;
use super::texel::{SPILL, Texel};
use crate::image::pixels::Rows;
use crate::simd::{Isa, MAX_LANES, Narrow, dispatch};

/// Destination pixels that are made at once: coordinates, then samples.
pub(super) const RUN: usize = 64;

/// Coordinates of a run of destination pixels.
#[repr(align(64))]
pub(super) struct Places {
    pub(super) x: [f32; RUN],
    pub(super) y: [f32; RUN],
}

impl Places {
    pub(super) fn new() -> Places {
        Places {
            x: [0.0; RUN],
            y: [0.0; RUN],
        }
    }
}

/// A run of destination pixels, at most four samples each.
#[repr(align(64))]
pub(super) struct Stage<T>(pub(super) [T; RUN * 4 + SPILL]);

/// An image to take samples from, and what lies outside.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    rows: Rows<'a, T>,
    border: Border,
    value: [T; 4],
    /// The row that is first in memory, and the distance of rows.
    base: *const T,
    step: usize,
    /// The last row is the first in memory.
    flipped: bool,
    /// Offsets fit 31 bits.
    small: bool,
    /// `value`, again and again: a vector of pixels.
    fill: [T; 4 * MAX_LANES],
}

// SAFETY: `base` is part of `rows`, a shared borrow of numbers.
unsafe impl<T: Texel> Send for Source<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Texel> Sync for Source<'_, T> {}

/// The largest float that is not above `n`.
fn not_above(n: i64) -> f32 {
    let f = n as f32;
    match f as i64 > n {
        true => f.next_down(),
        false => f,
    }
}

/// Makes a run of pixels of a source.
type Sampler<'a, T> = fn(&Source<'a, T>, Isa, &Places, usize, &mut Stage<T>);

/// Where kernels of `K` taps that read some more pixels stay inside: `low <= x < high`.
struct Inside {
    low: f32,
    high_x: f32,
    high_y: f32,
    /// Where at least one tap of a kernel is inside.
    touch_low: f32,
    touch_high_x: f32,
    touch_high_y: f32,
}

impl<'a, T: Texel> Source<'a, T> {
    /// `rows` are not empty.
    pub(super) fn new(rows: Rows<'a, T>, border: Border, value: [f32; 4]) -> Source<'a, T> {
        let (first, stride) = rows.address();
        let last = rows.size.height - 1;
        let flipped = stride < 0 && last > 0;
        let step = if last == 0 { 0 } else { stride.unsigned_abs() };
        let span = step.checked_mul(last).map(|span| span + rows.size.row());
        Source {
            rows,
            border,
            value: value.map(T::from_float),
            fill: std::array::from_fn(|i| T::from_float(value[i % rows.size.channels])),
            base: match flipped {
                // SAFETY: the first sample of the last row is inside.
                true => unsafe { first.offset(stride * last as isize) },
                false => first,
            },
            step,
            flipped,
            small: span.is_some_and(|span| span <= i32::MAX as usize),
        }
    }

    fn inside<const K: usize, const C: usize>(&self) -> Inside {
        // Taps in front of the coordinate's integer part.
        let before = if K == 4 { 1 } else { 0 };
        let reads = if K == 1 {
            1
        } else {
            T::reads(K * C).div_ceil(C)
        };
        let size = self.rows.size;
        let high = |len: usize, reads: usize| match self.small {
            true => not_above(len as i64 - reads as i64 + 1 + before),
            false => f32::NEG_INFINITY,
        };
        Inside {
            low: before as f32,
            high_x: high(size.width, reads),
            high_y: high(size.height, K),
            touch_low: if K == 1 { 0.0 } else { -1.0 - before as f32 },
            touch_high_x: (size.width as i64 + before) as f32,
            touch_high_y: (size.height as i64 + before) as f32,
        }
    }

    /// The sample at a place that may be outside.
    #[inline(always)]
    fn sample(&self, y: Option<i32>, x: Option<i32>, c: usize) -> T {
        match (y, x) {
            (Some(y), Some(x)) => {
                self.rows.row(y as usize)[x as usize * self.rows.size.channels + c]
            }
            _ => self.value[c],
        }
    }

    /// What makes pixels with so many taps a side: 1 is nearest, 2 linear, 4 cubic.
    pub(super) fn sampler(&self, taps: usize) -> Sampler<'a, T> {
        macro_rules! channels {
            ($($c:literal)*) => {
                match (taps, self.rows.size.channels) {
                    $((1, $c) => Source::enter::<1, $c, $c>,)*
                    $((2, $c) => Source::enter::<2, $c, { 2 * $c }>,)*
                    $((4, $c) => Source::enter::<4, $c, { 4 * $c }>,)*
                    _ => unreachable!("checked by the operators"),
                }
            };
        }
        channels!(1 2 3 4)
    }

    fn enter<const K: usize, const C: usize, const N: usize>(
        &self,
        isa: Isa,
        places: &Places,
        count: usize,
        stage: &mut Stage<T>,
    ) {
        dispatch!(isa, simd => self.run::<_, K, C, N>(simd, places, count, stage));
    }

    /// Makes `count` pixels at `places` (rounded up to whole vectors).
    ///
    /// `K` is 1 for nearest, 2 for linear, 4 for cubic; `C` are the channels, `N` is `K * C`.
    #[inline(always)]
    fn run<S: Narrow, const K: usize, const C: usize, const N: usize>(
        &self,
        simd: S,
        places: &Places,
        count: usize,
        stage: &mut Stage<T>,
    ) {
        assert!(N == K * C && C == self.rows.size.channels && count <= RUN && S::LANES <= RUN);
        let inside = self.inside::<K, C>();
        let low = simd.splat(inside.low);
        let high_x = simd.splat(inside.high_x);
        let high_y = simd.splat(inside.high_y);
        let first_row = simd.splat_i32(match self.flipped {
            true => (self.rows.size.height - K.min(self.rows.size.height)) as i32,
            false => 0,
        });
        let step = simd.splat_i32(if self.small { self.step as i32 } else { 0 });
        let channels = simd.splat_i32(C as i32);
        let before = simd.splat_i32(if K == 4 { 1 } else { 0 });
        let constant = self.border == Border::Constant;
        let touch_low = simd.splat(inside.touch_low);
        let touch_high_x = simd.splat(inside.touch_high_x);
        let touch_high_y = simd.splat(inside.touch_high_y);
        let mut offsets = [0u32; MAX_LANES];
        for i in (0..count).step_by(S::LANES) {
            // SAFETY: RUN is a multiple of LANES, so the vectors are inside of the arrays.
            let (x, y) = unsafe {
                (
                    simd.load_ptr(places.x.as_ptr().add(i)),
                    simd.load_ptr(places.y.as_ptr().add(i)),
                )
            };
            let (fx, fy) = match K {
                1 => (simd.round(x), simd.round(y)),
                _ => (simd.floor(x), simd.floor(y)),
            };
            let in_x = simd.and(simd.le(low, fx), simd.lt(fx, high_x));
            let in_y = simd.and(simd.le(low, fy), simd.lt(fy, high_y));
            // SAFETY: the stage has room for RUN pixels, and what a vector spills.
            let to = unsafe { stage.0.as_mut_ptr().add(i * C) };
            if !simd.all(simd.and(in_x, in_y)) {
                let touch_x = simd.and(simd.le(touch_low, fx), simd.lt(fx, touch_high_x));
                let touch_y = simd.and(simd.le(touch_low, fy), simd.lt(fy, touch_high_y));
                if constant && !simd.any(simd.and(touch_x, touch_y)) {
                    // SAFETY: `fill` has a vector of pixels, and there is room for one.
                    unsafe { to.copy_from_nonoverlapping(self.fill.as_ptr(), S::LANES * C) };
                    continue;
                }
                self.border::<S, K, C, N>(simd, places, i, to);
                continue;
            }
            let ix = simd.sub_i32(simd.trunc_to_i32(fx), before);
            let iy = simd.sub_i32(simd.trunc_to_i32(fy), before);
            let row = match self.flipped {
                true => simd.sub_i32(first_row, iy),
                false => iy,
            };
            let at = simd.add_i32(simd.mul_i32(row, step), simd.mul_i32(ix, channels));
            // SAFETY: there is room for the widest vector. Every lane is at least `K` rows and
            // `reads` pixels away from the end of the image, which spans less than 2^31 samples.
            unsafe {
                simd.store_i32_ptr(offsets.as_mut_ptr().cast(), at);
                if K == 1 {
                    for (lane, &offset) in offsets.iter().enumerate().take(S::LANES) {
                        let from = self.base.add(offset as usize).cast::<[T; C]>();
                        let to = to.cast::<[T; C]>().add(lane);
                        *to = *from;
                    }
                    continue;
                }
                let (wx, wy) = (simd.sub(x, fx), simd.sub(y, fy));
                if K == 2 {
                    let (up, down) = (self.base, self.base.add(self.step));
                    let rows = if self.flipped { [down, up] } else { [up, down] };
                    if T::by_blocks::<S, C>(simd, rows, offsets.as_ptr(), (wx, wy), to) {
                        continue;
                    }
                }
                let weights = Weights::new::<K>(simd, wx, wy);
                let mut sum = [simd.zero(); C];
                let mut r = 0;
                while r < K {
                    let down = if self.flipped { K - 1 - r } else { r };
                    let base = self.base.add(down * self.step);
                    let row = T::row::<S, N>(simd, base, offsets.as_ptr());
                    sum = weights.add::<K, C, N>(simd, r, row, sum);
                    r += 1;
                }
                T::put::<S, C>(simd, sum, to);
            }
        }
    }

    /// As [`run`](Source::run), one vector at `i`, of which some samples are outside.
    #[inline(always)]
    fn border<S: Narrow, const K: usize, const C: usize, const N: usize>(
        &self,
        simd: S,
        places: &Places,
        i: usize,
        to: *mut T,
    ) {
        let before = if K == 4 { 1 } else { 0 };
        let size = self.rows.size;
        let (width, height) = (size.width as i32, size.height as i32);
        let mut x = [0f32; MAX_LANES];
        let mut y = [0f32; MAX_LANES];
        let mut outside = [false; MAX_LANES];
        for lane in 0..S::LANES {
            let near_x = self.border.near(places.x[i + lane], width);
            let near_y = self.border.near(places.y[i + lane], height);
            let (Some(near_x), Some(near_y)) = (near_x, near_y) else {
                outside[lane] = true;
                continue;
            };
            (x[lane], y[lane]) = (near_x, near_y);
            if self.border == Border::Constant {
                // No sample of the kernel is inside: the value itself, whatever weights sum to.
                let out = |at: f32, len: i32| {
                    let first = match K {
                        1 => at.round_ties_even(),
                        _ => at.floor() - before as f32,
                    };
                    first < (1 - K as i32) as f32 || first > (len - 1) as f32
                };
                outside[lane] = out(near_x, width) || out(near_y, height);
            }
        }
        // SAFETY: arrays of the widest vector; the caller's room for a vector of pixels.
        unsafe {
            if outside[..S::LANES].iter().all(|&o| o) {
                for lane in 0..S::LANES {
                    for c in 0..C {
                        *to.add(lane * C + c) = self.value[c];
                    }
                }
                return;
            }
            if K == 1 {
                for lane in 0..S::LANES {
                    let (x, y) = (x[lane].round_ties_even(), y[lane].round_ties_even());
                    let at_x = self.border.index(x as i32, width);
                    let at_y = self.border.index(y as i32, height);
                    for c in 0..C {
                        *to.add(lane * C + c) = match outside[lane] {
                            true => self.value[c],
                            false => self.sample(at_y, at_x, c),
                        };
                    }
                }
                return;
            }
            let (vx, vy) = (simd.load_ptr(x.as_ptr()), simd.load_ptr(y.as_ptr()));
            let (fx, fy) = (simd.floor(vx), simd.floor(vy));
            let weights = Weights::new::<K>(simd, simd.sub(vx, fx), simd.sub(vy, fy));
            let mut columns = [[None; K]; MAX_LANES];
            for lane in 0..S::LANES {
                let first = x[lane].floor() as i32 - before;
                for (k, column) in columns[lane].iter_mut().enumerate() {
                    *column = self.border.index(first + k as i32, width);
                }
            }
            let mut sum = [simd.zero(); C];
            let mut taps = [[0f32; MAX_LANES]; N];
            let mut r = 0;
            while r < K {
                for lane in 0..S::LANES {
                    let at = y[lane].floor() as i32 - before + r as i32;
                    let at = self.border.index(at, height);
                    for k in 0..K {
                        for c in 0..C {
                            taps[k * C + c][lane] = self.sample(at, columns[lane][k], c).to_float();
                        }
                    }
                }
                let mut row = [simd.zero(); N];
                let mut n = 0;
                while n < N {
                    row[n] = simd.load_ptr(taps[n].as_ptr());
                    n += 1;
                }
                sum = weights.add::<K, C, N>(simd, r, row, sum);
                r += 1;
            }
            T::put::<S, C>(simd, sum, to);
            for (lane, &is_outside) in outside.iter().enumerate().take(S::LANES) {
                for c in 0..C {
                    if is_outside {
                        *to.add(lane * C + c) = self.value[c];
                    }
                }
            }
        }
    }
}

/// Weights of the taps of both axes. Linear has the fractions alone.
pub(super) struct Weights<V> {
    x: [V; 4],
    y: [V; 4],
}

impl<V: Copy> Weights<V> {
    #[inline(always)]
    pub(super) fn new<const K: usize>(simd: impl Narrow<F32 = V>, x: V, y: V) -> Weights<V> {
        match K {
            4 => Weights {
                x: cubic(simd, x),
                y: cubic(simd, y),
            },
            _ => Weights {
                x: [x; 4],
                y: [y; 4],
            },
        }
    }

    /// Takes row `r` of the taps (`N` is `K` pixels of `C` samples) to the sum of those before.
    #[inline(always)]
    pub(super) fn add<const K: usize, const C: usize, const N: usize>(
        &self,
        simd: impl Narrow<F32 = V>,
        r: usize,
        row: [V; N],
        mut sum: [V; C],
    ) -> [V; C] {
        let mut c = 0;
        while c < C {
            sum[c] = if K == 4 {
                let mut across = simd.mul(row[c], self.x[0]);
                let mut k = 1;
                while k < K {
                    across = simd.fma(row[k * C + c], self.x[k], across);
                    k += 1;
                }
                match r {
                    0 => simd.mul(across, self.y[0]),
                    _ => simd.fma(across, self.y[r], sum[c]),
                }
            } else {
                let across = simd.fma(self.x[0], simd.sub(row[C + c], row[c]), row[c]);
                match r {
                    0 => across,
                    _ => simd.fma(self.y[0], simd.sub(across, sum[c]), sum[c]),
                }
            };
            c += 1;
        }
        sum
    }
}

/// The parameter of Keys' kernel: OpenCV's, and torch's without antialiasing.
const A: f32 = -0.75;

/// The weight of a pixel that is `t` away, up to one: `((A + 2) t - (A + 3)) t t + 1`.
#[inline(always)]
fn near<S: Narrow>(simd: S, t: S::F32) -> S::F32 {
    let inner = simd.fma(t, simd.splat(A + 2.0), simd.splat(-(A + 3.0)));
    simd.fma(simd.mul(inner, t), t, simd.splat(1.0))
}

/// The weight of a pixel that is `t` away, one to two: `((A t - 5A) t + 8A) t - 4A`.
#[inline(always)]
fn far<S: Narrow>(simd: S, t: S::F32) -> S::F32 {
    let inner = simd.fma(t, simd.splat(A), simd.splat(-5.0 * A));
    let inner = simd.fma(inner, t, simd.splat(8.0 * A));
    simd.fma(inner, t, simd.splat(-4.0 * A))
}

/// The four weights of bicubic interpolation at a fraction.
#[inline(always)]
fn cubic<S: Narrow>(simd: S, t: S::F32) -> [S::F32; 4] {
    let one = simd.splat(1.0);
    let first = far(simd, simd.add(t, one));
    let (second, third) = (near(simd, t), near(simd, simd.sub(one, t)));
    // What makes the sum one.
    let fourth = simd.sub(simd.sub(simd.sub(one, first), second), third);
    [first, second, third, fourth]
}
