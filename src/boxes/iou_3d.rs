//! `box_iou_3d`: overlap of boxes with axis-aligned faces in space.
//!
//! As in the plane ([`super::iou`]): the boxes are laid out by field, with their
//! volumes, and a pair is a few operations in registers and one store.

use super::iou::ratio;
use crate::error::{Result, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{Simd, dispatch};
use crate::tensor::{View, ViewMut, expect_rank, expect_shape, forbid_overlap};

/// Enough to pay for handing out a task.
const PAIRS_PER_TASK: usize = 1 << 15;

/// The volume that every box of `a` (N, 6) shares with every box of `b` (M, 6), over that of their
/// union, to `output` (N, M). A box is (x1, y1, z1, x2, y2, z2).
///
/// Boxes that only touch share nothing. A NaN in a box gives NaN, 0/0 is 0. `output` may not
/// overlap the inputs.
pub fn box_iou_3d(
    ctx: &Context,
    a: View<'_, f32>,
    b: View<'_, f32>,
    output: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "box_iou_3d";
    for (name, boxes) in [("a", &a), ("b", &b)] {
        expect_rank(op, name, boxes, 2)?;
        ensure!(
            boxes.dim(1) == 6,
            ShapeMismatch,
            "{op}: {name} has shape {:?}, expected (N, 6)",
            boxes.shape()
        );
    }
    let columns = b.dim(0);
    expect_shape(op, "output", &output, &[a.dim(0), columns])?;
    forbid_overlap(op, "output", &output, "a", &a)?;
    forbid_overlap(op, "output", &output, "b", &b)?;
    if output.is_empty() {
        return Ok(());
    }
    let (a, b) = (Planes::new(ctx, &a)?, Planes::new(ctx, &b)?);
    let mut output = output.contiguous(ctx)?;
    let len = output.len();
    let mut flat = ViewMut::new(&mut output, &[len])?;
    let writer = flat.writer();
    let per_task = (PAIRS_PER_TASK / columns).max(1) * columns;
    let isa = ctx.isa();
    ctx.parallel_for(len.div_ceil(per_task), |task| {
        let start = task * per_task;
        // SAFETY: inside of the output, and tasks are disjoint.
        let out = unsafe { writer.slice(start as isize, per_task.min(len - start)) };
        dispatch!(isa, simd => rows(simd, &a, &b, columns, start / columns, out));
    })?;
    output.finish();
    Ok(())
}

/// x1, y1, z1, x2, y2, z2, volume.
const FIELDS: usize = 7;

/// The boxes by field; every plane is longer than the set by a vector at least.
struct Planes<'c> {
    memory: Scratch<'c, f32>,
    stride: usize,
}

impl<'c> Planes<'c> {
    fn new(ctx: &'c Context, boxes: &View<'_, f32>) -> Result<Planes<'c>> {
        let boxes = boxes.contiguous(ctx)?;
        let (boxes, _) = boxes.as_chunks::<6>();
        let stride = (boxes.len() + 16).next_multiple_of(16);
        let mut memory = ctx.scratch(FIELDS * stride)?;
        for (field, plane) in memory.chunks_exact_mut(stride).enumerate() {
            for (to, b) in plane.iter_mut().zip(boxes) {
                *to = match field {
                    6 => (b[3] - b[0]) * (b[4] - b[1]) * (b[5] - b[2]),
                    field => b[field],
                };
            }
        }
        Ok(Planes { memory, stride })
    }

    /// Boxes from `index` on, one to a lane.
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S, index: usize) -> [S::F32; FIELDS] {
        assert!(index + S::LANES <= self.stride && self.memory.len() == FIELDS * self.stride);
        let base = self.memory.as_ptr().wrapping_add(index);
        let mut fields = [simd.zero(); FIELDS];
        for (k, field) in fields.iter_mut().enumerate() {
            // SAFETY: there are seven planes and each reaches beyond index + LANES.
            *field = unsafe { simd.load_ptr(base.add(k * self.stride)) };
        }
        fields
    }

    /// One box in all lanes.
    #[inline(always)]
    fn splat<S: Simd>(&self, simd: S, index: usize) -> [S::F32; FIELDS] {
        let mut fields = [simd.zero(); FIELDS];
        for (k, field) in fields.iter_mut().enumerate() {
            *field = simd.splat(self.memory[k * self.stride + index]);
        }
        fields
    }
}

/// Whole rows of the result, from `first` on.
#[inline(always)]
fn rows<S: Simd>(
    simd: S,
    a: &Planes<'_>,
    b: &Planes<'_>,
    columns: usize,
    first: usize,
    out: &mut [f32],
) {
    for (i, row) in out.chunks_exact_mut(columns).enumerate() {
        let one = a.splat(simd, first + i);
        let mut at = 0;
        let mut parts = row.chunks_exact_mut(S::LANES);
        for part in &mut parts {
            simd.store(part, overlap(simd, &one, &b.load(simd, at)));
            at += S::LANES;
        }
        let last = overlap(simd, &one, &b.load(simd, at));
        simd.store_partial(parts.into_remainder(), last);
    }
}

/// Nothing is fused, so that tiers agree.
#[inline(always)]
fn overlap<S: Simd>(simd: S, a: &[S::F32; FIELDS], b: &[S::F32; FIELDS]) -> S::F32 {
    let mut inter = simd.splat(1.0);
    for axis in 0..3 {
        let side = simd.sub(
            simd.min(a[axis + 3], b[axis + 3]),
            simd.max(a[axis], b[axis]),
        );
        inter = simd.mul(inter, simd.max(side, simd.zero()));
    }
    let union = simd.sub(simd.add(a[6], b[6]), inter);
    ratio(simd, inter, union)
}
