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
use std::mem::MaybeUninit;

/// Destination pixels whose coordinates are there at once.
pub(super) const ROOM: usize = 512;

/// Room for the coordinates of a block of destination pixels.
#[repr(align(64))]
pub(super) struct Room {
    pub(super) x: [f32; ROOM],
    pub(super) y: [f32; ROOM],
}

impl Room {
    pub(super) fn new() -> Room {
        Room {
            x: [0.0; ROOM],
            y: [0.0; ROOM],
        }
    }
}

/// The coordinates of a run of pixels; as many as the widest vector has lanes, at least.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) x: &'a [f32],
    pub(super) y: &'a [f32],
    /// About how far from them the pixels [`AHEAD`] rows below look, (x, y).
    pub(super) ahead: (f32, f32),
}

/// What is asked for is what the pixels so many rows below will look at. Where rows run across the source no CPU
/// sees this coming, and a few pixels ahead is too late; but other pixels of the same lines have asked for
/// most of it already, so one pixel in [`ask`] is enough.
pub(super) const AHEAD: usize = 4;

const fn ask(pixel: usize) -> usize {
    match pixel {
        1 => 16,
        2 => 8,
        _ => 4,
    }
}

/// How a vector of pixels is made.
#[derive(Clone, Copy)]
enum Way {
    /// All samples are inside of the image, at the offsets that are known.
    Inside,
    /// Some are not.
    Edge,
    /// None is: the border's value.
    Outside,
}

/// Pixels to be made, in a row.
pub(super) struct Target<T> {
    pub(super) first: *mut T,
    pub(super) count: usize,
    /// Samples that may be written from the first pixel on, those behind `count` pixels with anything.
    pub(super) room: usize,
}

/// An image to take samples from, and what lies outside.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub(super) rows: Rows<'a, T>,
    pub(super) border: Border,
    pub(super) value: [T; 4],
    /// The first sample in memory.
    pub(super) base: *const T,
    /// From there to row 0, and from row to row (negative if row 0 is the last in memory).
    pub(super) start: usize,
    pub(super) step: isize,
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

/// Makes pixels of a source.
type Sampler<'a, T> = unsafe fn(&Source<'a, T>, Isa, Places<'_>, &Target<T>);

/// What the vectors of a call share.
pub(super) struct Bounds<S: Narrow> {
    /// Where kernels of `K` taps that read some more pixels stay inside: `low <= x < high`.
    low: S::F32,
    high_x: S::F32,
    high_y: S::F32,
    /// Where at least one tap of a kernel is inside.
    touch_low: S::F32,
    touch_high_x: S::F32,
    touch_high_y: S::F32,
    /// The offset of the first tap at (0, 0), and what a row adds.
    start: S::I32,
    step: S::I32,
    /// Samples from the taps to what is asked for.
    ahead: isize,
}

impl<S: Narrow> Bounds<S> {
    #[inline(always)]
    pub(super) fn new<T: Texel, const K: usize, const C: usize>(
        simd: S,
        source: &Source<'_, T>,
        (ahead_x, ahead_y): (f32, f32),
    ) -> Bounds<S> {
        // Taps in front of the coordinate's integer part.
        let before = if K == 4 { 1 } else { 0 };
        let reads = match (K, C) {
            (1, 3) => 2,
            (1, _) => 1,
            _ => T::reads(K * C).div_ceil(C),
        };
        let size = source.rows.size;
        let high = |len: usize, reads: usize| match source.small {
            true => not_above(len as i64 - reads as i64 + 1 + before),
            false => f32::NEG_INFINITY,
        };
        let touch_low = if K == 1 { 0.0 } else { -1.0 - before as f32 };
        let first = source.start as isize - before as isize * (source.step + C as isize);
        Bounds {
            low: simd.splat(before as f32),
            high_x: simd.splat(high(size.width, reads)),
            high_y: simd.splat(high(size.height, K)),
            touch_low: simd.splat(touch_low),
            touch_high_x: simd.splat((size.width as i64 + before) as f32),
            touch_high_y: simd.splat((size.height as i64 + before) as f32),
            start: simd.splat_i32(first as i32),
            step: simd.splat_i32(source.step as i32),
            // It is a hint: nothing depends on what overflows.
            ahead: source
                .step
                .wrapping_mul(ahead_y.round_ties_even() as isize)
                .wrapping_add((ahead_x.round_ties_even() as isize).wrapping_mul(C as isize)),
        }
    }

    /// Lanes that have a tap inside.
    #[inline(always)]
    pub(super) fn touched(&self, simd: S, fx: S::F32, fy: S::F32) -> S::Mask {
        let x = simd.and(simd.le(self.touch_low, fx), simd.lt(fx, self.touch_high_x));
        let y = simd.and(simd.le(self.touch_low, fy), simd.lt(fy, self.touch_high_y));
        simd.and(x, y)
    }
}

impl<'a, T: Texel> Source<'a, T> {
    /// `rows` are not empty.
    pub(super) fn new(rows: Rows<'a, T>, border: Border, value: [f32; 4]) -> Source<'a, T> {
        let (first, stride) = rows.address();
        let last = rows.size.height - 1;
        let step = if last == 0 { 0 } else { stride };
        let span = step.unsigned_abs().checked_mul(last);
        let start = if step < 0 { span.unwrap_or(0) } else { 0 };
        let span = span.map(|span| span + rows.size.row());
        Source {
            rows,
            border,
            value: value.map(T::from_float),
            fill: std::array::from_fn(|i| T::from_float(value[i % rows.size.channels])),
            // SAFETY: the first sample of the last row, or of the first, is inside.
            base: unsafe { first.sub(start) },
            start,
            step,
            small: span.is_some_and(|span| span <= i32::MAX as usize),
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

    /// # Safety
    /// `target` is writable, and no other thread's; places are as many as it has pixels.
    unsafe fn enter<const K: usize, const C: usize, const N: usize>(
        &self,
        isa: Isa,
        places: Places<'_>,
        target: &Target<T>,
    ) {
        // SAFETY: the caller's promise.
        dispatch!(isa, simd => unsafe { self.run::<_, K, C, N>(simd, isa, places, target) });
    }

    /// Makes the pixels of `target`.
    ///
    /// `K` is 1 for nearest, 2 for linear, 4 for cubic; `C` are the channels, `N` is `K * C`.
    ///
    /// # Safety
    /// As [`enter`](Source::enter).
    #[inline(always)]
    unsafe fn run<S: Narrow, const K: usize, const C: usize, const N: usize>(
        &self,
        simd: S,
        isa: Isa,
        places: Places<'_>,
        target: &Target<T>,
    ) {
        let &Target { first, count, room } = target;
        assert!(N == K * C && C == self.rows.size.channels && count > 0 && count <= ROOM);
        let need = count.max(S::LANES);
        assert!(places.x.len() >= need && places.y.len() >= need);
        let bounds = Bounds::new::<T, K, C>(simd, self, places.ahead);
        let vectors = count.div_ceil(S::LANES);
        // The last vector makes some pixels again that the one before has made: the same bits.
        let at = |vector: usize| (vector * S::LANES).min(count.saturating_sub(S::LANES));
        let mut offsets = [const { MaybeUninit::<u32>::uninit() }; ROOM + MAX_LANES];
        let offsets = offsets.as_mut_ptr().cast::<u32>();
        let mut ways = [Way::Inside; ROOM / 4];
        // SAFETY: the lengths of places are checked above, and there are as many offsets.
        let locate = |vector: usize| unsafe {
            let (x, y) = (
                places.x.as_ptr().add(at(vector)),
                places.y.as_ptr().add(at(vector)),
            );
            let (x, y) = (simd.load_ptr(x), simd.load_ptr(y));
            let offsets = offsets.add(vector * S::LANES);
            self.locate::<S, K, C>(simd, &bounds, (x, y), offsets)
        };
        // Bytes that are interpolated are all located first: else the CPU, which has room for some two hundred
        // instructions, waits for places when it could wait for samples. For floats and for nearest there is less
        // to wait for than the memory, which is better asked evenly.
        let first_all = K > 1 && size_of::<T>() == 1;
        if first_all {
            for (vector, way) in ways.iter_mut().enumerate().take(vectors) {
                *way = locate(vector);
            }
        }
        // Vectors at the end of a row, which have no room for what they spill, and short ones.
        let mut stage = [const { MaybeUninit::<T>::uninit() }; 4 * MAX_LANES + SPILL];
        for (vector, &way) in ways.iter().enumerate().take(vectors) {
            let way = if first_all { way } else { locate(vector) };
            let at = at(vector);
            // SAFETY: as above, and the target has `room`.
            unsafe {
                let (x, y) = (places.x.as_ptr().add(at), places.y.as_ptr().add(at));
                let to = first.add(at * C);
                let fits = (at + S::LANES) * C + SPILL <= room;
                let stage = stage.as_mut_ptr().cast::<T>();
                let out = if fits { to } else { stage };
                match way {
                    Way::Inside => {
                        let offsets = offsets.add(vector * S::LANES);
                        self.vector::<S, K, C, N>(simd, (x, y), offsets, bounds.ahead, out);
                    }
                    Way::Edge => self.at_edge::<K, C, N>(isa, (x, y), out),
                    Way::Outside => {
                        out.copy_from_nonoverlapping(self.fill.as_ptr(), S::LANES * C);
                    }
                }
                if !fits {
                    to.copy_from_nonoverlapping(stage, S::LANES.min(count) * C);
                }
            }
        }
    }

    /// Where the first taps of a vector of pixels are, if all of its samples are inside.
    ///
    /// # Safety
    /// `LANES` offsets are writable.
    #[inline(always)]
    unsafe fn locate<S: Narrow, const K: usize, const C: usize>(
        &self,
        simd: S,
        bounds: &Bounds<S>,
        (x, y): (S::F32, S::F32),
        offsets: *mut u32,
    ) -> Way {
        let (fx, fy) = match K {
            1 => (simd.round(x), simd.round(y)),
            _ => (simd.floor(x), simd.floor(y)),
        };
        let in_x = simd.and(simd.le(bounds.low, fx), simd.lt(fx, bounds.high_x));
        let in_y = simd.and(simd.le(bounds.low, fy), simd.lt(fy, bounds.high_y));
        if !simd.all(simd.and(in_x, in_y)) {
            let touched = self.border != Border::Constant || simd.any(bounds.touched(simd, fx, fy));
            return if touched { Way::Edge } else { Way::Outside };
        }
        let (ix, iy) = (simd.trunc_to_i32(fx), simd.trunc_to_i32(fy));
        let row = simd.add_i32(simd.mul_i32(iy, bounds.step), bounds.start);
        let at = match C {
            1 => simd.add_i32(row, ix),
            _ => simd.add_i32(row, simd.mul_i32(ix, simd.splat_i32(C as i32))),
        };
        // SAFETY: the caller's room.
        unsafe { simd.store_i32_ptr(offsets.cast(), at) };
        Way::Inside
    }

    /// Makes the vector of pixels at the places `x` and `y`, and asks for what is so many samples ahead.
    ///
    /// # Safety
    /// `LANES` places are readable, and that many pixels and a spill behind them writable. The offsets are
    /// of [`locate`](Source::locate): every lane is at least `K` rows and `reads` pixels away from the end
    /// of the image, which spans less than 2^31 samples.
    #[inline(always)]
    unsafe fn vector<S: Narrow, const K: usize, const C: usize, const N: usize>(
        &self,
        simd: S,
        (x, y): (*const f32, *const f32),
        offsets: *const u32,
        ahead: isize,
        to: *mut T,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            for lane in (0..S::LANES).step_by(ask(C * size_of::<T>())) {
                let line = self.base.wrapping_add(*offsets.add(lane) as usize);
                simd.prefetch(line.wrapping_offset(ahead).cast());
            }
            if K == 1 {
                for lane in 0..S::LANES {
                    let from = self.base.add(*offsets.add(lane) as usize);
                    match C {
                        // Four samples are one move; the last one is overwritten.
                        3 => to
                            .add(lane * C)
                            .cast::<[T; 4]>()
                            .write_unaligned(from.cast::<[T; 4]>().read_unaligned()),
                        _ => *to.cast::<[T; C]>().add(lane) = *from.cast::<[T; C]>(),
                    }
                }
                return;
            }
            let (x, y) = (simd.load_ptr(x), simd.load_ptr(y));
            let (wx, wy) = (simd.sub(x, simd.floor(x)), simd.sub(y, simd.floor(y)));
            if K == 2 {
                let rows = [self.base, self.base.offset(self.step)];
                if T::by_blocks::<S, C>(simd, rows, offsets, (wx, wy), to) {
                    return;
                }
            }
            let weights = Weights::new::<K>(simd, wx, wy);
            let mut sum = [simd.zero(); C];
            let mut r = 0;
            while r < K {
                let base = self.base.offset(r as isize * self.step);
                let row = T::row::<S, N>(simd, base, offsets);
                sum = weights.add::<K, C, N>(simd, r, row, sum);
                r += 1;
            }
            T::put::<S, C>(simd, sum, to);
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
