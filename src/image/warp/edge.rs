//! Vectors of pixels some of whose samples are outside of the image.
//!
//! Each lane collects its samples one by one, those outside from where the border says, into
//! vectors of taps; then the arithmetic is that of the inside, so that a pixel does not depend on which of the
//! two ways made it. A row of a rotated image has two such vectors or more, so
//! this is not rare enough to be slow: where rows and columns are is known once a lane,
//! and only what is outside takes a detour.

use super::border::{Border, FAR};
use super::sample::{Bounds, Source, Weights};
use super::texel::Texel;
use crate::simd::{Isa, MAX_LANES, Narrow, dispatch};
use std::mem::MaybeUninit;

/// An offset that no sample has.
const NONE: usize = usize::MAX;

impl<T: Texel> Source<'_, T> {
    /// Makes a vector of pixels at `places`, x and y, of which some samples may be outside. Not inlined
    /// into the kernels: there is much of it.
    ///
    /// # Safety
    /// `LANES` places are readable, and that many pixels and a spill behind them writable.
    #[inline(never)]
    pub(super) unsafe fn at_edge<const K: usize, const C: usize, const N: usize>(
        &self,
        isa: Isa,
        places: (*const f32, *const f32),
        to: *mut T,
    ) {
        // SAFETY: the caller's promise.
        dispatch!(isa, simd => unsafe { self.edge::<_, K, C, N>(simd, places, to) });
    }

    /// # Safety
    /// As [`at_edge`](Source::at_edge).
    #[inline(always)]
    unsafe fn edge<S: Narrow, const K: usize, const C: usize, const N: usize>(
        &self,
        simd: S,
        (px, py): (*const f32, *const f32),
        to: *mut T,
    ) {
        let size = self.rows.size;
        let (width, height) = (size.width as i32, size.height as i32);
        // SAFETY: the caller's promise.
        let (mut x, mut y) = unsafe { (simd.load_ptr(px), simd.load_ptr(py)) };
        let all = u32::MAX >> (32 - S::LANES as u32);
        let mut outside = 0;
        let far = simd.splat(FAR);
        let near = simd.and(simd.lt(simd.abs(x), far), simd.lt(simd.abs(y), far));
        if !simd.all(near) {
            let (mut near_x, mut near_y) = ([0f32; MAX_LANES], [0f32; MAX_LANES]);
            for lane in 0..S::LANES {
                // SAFETY: the caller's promise.
                let (x, y) = unsafe { (*px.add(lane), *py.add(lane)) };
                match (self.border.near(x, width), self.border.near(y, height)) {
                    (Some(x), Some(y)) => (near_x[lane], near_y[lane]) = (x, y),
                    _ => outside |= 1 << lane,
                }
            }
            (x, y) = (simd.load(&near_x), simd.load(&near_y));
        }
        let (fx, fy) = match K {
            1 => (simd.round(x), simd.round(y)),
            _ => (simd.floor(x), simd.floor(y)),
        };
        if self.border == Border::Constant {
            // No sample of the kernel is inside: the value itself, whatever weights sum to.
            let bounds = Bounds::new::<T, K, C>(simd, self, (0.0, 0.0));
            outside |= all & !simd.mask_bits(bounds.touched(simd, fx, fy));
        }
        let before = simd.splat_i32(if K == 4 { 1 } else { 0 });
        let (mut ix, mut iy) = ([0i32; MAX_LANES], [0i32; MAX_LANES]);
        let mut taps = [const { MaybeUninit::<[f32; MAX_LANES]>::uninit() }; 64];
        // SAFETY: arrays of the widest vector; offsets are of samples inside of the image; the
        // caller's room for a vector of pixels.
        unsafe {
            simd.store_i32_ptr(ix.as_mut_ptr(), simd.sub_i32(simd.trunc_to_i32(fx), before));
            simd.store_i32_ptr(iy.as_mut_ptr(), simd.sub_i32(simd.trunc_to_i32(fy), before));
            for lane in 0..S::LANES {
                let mut columns = [NONE; K];
                for (k, column) in columns.iter_mut().enumerate() {
                    if let Some(at) = self.border.index(ix[lane] + k as i32, width) {
                        *column = at as usize * C;
                    }
                }
                for r in 0..K {
                    let row = match self.border.index(iy[lane] + r as i32, height) {
                        Some(at) => self.start.wrapping_add_signed(self.step * at as isize),
                        None => NONE,
                    };
                    for (k, &column) in columns.iter().enumerate() {
                        let from = match row == NONE || column == NONE {
                            true => self.value.as_ptr(),
                            false => self.base.add(row + column),
                        };
                        for c in 0..C {
                            let sample = *from.add(c);
                            if K == 1 {
                                *to.add(lane * C + c) = sample;
                            } else {
                                let tap = taps[(r * K + k) * C + c].as_mut_ptr().cast::<f32>();
                                *tap.add(lane) = sample.to_float();
                            }
                        }
                    }
                }
            }
            if K > 1 {
                let weights = Weights::new::<K>(simd, simd.sub(x, fx), simd.sub(y, fy));
                let mut sum = [simd.zero(); C];
                for (r, taps) in taps.chunks_exact(N).take(K).enumerate() {
                    let row = std::array::from_fn(|n| simd.load_ptr(taps[n].as_ptr().cast()));
                    sum = weights.add::<K, C, N>(simd, r, row, sum);
                }
                T::put::<S, C>(simd, sum, to);
            }
            while outside != 0 {
                let lane = outside.trailing_zeros() as usize;
                to.add(lane * C)
                    .copy_from_nonoverlapping(self.value.as_ptr(), C);
                outside &= outside - 1;
            }
        }
    }
}
