//! The two types of samples: how rows of them become vectors, and vectors pixels.

use crate::image::Sample;
use crate::simd::Narrow;
use crate::tensor::Element;

/// Samples of images that are warped: `u8` and `f32`.
#[allow(private_bounds)]
pub trait Texel: Sample + sealed::Texel {}

impl Texel for u8 {}
impl Texel for f32 {}

pub(in crate::image) mod sealed {
    use super::*;

    /// What the kernels need of a sample.
    pub trait Texel: Element {
        /// Samples that [`row`](Texel::row) reads for `n` samples of `channels` each, at least.
        fn reads(n: usize) -> usize;
        /// The sample as a number.
        fn to_float(self) -> f32;
        /// The sample that is nearest, ties to even.
        fn from_float(value: f32) -> Self;
        /// `N` samples from each offset on: vector `i` holds the samples `offset + i`.
        ///
        /// # Safety
        /// `offsets` holds `LANES` values (in samples), and [`reads`](Texel::reads)`(N)` samples are readable there.
        unsafe fn row<S: Narrow, const N: usize>(
            simd: S,
            base: *const Self,
            offsets: *const u32,
        ) -> [S::F32; N];
        /// Bilinear interpolation with the samples of a pixel in the lanes of a block, not the pixels in lanes:
        /// what is best where a pixel is a block of memory. From `LANES` pixels at `offsets` of two rows, with the fractions
        /// there, to `to` (with a spill as that of [`put`](Texel::put)); false where it is not, and nothing is done.
        ///
        /// # Safety
        /// As [`row`](Texel::row) and [`put`](Texel::put), with `N` of `2 * C`; fractions are `LANES` each.
        #[inline(always)]
        unsafe fn by_blocks<S: Narrow, const C: usize>(
            _simd: S,
            _rows: [*const Self; 2],
            _offsets: *const u32,
            _fractions: (S::F32, S::F32),
            _to: *mut Self,
        ) -> bool {
            false
        }
        /// Writes `LANES` pixels of `C` samples, and possibly garbage behind them, [`SPILL`]
        /// samples at most. `u8` rounds (ties to even) and clamps.
        ///
        /// # Safety
        /// That much is writable.
        unsafe fn put<S: Narrow, const C: usize>(simd: S, pixels: [S::F32; C], to: *mut Self);
    }
}

/// What [`sealed::Texel::put`] may write behind its pixels.
pub(super) const SPILL: usize = 16;

/// Byte `k` of four in every lane, as a shuffle of blocks.
const fn every_fourth(k: u8) -> [u8; 64] {
    let mut index = [0x80; 64];
    let mut i = 0;
    while i < 16 {
        index[4 * i] = (4 * (i % 4)) as u8 + k;
        i += 1;
    }
    index
}
static EVERY_FOURTH: [[u8; 64]; 4] = [
    every_fourth(0),
    every_fourth(1),
    every_fourth(2),
    every_fourth(3),
];

/// The first `c` bytes of every four, moved together.
const fn together(c: u8) -> [u8; 64] {
    let mut index = [0x80; 64];
    let mut block = 0;
    while block < 4 {
        let mut i = 0;
        while i < 4 * c {
            index[16 * block + i as usize] = i / c * 4 + i % c;
            i += 1;
        }
        block += 1;
    }
    index
}
static TOGETHER: [[u8; 64]; 4] = [together(1), together(2), together(3), together(4)];

impl sealed::Texel for u8 {
    #[inline(always)]
    fn reads(n: usize) -> usize {
        match n {
            0..=4 => 4,
            _ => n.next_multiple_of(4),
        }
    }
    #[inline(always)]
    fn to_float(self) -> f32 {
        f32::from(self)
    }
    #[inline(always)]
    fn from_float(value: f32) -> u8 {
        value.round_ties_even() as u8
    }
    #[inline(always)]
    unsafe fn row<S: Narrow, const N: usize>(
        simd: S,
        base: *const u8,
        offsets: *const u32,
    ) -> [S::F32; N] {
        // SAFETY: the caller's promise: eight bytes are readable when N is 5 to 8, twelve and
        // sixteen when it is that; the tables have the bytes of the widest vector.
        unsafe {
            let first = match N {
                0..=4 => {
                    let four = simd.load_blocks_ptr::<4>(base, offsets);
                    (four, four)
                }
                _ => simd.load_byte_pairs_ptr(base, offsets),
            };
            let last = match N {
                0..=8 => first,
                _ => simd.load_byte_pairs_ptr(base.add(N - 8), offsets),
            };
            let mut row = [simd.zero(); N];
            let mut i = 0;
            while i < N {
                let word = match i / 4 {
                    0 => first.0,
                    1 => first.1,
                    w if w == N / 4 - 1 => last.1,
                    _ => last.0,
                };
                let pick = simd.load_bytes_ptr(EVERY_FOURTH[i % 4].as_ptr());
                let byte = simd.shuffle_bytes(word, pick);
                row[i] = simd.to_f32(simd.bytes_as_i32(byte));
                i += 1;
            }
            row
        }
    }
    #[inline(always)]
    unsafe fn put<S: Narrow, const C: usize>(simd: S, pixels: [S::F32; C], to: *mut u8) {
        let (low, high) = (simd.zero(), simd.splat(255.0));
        let byte = |v: S::F32| simd.round_to_i32(simd.min(simd.max(v, low), high));
        // SAFETY: the caller's promise.
        unsafe {
            if C == 1 {
                return simd.store_u8_ptr(to, byte(pixels[0]));
            }
            let mut words = byte(pixels[0]);
            if C > 1 {
                words = simd.or_i32(words, simd.shl_i32::<8>(byte(pixels[1])));
            }
            if C > 2 {
                words = simd.or_i32(words, simd.shl_i32::<16>(byte(pixels[2])));
            }
            if C > 3 {
                words = simd.or_i32(words, simd.shl_i32::<24>(byte(pixels[3])));
                return simd.store_i32_ptr(to.cast(), words);
            }
            let order = simd.load_bytes_ptr(TOGETHER[C - 1].as_ptr());
            let bytes = simd.shuffle_bytes(simd.i32_as_bytes(words), order);
            // A block is C times four bytes; what is behind them is overwritten by the next.
            let floats = simd.bits_to_f32(simd.bytes_as_i32(bytes));
            simd.store_float_blocks_ptr(to.cast(), C, floats);
        }
    }
}

impl sealed::Texel for f32 {
    #[inline(always)]
    fn reads(n: usize) -> usize {
        // Two pixels of three samples are read as two blocks of four.
        if n == 6 { 7 } else { n }
    }
    #[inline(always)]
    unsafe fn by_blocks<S: Narrow, const C: usize>(
        simd: S,
        [top, bottom]: [*const f32; 2],
        offsets: *const u32,
        (x, y): (S::F32, S::F32),
        to: *mut f32,
    ) -> bool {
        if C < 3 {
            return false;
        }
        let mut fx = [0f32; crate::simd::MAX_LANES];
        let mut fy = [0f32; crate::simd::MAX_LANES];
        // SAFETY: the caller's promise; four samples from the second pixel on are `2 * C` or one more.
        unsafe {
            simd.store_ptr(fx.as_mut_ptr(), x);
            simd.store_ptr(fy.as_mut_ptr(), y);
            for lane in (0..S::LANES).step_by(S::BLOCKS) {
                let (at, x) = (
                    offsets.add(lane),
                    simd.splat_blocks_ptr(fx.as_ptr().add(lane)),
                );
                let a = simd.load_float_blocks_ptr(top, at);
                let b = simd.load_float_blocks_ptr(top.add(C), at);
                let c = simd.load_float_blocks_ptr(bottom, at);
                let d = simd.load_float_blocks_ptr(bottom.add(C), at);
                let above = simd.fma(x, simd.sub(b, a), a);
                let below = simd.fma(x, simd.sub(d, c), c);
                let y = simd.splat_blocks_ptr(fy.as_ptr().add(lane));
                let v = simd.fma(y, simd.sub(below, above), above);
                simd.store_float_blocks_ptr(to.add(lane * C), C, v);
            }
        }
        true
    }
    #[inline(always)]
    fn to_float(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_float(value: f32) -> f32 {
        value
    }
    #[inline(always)]
    unsafe fn row<S: Narrow, const N: usize>(
        simd: S,
        base: *const f32,
        offsets: *const u32,
    ) -> [S::F32; N] {
        let mut row = [simd.zero(); N];
        let mut i = 0;
        while i < N {
            // SAFETY: the caller's promise; N is even.
            (row[i], row[i + 1]) = unsafe { simd.load_float_pairs_ptr(base.add(i), offsets) };
            i += 2;
        }
        row
    }
    #[inline(always)]
    unsafe fn put<S: Narrow, const C: usize>(simd: S, pixels: [S::F32; C], to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            if C == 1 {
                return simd.store_ptr(to, pixels[0]);
            }
            let mut lanes = [[0f32; crate::simd::MAX_LANES]; C];
            let mut c = 0;
            while c < C {
                simd.store_ptr(lanes[c].as_mut_ptr(), pixels[c]);
                c += 1;
            }
            for (c, lanes) in lanes.iter().enumerate() {
                for (i, &value) in lanes.iter().enumerate().take(S::LANES) {
                    *to.add(i * C + c) = value;
                }
            }
        }
    }
}
