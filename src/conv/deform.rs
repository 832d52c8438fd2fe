//! Deformable convolution (Dai et al. 2017; with `mask` its second version, Zhu et al. 2018): each tap of each output pixel reads the image
//! where an offset of its own says, between pixels.
//!
//! It is the product of the weight and a matrix of samples, which is made a panel at a time while the
//! matrix engine asks for it, as in [`implicit`](super::implicit). What a sample costs is finding it: so the image
//! is copied once with channels last, and the four neighbours and weights that a tap of a pixel has are
//! worked out once, by lanes, for all channels that share the offset, whose samples are then
//! neighbours in memory: four loads and four multiply-adds a vector, without a gather. Neighbours outside of the image
//! are a pixel of zeros that stands before the others.

use super::gather::channels_last;
use super::params::{Image, Layout};
use crate::error::{Result, bail, ensure};
use crate::gemm::{
    Epilogue, Layout as Lattice, Lines, Output, PanelSource, Problem, Shape, Strided, gemm_batched,
};
use crate::runtime::Context;
use crate::simd::{Activation, MAX_LANES, Simd, dispatch};
use crate::tensor::{Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap};
use std::ops::Range;

const OP: &str = "deform_conv2d";

/// Options of [`deform_conv2d`]; the default is torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct DeformConv2dParams {
    /// Steps of the window: vertical, horizontal.
    pub stride: [usize; 2],
    /// Zeros around the image: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Distance of the window's taps before they are moved: vertical, horizontal.
    pub dilation: [usize; 2],
}

impl Default for DeformConv2dParams {
    fn default() -> Self {
        DeformConv2dParams {
            stride: [1, 1],
            padding: [0; 4],
            dilation: [1, 1],
        }
    }
}

/// What is asked for, checked.
#[derive(Clone, Copy, Debug)]
struct Spec {
    params: DeformConv2dParams,
    images: usize,
    height: usize,
    width: usize,
    groups: usize,
    /// Input and output channels of a group.
    cg: usize,
    og: usize,
    kernel: [usize; 2],
    offset_groups: usize,
    /// Channels that share offsets.
    sharing: usize,
    oh: usize,
    ow: usize,
}

impl Spec {
    fn new(
        params: &DeformConv2dParams,
        x: &Raw<f32>,
        offset: &Raw<f32>,
        weight: &Raw<f32>,
        bias: Option<&Raw<f32>>,
        mask: Option<&Raw<f32>>,
        out: &Raw<f32>,
    ) -> Result<Spec> {
        let DeformConv2dParams {
            stride, dilation, ..
        } = *params;
        for (name, [vertical, horizontal]) in [("stride", stride), ("dilation", dilation)] {
            ensure!(
                vertical >= 1 && horizontal >= 1,
                InvalidArgument,
                "{OP}: {name} is {vertical} x {horizontal}, the least is 1"
            );
        }
        for (name, array) in [("input", x), ("offset", offset), ("weight", weight)] {
            expect_rank(OP, name, array, 4)?;
        }
        let [images, channels, height, width] = [0, 1, 2, 3].map(|axis| x.dim(axis));
        let [outputs, cg, kh, kw] = [0, 1, 2, 3].map(|axis| weight.dim(axis));
        ensure!(
            kh >= 1 && kw >= 1,
            InvalidArgument,
            "{OP}: weight has a window of {kh} x {kw}, the least is 1 x 1"
        );
        ensure!(
            cg >= 1 && channels >= 1 && channels % cg == 0,
            ShapeMismatch,
            "{OP}: weight has {cg} input channels per group, which do not divide the {channels} of input"
        );
        let groups = channels / cg;
        ensure!(
            outputs % groups == 0,
            ShapeMismatch,
            "{OP}: weight has {outputs} output channels, which groups {groups} do not divide"
        );
        if let Some(bias) = bias {
            expect_shape(OP, "bias", bias, &[outputs])?;
        }
        let [oh, ow] = output_size(params, [kh, kw], [height, width])?;
        let taps = kh * kw;
        let offset_groups = offset.dim(1) / (2 * taps);
        ensure!(
            offset_groups >= 1 && offset.dim(1) == 2 * taps * offset_groups,
            ShapeMismatch,
            "{OP}: offset has {} channels, expected a multiple of 2 x {kh} x {kw}",
            offset.dim(1)
        );
        ensure!(
            channels % offset_groups == 0,
            ShapeMismatch,
            "{OP}: offset has {offset_groups} groups, which do not divide the {channels} channels of input"
        );
        expect_shape(
            OP,
            "offset",
            offset,
            &[images, 2 * taps * offset_groups, oh, ow],
        )?;
        if let Some(mask) = mask {
            expect_shape(OP, "mask", mask, &[images, taps * offset_groups, oh, ow])?;
        }
        expect_shape(OP, "output", out, &[images, outputs, oh, ow])?;
        ensure!(
            height as u64 * (width as u64) < i32::MAX as u64,
            Unsupported,
            "{OP}: input has {height} x {width} pixels, the most is {}",
            i32::MAX - 1
        );
        for (name, array) in [
            ("input", Some(x)),
            ("offset", Some(offset)),
            ("weight", Some(weight)),
            ("bias", bias),
            ("mask", mask),
        ] {
            if let Some(array) = array {
                forbid_overlap(OP, "output", out, name, array)?;
            }
        }
        Ok(Spec {
            params: *params,
            images,
            height,
            width,
            groups,
            cg,
            og: outputs / groups,
            kernel: [kh, kw],
            offset_groups,
            sharing: channels / offset_groups,
            oh,
            ow,
        })
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// Rows and columns of the output.
fn output_size(
    params: &DeformConv2dParams,
    kernel: [usize; 2],
    extents: [usize; 2],
) -> Result<[usize; 2]> {
    /// Far above all that is of use; floats count no further.
    const MOST: usize = 1 << 24;
    let mut size = [0; 2];
    for axis in 0..2 {
        let side = ["height", "width"][axis];
        let (stride, dilation) = (params.stride[axis], params.dilation[axis]);
        let [before, after] = [params.padding[2 * axis], params.padding[2 * axis + 1]];
        let (kernel, extent) = (kernel[axis], extents[axis]);
        let window = (kernel - 1).checked_mul(dilation);
        let Some(window) = window.filter(|&w| {
            [w, extent, stride, before, after]
                .iter()
                .all(|&v| v <= MOST)
        }) else {
            bail!(
                Unsupported,
                "{OP}: {side} {extent}, stride {stride}, padding {before} + {after} or a kernel of {kernel} with dilation {dilation} is too large, the most is {MOST}"
            );
        };
        let padded = extent + before + after;
        ensure!(
            padded > window,
            ShapeMismatch,
            "{OP}: weight spans {} in {side} (kernel {kernel}, dilation {dilation}), the padded input has {padded}",
            window + 1
        );
        size[axis] = (padded - window - 1) / stride + 1;
    }
    Ok(size)
}

/// `out = deformable convolution(x, offset, weight, mask) + bias`, as torchvision's `deform_conv2d`.
///
/// `x` (N, C, H, W), `weight` (O, C / groups, KH, KW), `bias` (O,), `out` (N, O, OH, OW) with OH and OW as of a convolution.
/// `offset` (N, 2 * G * KH * KW, OH, OW): for each of G groups of channels and each tap, row by row, how far down and how far to the right of
/// its place the tap reads; `mask` (N, G * KH * KW, OH, OW) multiplies what it reads. The numbers of groups, which are independent of each other,
/// follow from the shapes. Any strides; `out` may not overlap an input.
///
/// A sample is bilinear between the four pixels around it, those outside of the image counting as zero; at or beyond a
/// pixel's distance from the image it is 0. An offset that is NaN makes it NaN.
///
/// Sums are in f32, with the same bits at any number of threads.
pub fn deform_conv2d(
    ctx: &Context,
    params: &DeformConv2dParams,
    x: &View<'_, f32>,
    offset: &View<'_, f32>,
    weight: &View<'_, f32>,
    bias: Option<&View<'_, f32>>,
    mask: Option<&View<'_, f32>>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    let spec = Spec::new(
        params,
        x,
        offset,
        weight,
        bias.map(|b| &**b),
        mask.map(|m| &**m),
        &out,
    )?;
    if out.is_empty() {
        return Ok(());
    }
    let offset = offset.contiguous(ctx)?;
    let mask = mask.map(|mask| mask.contiguous(ctx)).transpose()?;
    let bias = bias.map(|bias| bias.contiguous(ctx)).transpose()?;
    // The terms of a sum by tap, then channel.
    let weight = weight.permute(&[0, 2, 3, 1]);
    let weight = weight.contiguous(ctx)?;
    let isa = ctx.isa();
    let lanes = dispatch!(isa, simd => lanes(simd));
    let pitch = (spec.groups * spec.cg).next_multiple_of(lanes);
    let image_len = (1 + spec.height * spec.width) * pitch;
    // A vector may be read at the last channel.
    let mut pixels = ctx.scratch::<f32>(image_len * spec.images + lanes)?;
    pixels[image_len * spec.images..].fill(0.0);
    copy_pixels(ctx, &spec, x, pitch, &mut pixels)?;

    let mut out = out.contiguous(ctx)?;
    let plane = spec.oh * spec.ow;
    let shape = Shape {
        m: spec.og,
        n: plane,
        k: spec.taps() * spec.cg,
    };
    let outputs = spec.groups * spec.og;
    let base = Target(out.as_mut_ptr());
    let problem = |i: usize| {
        let (n, group) = (i / spec.groups, i % spec.groups);
        let channels = group * spec.og..(group + 1) * spec.og;
        let per_image = |len: usize| n * len * plane..(n + 1) * len * plane;
        let taps = spec.offset_groups * spec.taps();
        Problem {
            a: Strided::compact(
                &weight[channels.start * shape.k..channels.end * shape.k],
                shape.k,
            ),
            b: Samples {
                spec: &spec,
                pixels: &pixels[n * image_len..][..image_len + lanes],
                pitch,
                offset: &offset[per_image(2 * taps)],
                mask: mask.as_ref().map(|mask| &mask[per_image(taps)]),
                first_channel: group * spec.cg,
            },
            out: Output {
                ptr: base
                    .get()
                    .wrapping_add((n * outputs + channels.start) * plane),
                layout: Lattice::rows(plane as isize),
                accumulate: false,
            },
            epilogue: Epilogue {
                bias: match &bias {
                    Some(bias) => Lines::PerRow(&bias[channels]),
                    None => Lines::None,
                },
                residual: None,
                slope: Lines::None,
                activation: Activation::None,
            },
        }
    };
    // SAFETY: `out` has a plane for each output channel of each image, and products have different ones; the
    // lines and terms of both sides are those of `shape`.
    unsafe { gemm_batched(ctx, shape, spec.images * spec.groups, problem)? };
    out.finish();
    Ok(())
}

/// Where the products of a batch store.
#[derive(Clone, Copy)]
struct Target(*mut f32);

impl Target {
    fn get(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: an address; whoever writes through it answers for that.
unsafe impl Sync for Target {}

#[inline(always)]
fn lanes<S: Simd>(_: S) -> usize {
    S::LANES
}

/// Copies the images with channels last, `pitch` floats a pixel, behind a pixel of zeros.
fn copy_pixels(
    ctx: &Context,
    spec: &Spec,
    x: &View<'_, f32>,
    pitch: usize,
    pixels: &mut [f32],
) -> Result<()> {
    let isa = ctx.isa();
    let image = Image::new(x, Layout::Nchw);
    let (channels, rows) = (spec.groups * spec.cg, spec.height);
    let image_len = (1 + rows * spec.width) * pitch;
    for n in 0..spec.images {
        pixels[n * image_len..][..pitch].fill(0.0);
    }
    if spec.width == 0 {
        return Ok(());
    }
    let base = Target(pixels.as_mut_ptr());
    ctx.parallel_for(spec.images * rows, |task| {
        let (n, y) = (task / rows, task % rows);
        dispatch!(isa, simd => {
            let lanes = lanes(simd);
            for c in (0..channels).step_by(lanes) {
                let src = image.ptr.wrapping_offset(image.offset(n, c, y, 0));
                let to = base.get().wrapping_add(n * image_len + (1 + y * spec.width) * pitch + c);
                // SAFETY: existing channels of a row of the image; a row of `pixels` that is of this task, where a pixel
                // has room for whole vectors.
                unsafe {
                    channels_last(
                        simd,
                        &image,
                        src,
                        lanes.min(channels - c),
                        spec.width,
                        pitch,
                        to,
                    );
                }
            }
        });
    })
}

/// The samples: lines are output pixels of an image, terms taps and their channels.
#[derive(Clone, Copy)]
struct Samples<'a> {
    spec: &'a Spec,
    /// The image with channels last, behind a pixel of zeros, and a vector more.
    pixels: &'a [f32],
    pitch: usize,
    offset: &'a [f32],
    mask: Option<&'a [f32]>,
    first_channel: usize,
}

/// The widest panel of any tier.
const MAX_WIDTH: usize = 64;
/// Channels that are sampled for all pixels of a panel before they are turned into it.
const CHANNELS: usize = 64;

/// Where the pixels of a panel sample for one tap.
struct Places {
    /// Per line the upper left, upper right, lower left and lower right pixel, counted with that of zeros.
    pixels: [[i32; MAX_WIDTH]; 4],
    weights: [[f32; MAX_WIDTH]; 4],
    mask: [f32; MAX_WIDTH],
}

impl PanelSource for Samples<'_> {
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let spec = self.spec;
        let (cg, taps) = (spec.cg, spec.taps());
        assert!(dst.len() == k.len() * width && lines.len() <= width && width <= MAX_WIDTH);
        assert!(k.end <= taps * cg && lines.end <= spec.oh * spec.ow);
        if lines.len() < width {
            dst.fill(0.0);
        }
        let mut origins = [[0.0; MAX_WIDTH]; 2];
        let [top, _, left, _] = spec.params.padding;
        let [down, right] = spec.params.stride;
        for (i, p) in lines.clone().enumerate() {
            origins[0][i] = (p / spec.ow * down) as f32 - top as f32;
            origins[1][i] = (p % spec.ow * right) as f32 - left as f32;
        }
        let mut places = Places {
            pixels: [[0; MAX_WIDTH]; 4],
            weights: [[0.0; MAX_WIDTH]; 4],
            mask: [1.0; MAX_WIDTH],
        };
        let mut term = k.start;
        while term < k.end {
            let (tap, channel) = (term / cg, term % cg);
            let channel = self.first_channel + channel;
            // Up to the last channel of the tap, of the group of offsets, and of the block.
            let of_tap = cg - term % cg;
            let of_group = spec.sharing - channel % spec.sharing;
            let count = of_tap.min(of_group).min(k.end - term);
            self.place(
                simd,
                tap,
                channel / spec.sharing,
                &lines,
                &origins,
                &mut places,
            );
            let mut done = 0;
            while done < count {
                let some = CHANNELS.min(count - done);
                let to = &mut dst[(term + done - k.start) * width..][..some * width];
                self.sample(simd, &places, channel + done, some, lines.len(), width, to);
                done += some;
            }
            term += count;
        }
    }
}

impl Samples<'_> {
    /// Works out where the lines sample for a tap with the offsets of a group.
    #[inline(always)]
    fn place<S: Simd>(
        &self,
        simd: S,
        tap: usize,
        group: usize,
        lines: &Range<usize>,
        origins: &[[f32; MAX_WIDTH]; 2],
        places: &mut Places,
    ) {
        let spec = self.spec;
        let (plane, taps) = (spec.oh * spec.ow, spec.taps());
        let [down, right] = spec.params.dilation;
        let (ky, kx) = (tap / spec.kernel[1], tap % spec.kernel[1]);
        let index = group * taps + tap;
        let offset = |axis: usize| &self.offset[(2 * index + axis) * plane..][lines.clone()];
        let (oy, ox) = (offset(0), offset(1));
        let (ky, kx) = (
            simd.splat((ky * down) as f32),
            simd.splat((kx * right) as f32),
        );
        let one = simd.splat(1.0);
        let (height, width) = (
            simd.splat(spec.height as f32),
            simd.splat(spec.width as f32),
        );
        let (rows, columns) = (
            simd.splat_i32(spec.height as i32),
            simd.splat_i32(spec.width as i32),
        );
        let (none, minus) = (simd.splat_i32(0), simd.splat_i32(-1));
        for i in (0..lines.len()).step_by(S::LANES) {
            let y = simd.add(simd.load(&origins[0][i..]), ky);
            let y = simd.add(y, simd.load_partial(&oy[i..]));
            let x = simd.add(simd.load(&origins[1][i..]), kx);
            let x = simd.add(x, simd.load_partial(&ox[i..]));
            let inside = simd.and(
                simd.and(simd.gt(y, simd.splat(-1.0)), simd.lt(y, height)),
                simd.and(simd.gt(x, simd.splat(-1.0)), simd.lt(x, width)),
            );
            let (top, left) = (simd.floor(y), simd.floor(x));
            // Far outside the difference may be anything; what is not a number is to be seen.
            let counts = simd.or(inside, simd.or(simd.is_nan(y), simd.is_nan(x)));
            let lower = simd.select(counts, simd.sub(y, top), simd.zero());
            let further = simd.select(counts, simd.sub(x, left), simd.zero());
            let (upper, nearer) = (simd.sub(one, lower), simd.sub(one, further));
            let top = simd.trunc_to_i32(simd.select(inside, top, simd.zero()));
            let left = simd.trunc_to_i32(simd.select(inside, left, simd.zero()));
            let (bottom, beside) = (simd.sub_i32(top, minus), simd.sub_i32(left, minus));
            let (above, below) = (simd.gt_i32(top, minus), simd.gt_i32(rows, bottom));
            let (before, behind) = (simd.gt_i32(left, minus), simd.gt_i32(columns, beside));
            let corners = [
                (top, above, left, before, simd.mul(upper, nearer)),
                (top, above, beside, behind, simd.mul(upper, further)),
                (bottom, below, left, before, simd.mul(lower, nearer)),
                (bottom, below, beside, behind, simd.mul(lower, further)),
            ];
            for (corner, (y, in_rows, x, in_columns, weight)) in corners.into_iter().enumerate() {
                let exists = simd.and(inside, simd.and(in_rows, in_columns));
                let at = simd.add_i32(simd.mul_i32(y, columns), simd.sub_i32(x, minus));
                let at = simd.select_i32(exists, at, none);
                let to = &mut places.pixels[corner][i..i + S::LANES];
                // SAFETY: a vector of the array, whose length is a multiple of any tier's lanes.
                unsafe { simd.store_i32_ptr(to.as_mut_ptr(), at) };
                simd.store(&mut places.weights[corner][i..], weight);
            }
            if let Some(mask) = self.mask {
                let mask = &mask[index * plane..][lines.clone()];
                simd.store(&mut places.mask[i..], simd.load_partial(&mask[i..]));
            }
        }
    }

    /// Fills the panel's terms of `count` channels from `channel` on: `dst[c * width + i]` for line `i`.
    #[inline(always)]
    fn sample<S: Simd>(
        &self,
        simd: S,
        places: &Places,
        channel: usize,
        count: usize,
        lines: usize,
        width: usize,
        dst: &mut [f32],
    ) {
        assert!(dst.len() == count * width && count <= CHANNELS && lines <= width);
        assert!(channel + count <= self.pitch && width <= MAX_WIDTH);
        let zeros = [0.0f32; CHANNELS + MAX_LANES];
        let mut samples = [[0.0f32; CHANNELS]; MAX_LANES];
        for first in (0..lines).step_by(S::LANES) {
            let here = S::LANES.min(lines - first);
            for (i, samples) in samples[..here].iter_mut().enumerate() {
                let i = first + i;
                let weights: [S::F32; 4] = [0, 1, 2, 3].map(
                    #[inline(always)]
                    |corner| simd.splat(places.weights[corner][i]),
                );
                let from = [0, 1, 2, 3].map(
                    #[inline(always)]
                    |corner| {
                        let pixel = places.pixels[corner][i] as usize;
                        &self.pixels[pixel * self.pitch + channel..]
                            [..count.next_multiple_of(S::LANES)]
                    },
                );
                let mask = simd.splat(places.mask[i]);
                for c in (0..count).step_by(S::LANES) {
                    let mut sum = simd.mul(weights[0], simd.load(&from[0][c..]));
                    for corner in 1..4 {
                        sum = simd.fma(weights[corner], simd.load(&from[corner][c..]), sum);
                    }
                    simd.store(&mut samples[c..], simd.mul(sum, mask));
                }
            }
            let whole = match width.is_multiple_of(S::LANES) {
                true => count / S::LANES * S::LANES,
                false => 0,
            };
            for c in (0..whole).step_by(S::LANES) {
                let mut rows = [zeros.as_ptr(); MAX_LANES];
                for (row, samples) in rows.iter_mut().zip(&samples[..here]) {
                    *row = samples[c..].as_ptr();
                }
                let to = &mut dst[c * width + first..];
                assert!(to.len() >= (S::LANES - 1) * width + S::LANES);
                // SAFETY: rows have a vector from `c` on, `to` has the square (asserted).
                unsafe { simd.transpose_ptr(&rows, to.as_mut_ptr(), width) };
            }
            for c in whole..count {
                for (i, samples) in samples[..here].iter().enumerate() {
                    dst[c * width + first + i] = samples[c];
                }
            }
        }
    }
}
