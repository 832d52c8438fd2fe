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

mod fields;

use super::finish::Finish;
use super::params::{Extents, Image, Spec};
use super::weights::Weights;
use crate::error::Result;
use crate::gemm::{
    Epilogue, Layout, Lines, Output, PackedMatrix, PanelSource, Problem, Residual, Shape, Strided,
    gemm_batched,
};
use crate::runtime::Context;
use crate::simd::{Activation, Simd};
use fields::Fields;
use std::ops::Range;

/// The engine does this better than the direct kernels: enough output channels to be worth the
/// copies, of which a window of 1 x 1 has the fewest and a strided one the dearest, and enough terms to be
/// worth a pass over the output.
pub(super) fn suits(spec: &Spec) -> bool {
    if spec.kernel == [1, 1] {
        return spec.cg >= 16 && spec.og >= 16;
    }
    let outputs = match (spec.stride[1], spec.cg) {
        (1, 32..) => 24,
        _ => 48,
    };
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
