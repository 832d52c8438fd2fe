//! NCHW convolution as a matrix product whose right side never exists.
//!
//! C = W · X: a row for each output channel, a column for each output pixel, and in X,
//! for each term of the sum, the values that the pixels read for it. The matrix
//! engine asks for X a panel at a time, some sixteen pixels by a block of terms, and
//! gets it from the image right then: neighbouring pixels read
//! neighbouring values, so a step of a panel is a copy of a vector or two. The panel is in L1
//! when it is used, by all output channels. With many of them
//! the copies are all but free, and the product runs at the engine's speed: this is the algorithm
//! for deep sums, many channels, windows of 1 x 1.

use super::params::{Extents, Image, Spec};
use super::tile::Finish;
use super::weights::Weights;
use crate::error::Result;
use crate::gemm::{
    Epilogue, Layout, Lines, Output, PackedMatrix, PanelSource, Problem, Residual, Shape, Strided,
    gemm_batched,
};
use crate::runtime::Context;
use crate::simd::{Activation, MAX_LANES, Simd};
use std::ops::Range;

/// The engine does this better than the direct kernels: enough output channels to be worth the
/// copies, of which a window of 1 x 1 has the fewest and a strided one the dearest, and enough terms to be
/// worth a pass over the output.
pub(super) fn suits(spec: &Spec) -> bool {
    if spec.kernel == [1, 1] {
        return spec.cg >= 16 && spec.og >= 16;
    }
    let outputs = if spec.stride[1] > 1 { 48 } else { 24 };
    spec.cg >= 8 && spec.og >= outputs && spec.depth() >= 48
}

/// Left sides: of a plan, or of one call.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    Packed(&'a PackedMatrix),
    Strided(Strided<'a>),
}

impl PanelSource for Left<'_> {
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        match self {
            Left::Packed(matrix) => matrix.pack(simd, k, lines, width, dst),
            Left::Strided(matrix) => matrix.pack(simd, k, lines, width, dst),
        }
    }

    fn packed(&self) -> Option<&PackedMatrix> {
        match self {
            Left::Packed(matrix) => Some(matrix),
            Left::Strided(_) => None,
        }
    }
}

/// Runs the convolution.
///
/// # Safety
/// `x` and the images of `finish` describe memory of the extents that `spec` makes
/// of `extents`; no output element is reached twice or by others.
pub(super) unsafe fn run(
    ctx: &Context,
    spec: &Spec,
    extents: &Extents,
    weights: &Weights<'_>,
    x: Image,
    finish: &Finish<'_>,
) -> Result<()> {
    if finish.columns_together() {
        // SAFETY: the caller's promise.
        return unsafe { multiply(ctx, spec, extents, weights, x, finish) };
    }
    // The engine stores runs of pixels; elsewhere they are put afterwards.
    let Extents { n, oh, ow, .. } = *extents;
    let sizes = [n, spec.outputs(), oh, ow];
    let mut copy = ctx.scratch::<f32>(sizes.iter().product())?;
    let compact = Image {
        ptr: copy.as_mut_ptr(),
        n: (sizes[1] * oh * ow) as isize,
        c: (oh * ow) as isize,
        y: ow as isize,
        x: 1,
    };
    let own = finish.moved(compact, finish.residual.map(|_| compact));
    // SAFETY: the caller's promise; the copy has an element for each of the output.
    unsafe {
        if let Some(residual) = &finish.residual {
            copy_image(residual, &compact, sizes);
        }
        multiply(ctx, spec, extents, weights, x, &own)?;
        copy_image(&compact, &finish.out, sizes);
    }
    Ok(())
}

/// # Safety
/// Both have elements of these sizes, of images, channels, rows and columns; the second's may be written.
unsafe fn copy_image(from: &Image, to: &Image, [n, c, h, w]: [usize; 4]) {
    for n in 0..n {
        for y in 0..h {
            for x in 0..w {
                for c in 0..c {
                    let (src, dst) = (from.offset(n, c, y, x), to.offset(n, c, y, x));
                    // SAFETY: the caller's promise.
                    unsafe { *to.ptr.wrapping_offset(dst) = *from.ptr.wrapping_offset(src) };
                }
            }
        }
    }
}

/// # Safety
/// As for [`run`], with neighbouring columns of output and residual side by side in memory.
unsafe fn multiply(
    ctx: &Context,
    spec: &Spec,
    extents: &Extents,
    weights: &Weights<'_>,
    x: Image,
    finish: &Finish<'_>,
) -> Result<()> {
    let whole_planes = finish.rows_together(extents.ow);
    let (extents, x) = match whole_planes {
        true => (&flat(spec, extents, &x), &x),
        false => (extents, &x),
    };
    let plane = extents.oh * extents.ow;
    // One product for all images if the engine can find their pixels, else one for each.
    let (batch, images) = match whole_planes {
        true => (1, extents.n),
        false => (extents.n, 1),
    };
    let layout = |image: &Image| Layout {
        row_stride: image.c,
        group: if whole_planes { plane } else { extents.ow },
        group_stride: if whole_planes { image.n } else { image.y },
    };
    let shape = Shape {
        m: spec.og,
        n: images * plane,
        k: spec.depth(),
    };
    let problem = |i: usize| {
        let (group, n) = (i / batch, i % batch);
        let channels = group * spec.og..(group + 1) * spec.og;
        let at = |image: &Image| image.offset(n, channels.start, 0, 0);
        Problem {
            a: weights.matrix(group),
            b: Fields {
                spec,
                extents,
                image: x,
                first_image: n,
                first_channel: group * spec.cg,
            },
            out: Output {
                ptr: finish.out.ptr.wrapping_offset(at(&finish.out)),
                layout: layout(&finish.out),
                accumulate: false,
            },
            epilogue: Epilogue {
                bias: Lines::PerRow(&weights.bias()[channels.clone()]),
                residual: finish.residual.as_ref().map(|residual| Residual {
                    ptr: residual.ptr.wrapping_offset(at(residual)),
                    layout: layout(residual),
                }),
                slope: match finish.slopes.is_empty() {
                    true => Lines::None,
                    false => Lines::PerRow(&finish.slopes[channels.clone()]),
                },
                activation: match finish.slopes.is_empty() {
                    true => finish.activation,
                    false => Activation::None,
                },
            },
        }
    };
    // SAFETY: the caller's promise.
    unsafe { gemm_batched(ctx, shape, spec.groups * batch, problem) }
}

/// A window of 1 x 1 that reads every pixel sees an image as one long row, and writes one where
/// the rows of the output follow one another.
fn flat(spec: &Spec, extents: &Extents, x: &Image) -> Extents {
    let every = spec.kernel == [1, 1] && spec.stride == [1, 1] && spec.padding == [0; 4];
    if !every || x.y != extents.w as isize * x.x {
        return *extents;
    }
    let plane = extents.h * extents.w;
    Extents {
        h: 1,
        w: plane,
        oh: 1,
        ow: plane,
        ..*extents
    }
}

/// The receptive fields: lines are output pixels, counted through all images from the first one on.
#[derive(Clone, Copy)]
struct Fields<'a> {
    spec: &'a Spec,
    extents: &'a Extents,
    image: &'a Image,
    first_image: usize,
    first_channel: usize,
}

/// Input channels that a tap reads within a range of terms, and where they go.
#[derive(Clone, Copy)]
struct Tap {
    /// The first channel, of the group.
    first: usize,
    count: usize,
    /// Floats from the panel's start to the first, and from one to the next.
    to: usize,
    step: usize,
}

impl Tap {
    /// Tap `tap` of `taps`, in the terms `k`, which are ordered by channel, then tap.
    #[inline(always)]
    fn new(tap: usize, taps: usize, k: &Range<usize>, width: usize) -> Tap {
        let first = k.start.saturating_sub(tap).div_ceil(taps);
        let end = k.end.saturating_sub(tap).div_ceil(taps);
        Tap {
            first,
            count: end.saturating_sub(first),
            to: (first * taps + tap).saturating_sub(k.start) * width,
            step: taps * width,
        }
    }
}

impl PanelSource for Fields<'_> {
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let extents = self.extents;
        let plane = extents.oh * extents.ow;
        assert!(dst.len() == k.len() * width && lines.len() <= width);
        assert!(k.end <= self.spec.depth());
        if lines.len() < width {
            dst.fill(0.0);
        }
        if extents.ow < S::LANES && self.fits_gather() && width <= MAX_WIDTH {
            return self.pack_short(simd, k, lines, width, dst);
        }
        let mut p = lines.start;
        while p < lines.end {
            // What is left of an output row.
            let (n, rest) = (p / plane, p % plane);
            let (oy, ox) = (rest / extents.ow, rest % extents.ow);
            let len = (extents.ow - ox).min(lines.end - p);
            let to = p - lines.start;
            self.pack_row(simd, [n, oy, ox], len, &k, width, &mut dst[to..]);
            p += len;
        }
    }
}

/// How a row of a panel is copied.
#[derive(Clone, Copy)]
enum Copying {
    Vectors,
    Pairs,
    Any,
}

/// How many channels ahead a pixel is asked for.
const AHEAD: isize = 16;

/// The widest panel of any tier.
const MAX_WIDTH: usize = 64;

impl Fields<'_> {
    /// Packs `len` neighbouring pixels of one output row; `dst` begins at their place in
    /// the panel.
    #[inline(always)]
    fn pack_row<S: Simd>(
        &self,
        simd: S,
        [n, oy, ox]: [usize; 3],
        len: usize,
        k: &Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let (spec, extents, image) = (self.spec, self.extents, self.image);
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let [top, _, left, _] = spec.padding;
        let step = sw as isize * image.x;
        for ky in 0..kh {
            let y = (oy * sh + ky * dh) as isize - top as isize;
            for kx in 0..kw {
                let tap = Tap::new(ky * kw + kx, kh * kw, k, width);
                let x = (ox * sw + kx * dw) as isize - left as isize;
                let valid = match y >= 0 && y < extents.h as isize {
                    true => inside(x, sw, len, extents.w),
                    false => 0..0,
                };
                if tap.count == 0 {
                    continue;
                }
                let first = self.first_channel + tap.first;
                let from = (self.first_image + n) as isize * image.n
                    + first as isize * image.c
                    + y * image.y
                    + (x + (valid.start * sw) as isize) * image.x;
                let (mut from, mut to) = (
                    image.ptr.wrapping_offset(from).cast_const(),
                    dst.as_mut_ptr().wrapping_add(tap.to),
                );
                // The usual panel of whole vectors; in steps of two if the last value has a neighbour
                // that may be read.
                let whole = valid.len() == len && len.is_multiple_of(S::LANES);
                let has_next = x + (2 * len) as isize <= extents.w as isize;
                let kind = match step {
                    1 if whole => Copying::Vectors,
                    2 if whole && has_next => Copying::Pairs,
                    _ => Copying::Any,
                };
                // Masks where the tier has such loads, in place of a choice of lengths for each channel.
                let masked = S::LANES >= 8 && len <= 2 * S::LANES && !valid.is_empty();
                if masked && matches!((kind, step), (Copying::Any, 1 | 2)) {
                    let run = Masked {
                        from: from.wrapping_offset(-(valid.start as isize) * step),
                        channel: image.c,
                        to,
                        step: tap.step,
                        channels: tap.count,
                        len,
                        valid,
                    };
                    // SAFETY: `len` floats of each step of the panel, as below.
                    unsafe {
                        match (step, len <= S::LANES) {
                            (1, true) => run.copy::<S, 1, 1>(simd),
                            (1, false) => run.copy::<S, 1, 2>(simd),
                            (_, true) => run.copy::<S, 2, 1>(simd),
                            (_, false) => run.copy::<S, 2, 2>(simd),
                        }
                    }
                    continue;
                }
                for _ in 0..tap.count {
                    // Channels are planes apart, so that no hardware fetches them ahead.
                    simd.prefetch(from.wrapping_offset(AHEAD * image.c));
                    // SAFETY: `len` floats of a step of the panel, which the assertions of `pack` keep
                    // inside of `dst`; valid taps are pixels of the image.
                    unsafe {
                        match kind {
                            Copying::Vectors => {
                                let mut i = 0;
                                while i < len {
                                    simd.store_ptr(to.add(i), simd.load_ptr(from.add(i)));
                                    i += S::LANES;
                                }
                            }
                            Copying::Pairs => {
                                let mut i = 0;
                                while i < len {
                                    let low = simd.load_ptr(from.add(2 * i));
                                    let high = simd.load_ptr(from.add(2 * i + S::LANES));
                                    simd.store_ptr(to.add(i), simd.deinterleave(low, high).0);
                                    i += S::LANES;
                                }
                            }
                            Copying::Any => fill(simd, to, len, &valid, from, step),
                        }
                    }
                    from = from.wrapping_offset(image.c);
                    to = to.wrapping_add(tap.step);
                }
            }
        }
    }

    /// Offsets of all pixels from each other fit 32 bits, as gathers need it.
    #[inline(always)]
    fn fits_gather(&self) -> bool {
        let (spec, extents, image) = (self.spec, self.extents, self.image);
        let reach = |count: usize, stride: isize| count as i128 * stride.unsigned_abs() as i128;
        let all = reach(extents.n, image.n) + reach(extents.h, image.y) + reach(extents.w, image.x);
        let padded = spec.padding.iter().map(|&p| p as i128).sum::<i128>();
        let span = padded + (extents.h + extents.w) as i128;
        extents.h > 0 && extents.w > 0 && all < 1 << 30 && span < 1 << 30
    }

    /// Packs pixels of rows that are shorter than a vector: the lanes are pixels of several rows,
    /// or images, gathered by their offsets.
    #[inline(always)]
    fn pack_short<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let (spec, extents, image) = (self.spec, self.extents, self.image);
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let [top, _, left, _] = spec.padding;
        let plane = extents.oh * extents.ow;
        // Row, column and offset of the first tap of each pixel; what stands behind the last
        // pixel repeats it.
        let mut ys = [0i32; MAX_WIDTH + MAX_LANES];
        let mut xs = [0i32; MAX_WIDTH + MAX_LANES];
        let mut offsets = [0i32; MAX_WIDTH + MAX_LANES];
        for i in 0..lines.len().next_multiple_of(S::LANES) {
            let p = (lines.start + i).min(lines.end - 1);
            let (n, rest) = (self.first_image + p / plane, p % plane);
            let y = (rest / extents.ow * sh) as isize - top as isize;
            let x = (rest % extents.ow * sw) as isize - left as isize;
            (ys[i], xs[i]) = (y as i32, x as i32);
            offsets[i] = (n as isize * image.n + y * image.y + x * image.x) as i32;
        }
        let (minus_one, zero) = (simd.splat_i32(-1), simd.splat_i32(0));
        let (height, columns) = (
            simd.splat_i32(extents.h as i32),
            simd.splat_i32(extents.w as i32),
        );
        for ky in 0..kh {
            for kx in 0..kw {
                let tap = Tap::new(ky * kw + kx, kh * kw, &k, width);
                let way = (ky * dh) as isize * image.y + (kx * dw) as isize * image.x;
                let (down, right, way) = (
                    simd.splat_i32((ky * dh) as i32),
                    simd.splat_i32((kx * dw) as i32),
                    simd.splat_i32(way as i32),
                );
                let mut i = 0;
                while i < lines.len() {
                    // SAFETY: inside of the arrays, which have a vector more than pixels.
                    let (y, x, at) = unsafe {
                        (
                            simd.add_i32(simd.load_i32_ptr(ys.as_ptr().add(i)), down),
                            simd.add_i32(simd.load_i32_ptr(xs.as_ptr().add(i)), right),
                            simd.add_i32(simd.load_i32_ptr(offsets.as_ptr().add(i)), way),
                        )
                    };
                    let seen = simd.and(
                        simd.and(simd.gt_i32(y, minus_one), simd.gt_i32(height, y)),
                        simd.and(simd.gt_i32(x, minus_one), simd.gt_i32(columns, x)),
                    );
                    // Taps in the padding read the first pixel instead.
                    let at = simd.select_i32(seen, at, zero);
                    let count = S::LANES.min(lines.len() - i);
                    for c in 0..tap.count {
                        let channel = (self.first_channel + tap.first + c) as isize;
                        let base = image.ptr.wrapping_offset(channel * image.c);
                        let to = &mut dst[tap.to + c * tap.step + i..][..count];
                        // SAFETY: every offset is a pixel of the channel.
                        let values = unsafe { simd.gather_ptr(base, at) };
                        simd.store_partial(to, simd.select(seen, values, simd.zero()));
                    }
                    i += S::LANES;
                }
            }
        }
    }
}

/// A tap of a row of pixels that ends, or sees padding, within a vector.
struct Masked {
    /// What the first pixel reads of the first channel; it may be outside of the image.
    from: *const f32,
    /// Floats from channel to channel of the image.
    channel: isize,
    /// Where it goes, and the floats from channel to channel.
    to: *mut f32,
    step: usize,
    channels: usize,
    /// Pixels, and those that see the image.
    len: usize,
    valid: Range<usize>,
}

impl Masked {
    /// Copies all channels, from columns in steps of `STEP`, as `NV` vectors.
    ///
    /// # Safety
    /// What the valid pixels read is readable in each channel, `len` floats of each step are writable, and they
    /// are more than `NV - 1` vectors, and at most `NV`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    unsafe fn copy<S: Simd, const STEP: usize, const NV: usize>(&self, simd: S) {
        // In steps of two a vector of pixels is every second float of two.
        let (first, end) = (self.valid.start * STEP, (self.valid.end - 1) * STEP + 1);
        let mut masks = [[simd.first(0); 2]; NV];
        for v in 0..NV {
            for half in 0..STEP {
                let at = (v * STEP + half) * S::LANES;
                masks[v][half] = simd.between(first.saturating_sub(at), end.saturating_sub(at));
            }
        }
        let last = self.len - (NV - 1) * S::LANES;
        let (mut from, mut to) = (self.from, self.to);
        for _ in 0..self.channels {
            simd.prefetch(from.wrapping_offset(AHEAD * self.channel));
            for v in 0..NV {
                let at = from.wrapping_add(v * STEP * S::LANES);
                // SAFETY: the caller's promise.
                unsafe {
                    let mut values = simd.load_masked_ptr(at, masks[v][0]);
                    if STEP == 2 {
                        let next = simd.load_masked_ptr(at.wrapping_add(S::LANES), masks[v][1]);
                        values = simd.deinterleave(values, next).0;
                    }
                    let to = to.add(v * S::LANES);
                    match v + 1 == NV {
                        true => simd.store_partial_ptr(to, last, values),
                        false => simd.store_ptr(to, values),
                    }
                }
            }
            from = from.wrapping_offset(self.channel);
            to = to.wrapping_add(self.step);
        }
    }
}

/// Which of `len` taps, the first at column `x`, each `step` further, hit one of the `extent` columns.
#[inline(always)]
fn inside(x: isize, step: usize, len: usize, extent: usize) -> Range<usize> {
    let steps = |way: isize| (way.max(0) as usize).div_ceil(step).min(len);
    let (low, high) = (steps(-x), steps(extent as isize - x));
    low.min(high)..high
}

/// Fills `len` floats: `valid` from `src[i * step]`, `i` counted from the start of `valid`, zeros
/// elsewhere.
///
/// # Safety
/// The values are readable, `dst` is writable for `len`.
#[inline(always)]
unsafe fn fill<S: Simd>(
    simd: S,
    dst: *mut f32,
    len: usize,
    valid: &Range<usize>,
    src: *const f32,
    step: isize,
) {
    // SAFETY: every access is limited to `len`, or to the valid values.
    unsafe {
        let zeros = |from: usize, to: usize| {
            let mut i = from;
            while i < to {
                *dst.add(i) = 0.0;
                i += 1;
            }
        };
        zeros(0, valid.start);
        zeros(valid.end, len);
        let (to, count) = (dst.add(valid.start), valid.len());
        let mut i = 0;
        match step {
            1 => {
                while i + S::LANES <= count {
                    simd.store_ptr(to.add(i), simd.load_ptr(src.add(i)));
                    i += S::LANES;
                }
                if i < count {
                    let tail = simd.load_partial_ptr(src.add(i), count - i);
                    simd.store_partial_ptr(to.add(i), count - i, tail);
                }
            }
            2 => {
                // The last value has no neighbour that may be read.
                let floats = (2 * count).saturating_sub(1);
                while i < count {
                    let (at, left) = (src.add(2 * i), floats - 2 * i);
                    let (low, high) = match left >= 2 * S::LANES {
                        true => (simd.load_ptr(at), simd.load_ptr(at.add(S::LANES))),
                        false => {
                            let rest = left.saturating_sub(S::LANES);
                            (
                                simd.load_partial_ptr(at, left),
                                simd.load_partial_ptr(at.wrapping_add(S::LANES), rest),
                            )
                        }
                    };
                    let even = simd.deinterleave(low, high).0;
                    simd.store_partial_ptr(to.add(i), count - i, even);
                    i += S::LANES;
                }
            }
            _ => {
                while i < count {
                    *to.add(i) = *src.offset(i as isize * step);
                    i += 1;
                }
            }
        }
    }
}
