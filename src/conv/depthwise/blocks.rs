//! Small images, in either layout: a padded copy of a block of channels, channels in the lanes.
//!
//! Rows of 7 or 14 columns leave lanes empty when columns are lanes, and what a row costs beside its
//! sums is paid for each channel; when channels are lanes, the many pixels at the edge, whose windows are
//! cut, cannot be summed together. A padded copy of as many channels as there are lanes
//! fits L1 and knows no edge: up to eight neighbouring outputs share each load of weights. NCHW
//! planes are transposed in registers on the way in and out.

use super::super::finish::Place;
use super::super::gather::channels_last;
use super::super::weights::{Form, part};
use super::Job;
use crate::simd::{MAX_LANES, Simd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Floats of a padded block of channels: L1, or little more than that.
const MAX_FLOATS: usize = 8 << 10;
/// Outputs that are summed at once.
const MAX_RUN: usize = 8;

pub(super) struct Blocks<'a> {
    job: &'a Job<'a>,
    lanes: usize,
    /// Channels are neighbours in memory; else pixels are.
    channels_last: bool,
    /// Rows and columns of a padded plane.
    height: usize,
    width: usize,
}

impl<'a> Blocks<'a> {
    /// `None` where the copy would be large, or memory is not in an order that this knows.
    pub(super) fn new(job: &'a Job<'a>, lanes: usize) -> Option<Blocks<'a>> {
        let (spec, extents) = (job.spec, job.extents);
        let [top, bottom, left, right] = spec.padding;
        let height = extents.h.checked_add(top)?.checked_add(bottom)?;
        let width = extents.w.checked_add(left)?.checked_add(right)?;
        let floats = height.checked_mul(width)?.checked_mul(lanes)?;
        let channels_last = job.weights.form == Form::DepthwiseLanes;
        let suits = spec.og == 1
            && floats <= MAX_FLOATS
            && spec.depth() <= MAX_FLOATS / lanes
            && match channels_last {
                true => job.x.c == 1 && job.finish.channels_together(),
                false => job.x.x == 1 && job.finish.rows_together(extents.ow),
            };
        suits.then_some(Blocks {
            job,
            lanes,
            channels_last,
            height,
            width,
        })
    }

    /// Blocks of channels of an image.
    pub(super) fn count(&self) -> usize {
        self.job.spec.groups.div_ceil(self.lanes)
    }

    /// Scratch of a task: the padded planes, the flat ones, the weights and the sums.
    pub(super) fn floats(&self) -> usize {
        let extents = self.job.extents;
        let sums = extents.oh * extents.ow;
        self.lanes
            * (self.height * self.width
                + extents.h * extents.w
                + self.job.spec.depth().next_multiple_of(self.lanes)
                + sums)
    }

    /// The blocks `blocks` of image `n`.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &self,
        simd: S,
        n: usize,
        blocks: Range<usize>,
        scratch: &mut [f32],
    ) {
        let extents = self.job.extents;
        assert!(S::LANES == self.lanes && scratch.len() >= self.floats());
        let (padded, scratch) = scratch.split_at_mut(self.height * self.width * S::LANES);
        let (flat, scratch) = scratch.split_at_mut(extents.h * extents.w * S::LANES);
        let depth = self.job.spec.depth().next_multiple_of(S::LANES);
        let (weights, sums) = scratch.split_at_mut(depth * S::LANES);
        // What lies outside of the image stays zero from block to block.
        padded.fill(0.0);
        for block in blocks {
            let channel = block * S::LANES;
            let count = S::LANES.min(self.job.spec.groups - channel);
            // SAFETY: `channel` and `count` are channels of the image and of the output, which are this
            // task's; the parts of the scratch have the sizes that `floats` adds up.
            unsafe {
                if self.channels_last {
                    let (all, step) = (self.job.weights.weights(), self.job.spec.outputs());
                    let weights = all.as_ptr().wrapping_add(channel);
                    self.copy_image(simd, n, channel, count, padded.as_mut_ptr());
                    self.sum(
                        simd,
                        channel,
                        padded.as_ptr(),
                        weights,
                        step,
                        sums.as_mut_ptr(),
                    );
                    self.store(simd, n, channel, count, sums.as_ptr());
                } else {
                    self.turn_image(
                        simd,
                        n,
                        channel,
                        count,
                        padded.as_mut_ptr(),
                        flat.as_mut_ptr(),
                    );
                    self.turn_weights(simd, channel, count, weights.as_mut_ptr());
                    let weights = weights.as_ptr();
                    self.sum(
                        simd,
                        channel,
                        padded.as_ptr(),
                        weights,
                        S::LANES,
                        sums.as_mut_ptr(),
                    );
                    self.store_turned(simd, n, channel, count, sums.as_ptr());
                }
            }
        }
    }

    /// # Safety
    /// The channels exist; `padded` is writable for its planes.
    #[inline(always)]
    unsafe fn copy_image<S: Simd>(
        &self,
        simd: S,
        n: usize,
        channel: usize,
        count: usize,
        padded: *mut f32,
    ) {
        let (image, extents) = (&self.job.x, self.job.extents);
        for y in 0..extents.h {
            let from = n as isize * image.n + channel as isize + y as isize * image.y;
            let mut src = image.ptr.cast_const().wrapping_offset(from);
            let mut dst = self.place(padded, y, S::LANES);
            for _ in 0..extents.w {
                // SAFETY: channels of a pixel of the image, and its vector in the padded planes.
                unsafe {
                    let vector = match count == S::LANES {
                        true => simd.load_ptr(src),
                        false => simd.load_partial_ptr(src, count),
                    };
                    simd.store_ptr(dst, vector);
                }
                src = src.wrapping_offset(image.x);
                dst = dst.wrapping_add(S::LANES);
            }
        }
    }

    /// Where row `y` of the image begins in the padded planes.
    #[inline(always)]
    fn place(&self, padded: *mut f32, y: usize, lanes: usize) -> *mut f32 {
        let [top, _, left, _] = self.job.spec.padding;
        padded.wrapping_add(((top + y) * self.width + left) * lanes)
    }

    /// # Safety
    /// The channels exist; `padded` and `flat` are writable for their planes.
    #[inline(always)]
    unsafe fn turn_image<S: Simd>(
        &self,
        simd: S,
        n: usize,
        channel: usize,
        count: usize,
        padded: *mut f32,
        flat: *mut f32,
    ) {
        let (image, extents) = (&self.job.x, self.job.extents);
        let (h, w) = (extents.h, extents.w);
        let from = n as isize * image.n + channel as isize * image.c;
        let src = image.ptr.cast_const().wrapping_offset(from);
        // SAFETY: rows of the image, and rows of its size in the padded planes.
        unsafe {
            if w >= S::LANES || image.y != w as isize {
                for y in 0..h {
                    let row = src.wrapping_offset(y as isize * image.y);
                    channels_last(
                        simd,
                        image,
                        row,
                        count,
                        w,
                        S::LANES,
                        self.place(padded, y, S::LANES),
                    );
                }
            } else {
                channels_last(simd, image, src, count, h * w, S::LANES, flat);
                for y in 0..h {
                    let place = self.place(padded, y, S::LANES);
                    for x in 0..w {
                        let vector = simd.load_ptr(flat.add((y * w + x) * S::LANES));
                        simd.store_ptr(place.add(x * S::LANES), vector);
                    }
                }
            }
        }
    }

    /// # Safety
    /// The channels exist; `turned` is writable for as many taps as a multiple of the lanes.
    #[inline(always)]
    unsafe fn turn_weights<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        count: usize,
        turned: *mut f32,
    ) {
        let taps = self.job.spec.depth();
        let weights = self.job.weights.weights();
        for t in (0..taps).step_by(S::LANES) {
            let mut square = [[0f32; MAX_LANES]; MAX_LANES];
            let mut rows = [square[0].as_ptr(); MAX_LANES];
            for (c, row) in square.iter_mut().enumerate().take(S::LANES) {
                let first = (channel + c.min(count - 1)) * taps;
                let run = &weights[first + t..first + taps.min(t + S::LANES)];
                simd.store(row, simd.load_partial(run));
                rows[c] = row.as_ptr();
            }
            // SAFETY: rows of at least LANES floats; the caller's promise.
            unsafe { simd.transpose_ptr(&rows, turned.add(t * S::LANES), S::LANES) };
        }
    }

    /// # Safety
    /// `padded` was filled, each tap has a vector of weights, and `sums` is writable for all outputs.
    #[inline(always)]
    unsafe fn sum<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        padded: *const f32,
        weights: *const f32,
        weight_step: usize,
        sums: *mut f32,
    ) {
        let extents = self.job.extents;
        let [sh, sw] = self.job.spec.stride;
        // The bias goes on for a vector after the last channel.
        let bias = simd.load(&self.job.weights.bias()[channel..]);
        let runs = extents.ow.div_ceil(MAX_RUN);
        for y in 0..extents.oh {
            for run in 0..runs {
                let x = part(extents.ow, runs, run);
                let src = padded.wrapping_add((y * sh * self.width + x.start * sw) * S::LANES);
                let dst = sums.wrapping_add((y * extents.ow + x.start) * S::LANES);
                macro_rules! runs {
                    ($($count:literal)*) => {
                        match x.len() {
                            // SAFETY: the windows of these outputs are inside of the padded planes.
                            $($count => unsafe { self.run_of::<S, $count>(simd, bias, src, weights, weight_step, dst) },)*
                            _ => unreachable!(),
                        }
                    };
                }
                runs!(1 2 3 4 5 6 7 8);
            }
        }
    }

    /// `N` neighbouring outputs.
    ///
    /// # Safety
    /// As for [`sum`](Blocks::sum), from the first of them on.
    #[inline(always)]
    unsafe fn run_of<S: Simd, const N: usize>(
        &self,
        simd: S,
        bias: S::F32,
        src: *const f32,
        weights: *const f32,
        weight_step: usize,
        dst: *mut f32,
    ) {
        let spec = self.job.spec;
        let ([kh, kw], [dh, dw]) = (spec.kernel, spec.dilation);
        let step = spec.stride[1] * S::LANES;
        let mut sums = [bias; N];
        let mut weight = weights;
        for ky in 0..kh {
            let mut tap = src.wrapping_add(ky * dh * self.width * S::LANES);
            for _ in 0..kw {
                // SAFETY: the caller's promise.
                unsafe {
                    let w = simd.load_ptr(weight);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.fma(w, simd.load_ptr(tap.add(i * step)), *sum);
                    }
                }
                weight = weight.wrapping_add(weight_step);
                tap = tap.wrapping_add(dw * S::LANES);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { simd.store_ptr(dst.add(i * S::LANES), sum) };
        }
    }

    /// Finishes the sums and stores them.
    ///
    /// # Safety
    /// The channels exist, in the output and the residual, and are the caller's to write; `sums` has all outputs.
    #[inline(always)]
    unsafe fn store<S: Simd>(
        &self,
        simd: S,
        n: usize,
        channel: usize,
        count: usize,
        sums: *const f32,
    ) {
        let (finish, extents) = (self.job.finish, self.job.extents);
        let slope = finish.slope_lanes(simd, channel);
        for y in 0..extents.oh {
            for x in 0..extents.ow {
                let place = finish.place(n, channel, y, x);
                // SAFETY: the caller's promise; channels are neighbours in memory, see `new`.
                unsafe {
                    let value = simd.load_ptr(sums.add((y * extents.ow + x) * S::LANES));
                    finish.store_run(simd, value, slope, place, count);
                }
            }
        }
    }

    /// Turns the sums back into planes, finishes and stores them.
    ///
    /// # Safety
    /// As for [`store`](Blocks::store).
    #[inline(always)]
    unsafe fn store_turned<S: Simd>(
        &self,
        simd: S,
        n: usize,
        channel: usize,
        count: usize,
        sums: *const f32,
    ) {
        let (finish, extents) = (self.job.finish, self.job.extents);
        let pixels = extents.oh * extents.ow;
        let first = finish.place(n, channel, 0, 0);
        let step = finish.channel_step();
        let mut slopes = [0.0; MAX_LANES];
        simd.store(&mut slopes, finish.slope_lanes(simd, channel));
        let mut turned = MaybeUninit::<[f32; MAX_LANES * MAX_LANES]>::uninit();
        let turned = turned.as_mut_ptr().cast::<f32>();
        for p in (0..pixels).step_by(S::LANES) {
            let run = S::LANES.min(pixels - p);
            let mut rows = [sums; MAX_LANES];
            for (i, row) in rows.iter_mut().enumerate().take(S::LANES) {
                // Pixels beyond the last are read as the last, and not stored.
                *row = sums.wrapping_add((p + i.min(run - 1)) * S::LANES);
            }
            let along = Place {
                out: p as isize,
                residual: p as isize,
            };
            // SAFETY: the caller's promise; neighbouring pixels are neighbours in memory, see `new`.
            unsafe {
                simd.transpose_ptr(&rows, turned, S::LANES);
                for (c, &slope) in slopes.iter().enumerate().take(count) {
                    let value = simd.load_ptr(turned.add(c * S::LANES));
                    let place = first.moved(step, c).moved(along, 1);
                    finish.store_run(simd, value, simd.splat(slope), place, run);
                }
            }
        }
    }
}
