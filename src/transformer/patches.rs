//! Images cut into patches, each made a row of features: the first layer of a vision transformer.
//!
//! That is a convolution whose stride is its window, so no value belongs to two patches: the patches are
//! copied into rows once, and one product with the packed weight makes the features in the
//! order (patch, feature) that attention wants. Bias and positions are added in registers.

use super::{elements, keep};
use crate::error::{Result, ensure};
use crate::gemm::{
    Epilogue, Layout, Lines, Output, PackedMatrix, Problem, Residual, Shape, Side, Strided,
    gemm_batched, panel_width,
};
use crate::runtime::{Buffer, Context};
use crate::tensor::{Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap};

const OP: &str = "patch_embedding";

/// A patch embedding with packed weights. Immutable and shared by threads.
pub struct PatchEmbedding {
    /// C, height and width of a patch.
    patch: [usize; 3],
    weight: PackedMatrix,
    bias: Option<Buffer<f32>>,
    /// The first row of each image: the class token with its position.
    first: Option<Buffer<f32>>,
    /// The positions of the patches.
    positions: Option<Buffer<f32>>,
}

impl PatchEmbedding {
    /// Packs `weight` (E, C, PH, PW) and copies `bias` (E,), `class_token` (E,) and
    /// `position_embedding` (rows, E), which has a row for each patch and, before them, one for the
    /// class token if there is one. They are not needed afterwards.
    pub fn new(
        ctx: &Context,
        weight: &View<'_, f32>,
        bias: Option<&View<'_, f32>>,
        class_token: Option<&View<'_, f32>>,
        position_embedding: Option<&View<'_, f32>>,
    ) -> Result<PatchEmbedding> {
        expect_rank(OP, "weight", weight, 4)?;
        let e = weight.dim(0);
        let patch = [weight.dim(1), weight.dim(2), weight.dim(3)];
        ensure!(
            patch[1] >= 1 && patch[2] >= 1,
            InvalidArgument,
            "{OP}: weight has patches of {} x {}, the least is 1 x 1",
            patch[1],
            patch[2]
        );
        for (name, array) in [("bias", bias), ("class_token", class_token)] {
            if let Some(array) = array {
                expect_shape(OP, name, array, &[e])?;
            }
        }
        let extra = usize::from(class_token.is_some());
        if let Some(positions) = position_embedding {
            expect_rank(OP, "position_embedding", positions, 2)?;
            ensure!(
                positions.dim(1) == e && positions.dim(0) >= extra,
                ShapeMismatch,
                "{OP}: position_embedding has shape {:?}, expected ({extra} or more, {e})",
                positions.shape()
            );
        }
        let flat = weight.contiguous(ctx)?;
        let k = elements(OP, &patch)?;
        let matrix = View::new(&flat, &[e, k])?;
        let isa = ctx.isa();
        let source = Strided::rows(matrix);
        let mut first = keep(ctx, class_token)?;
        if let (Some(first), Some(positions)) = (&mut first, position_embedding) {
            for (i, value) in first.iter_mut().enumerate() {
                *value += positions.get(&[0, i]);
            }
        }
        let positions = position_embedding.map(|all| all.narrow(0, extra, all.dim(0) - extra));
        Ok(PatchEmbedding {
            patch,
            weight: PackedMatrix::new(ctx, isa, Side::B, e, k, source)?,
            bias: keep(ctx, bias)?,
            first,
            positions: keep(ctx, positions.as_ref())?,
        })
    }

    /// Rows and features of the output for an image of `height` and `width`. What is left of an
    /// image beyond whole patches is ignored.
    pub fn output_shape(&self, height: usize, width: usize) -> Result<[usize; 2]> {
        let [_, ph, pw] = self.patch;
        let (rows, e) = ((height / ph) * (width / pw), self.weight.lines());
        if let Some(positions) = &self.positions {
            let known = positions.len().checked_div(e).unwrap_or(rows);
            ensure!(
                rows == known,
                ShapeMismatch,
                "{OP}: input of {height} x {width} has {rows} patches, position_embedding has {known}"
            );
        }
        Ok([rows + usize::from(self.first.is_some()), e])
    }

    /// Images `x` (B, C, H, W) to rows `out` (B, N, E): the class token if there is one, then the patches,
    /// row by row. Any strides. `out` must not overlap `x`.
    pub fn run(&self, ctx: &Context, x: &View<'_, f32>, mut out: ViewMut<'_, f32>) -> Result<()> {
        expect_rank(OP, "input", x, 4)?;
        let [c, ph, pw] = self.patch;
        ensure!(
            x.dim(1) == c,
            ShapeMismatch,
            "{OP}: input has {} channels, weight has {c}",
            x.dim(1)
        );
        let (batch, across) = (x.dim(0), x.dim(3) / pw);
        let [rows, e] = self.output_shape(x.dim(2), x.dim(3))?;
        expect_shape(OP, "output", &out, &[batch, rows, e])?;
        forbid_overlap(OP, "output", &out, "input", x)?;
        if out.is_empty() {
            return Ok(());
        }
        if !out.is_contiguous_from(2) {
            let mut compact = out.contiguous(ctx)?;
            self.run(ctx, x, ViewMut::new(&mut compact, &[batch, rows, e])?)?;
            compact.finish();
            return Ok(());
        }
        let extra = usize::from(self.first.is_some());
        let (patches, k) = (rows - extra, self.weight.k());
        let mut copied = ctx.scratch::<f32>(elements(OP, &[batch, patches, k])?)?;
        let lines = batch * patches.checked_div(across).unwrap_or(0);
        let to = Lent(copied.as_mut_ptr());
        ctx.parallel_for(lines, |line| {
            let (image, y) = (line / (patches / across), line % (patches / across));
            let band = x.index(0, image).narrow(1, y * ph, ph);
            // SAFETY: the rows of this line of patches, which no other task has.
            let rows = unsafe { to.part(line * across * k, across * k) };
            copy_patches(&band, [c, ph, pw], rows);
        })?;
        let writer = out.writer();
        let target = Target(writer.ptr(), [writer.stride(0), writer.stride(1)]);
        let shape = Shape {
            m: patches,
            n: e,
            k,
        };
        let copied: &[f32] = &copied;
        let problem = |image: usize| Problem {
            a: Strided::compact(&copied[image * patches * k..][..patches * k], k),
            b: &self.weight,
            out: Output {
                ptr: target.row(image, extra),
                layout: Layout::rows(target.1[1]),
                accumulate: false,
            },
            epilogue: Epilogue {
                bias: (self.bias.as_deref()).map_or(Lines::None, Lines::PerColumn),
                residual: self.positions.as_deref().map(|positions| Residual {
                    ptr: positions.as_ptr(),
                    layout: Layout::rows(e as isize),
                }),
                ..Epilogue::default()
            },
        };
        // SAFETY: rows of the output, borrowed exclusively, with contiguous elements; positions have a
        // row for each patch.
        unsafe { gemm_batched(ctx, shape, batch, problem)? };
        if let Some(first) = &self.first {
            for image in 0..batch {
                // SAFETY: the first row of an image, `e` contiguous elements.
                let row = unsafe { std::slice::from_raw_parts_mut(target.row(image, 0), e) };
                row.copy_from_slice(first);
            }
        }
        Ok(())
    }

    /// The algorithm and the instruction set, for people.
    pub fn describe(&self) -> String {
        let tier = self.weight.isa().tier();
        let [_, ph, pw] = self.patch;
        format!(
            "patches of {ph} x {pw} as rows, packed matrix product, {} x {} tiles, {}",
            panel_width(tier, Side::A),
            panel_width(tier, Side::B),
            tier.name()
        )
    }
}

/// The patches side by side in a band (C, PH, W) as rows (C, PH, PW).
fn copy_patches(band: &Raw<f32>, [c, ph, pw]: [usize; 3], rows: &mut [f32]) {
    let step = band.stride(2);
    for (at, row) in rows.chunks_exact_mut((c * ph * pw).max(1)).enumerate() {
        for (line, to) in row.chunks_exact_mut(pw).enumerate() {
            let offset = (line / ph) as isize * band.stride(0)
                + (line % ph) as isize * band.stride(1)
                + (at * pw) as isize * step;
            let from = band.ptr().wrapping_offset(offset);
            // SAFETY: `pw` elements of a line of the band, which is a view of an input.
            unsafe {
                match step {
                    1 => to.copy_from_slice(std::slice::from_raw_parts(from, pw)),
                    _ => {
                        for (i, to) in to.iter_mut().enumerate() {
                            *to = *from.wrapping_offset(i as isize * step);
                        }
                    }
                }
            }
        }
    }
}

/// Scratch that tasks share out.
#[derive(Clone, Copy)]
struct Lent(*mut f32);

// SAFETY: tasks take parts of their own.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl Lent {
    /// # Safety
    /// The scratch has these elements, and nobody else uses them.
    unsafe fn part<'a>(self, start: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// The output: its address, and the distances of images and rows.
#[derive(Clone, Copy)]
struct Target(*mut f32, [isize; 2]);

// SAFETY: an address; who writes through it answers for that.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    fn row(&self, image: usize, row: usize) -> *mut f32 {
        (self.0).wrapping_offset(image as isize * self.1[0] + row as isize * self.1[1])
    }
}
