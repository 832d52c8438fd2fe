//! Overlap of boxes: IoU and its three refinements, for all pairs of two sets
//! or element by element.
//!
//! The boxes are first laid out in planes (all x1, all y1, …) together with what
//! depends on one box alone: area, centre, and the angle whose arctangent is far
//! too dear to be taken once a pair. A pair is then a few operations in
//! registers and one store, so that IoU runs at the speed of the division or of
//! the memory, whichever is slower.
//!
//! GIoU: Rezatofighi et al. 2019. DIoU, CIoU: Zheng et al. 2020. Values are those
//! of torchvision's `box_iou`, `generalized_box_iou`, `distance_box_iou` and
//! `complete_box_iou`, except that 0/0 counts as 0 here.

use super::format::{BoxFormat, expect_boxes, expect_offset};
use crate::error::{Result, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{Simd, dispatch};
use crate::tensor::{View, ViewMut, expect_shape, forbid_overlap};

/// Which measure of overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IouKind {
    /// Intersection over union.
    #[default]
    Iou,
    /// IoU less the share of the hull that neither box covers.
    Giou,
    /// IoU less the squared distance of the centres over that of the hull's corners.
    Diou,
    /// DIoU less a term for differing aspect ratios.
    Ciou,
}

/// How overlap is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BoxIouParams {
    /// The measure.
    pub kind: IouKind,
    /// What the numbers of a box are.
    pub format: BoxFormat,
    /// 0, or 1 for boxes that end with their last pixel included.
    pub offset: i32,
}

/// The overlap of every box of `a` (N, 4) with every box of `b` (M, 4), to `output` (N, M).
///
/// A NaN in a box gives NaN. 0/0 is 0: empty boxes overlap nothing. DIoU and
/// CIoU add 1e-7 to the squared diagonal, as torchvision does. `output` may not
/// overlap the inputs.
pub fn box_iou(
    ctx: &Context,
    params: &BoxIouParams,
    a: View<'_, f32>,
    b: View<'_, f32>,
    output: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "box_iou";
    let (rows, columns) = (expect_boxes(op, "a", &a)?, expect_boxes(op, "b", &b)?);
    expect_shape(op, "output", &output, &[rows, columns])?;
    run(ctx, op, params, &a, &b, output, Some(columns))
}

/// The overlap of each box of `a` (N, 4) with the box of `b` (N, 4) at the same
/// index, to `output` (N). Otherwise as [`box_iou`].
pub fn box_iou_elementwise(
    ctx: &Context,
    params: &BoxIouParams,
    a: View<'_, f32>,
    b: View<'_, f32>,
    output: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "box_iou_elementwise";
    let (len, other) = (expect_boxes(op, "a", &a)?, expect_boxes(op, "b", &b)?);
    ensure!(
        len == other,
        ShapeMismatch,
        "{op}: a has {len} boxes, b has {other}"
    );
    expect_shape(op, "output", &output, &[len])?;
    run(ctx, op, params, &a, &b, output, None)
}

/// Enough to pay for handing out a task.
const PAIRS_PER_TASK: usize = 1 << 15;

/// Checks what both forms have in common and runs the parts.
fn run(
    ctx: &Context,
    op: &str,
    params: &BoxIouParams,
    a: &View<'_, f32>,
    b: &View<'_, f32>,
    output: ViewMut<'_, f32>,
    columns: Option<usize>,
) -> Result<()> {
    let offset = expect_offset(op, params.offset)?;
    forbid_overlap(op, "output", &output, "a", a)?;
    forbid_overlap(op, "output", &output, "b", b)?;
    if output.is_empty() {
        return Ok(());
    }
    let (a, b) = (a.contiguous(ctx)?, b.contiguous(ctx)?);
    let job = Job {
        a: Planes::new(ctx, params, offset, a.as_chunks().0)?,
        b: Planes::new(ctx, params, offset, b.as_chunks().0)?,
        offset,
        columns,
    };
    let mut output = output.contiguous(ctx)?;
    let len = output.len();
    let mut flat = ViewMut::new(&mut output, &[len])?;
    let writer = flat.writer();
    // Whole rows, where there are rows.
    let per_task = columns.map_or(PAIRS_PER_TASK, |m| (PAIRS_PER_TASK / m).max(1) * m);
    let isa = ctx.isa();
    ctx.parallel_for(len.div_ceil(per_task), |task| {
        let start = task * per_task;
        let size = per_task.min(len - start);
        // SAFETY: inside of the output, and tasks are disjoint.
        let out = unsafe { writer.slice(start as isize, size) };
        match params.kind {
            IouKind::Iou => dispatch!(isa, simd => job.compute::<_, IOU>(simd, start, out)),
            IouKind::Giou => dispatch!(isa, simd => job.compute::<_, GIOU>(simd, start, out)),
            IouKind::Diou => dispatch!(isa, simd => job.compute::<_, DIOU>(simd, start, out)),
            IouKind::Ciou => dispatch!(isa, simd => job.compute::<_, CIOU>(simd, start, out)),
        }
    })?;
    output.finish();
    Ok(())
}

pub(super) const IOU: u8 = 0;
const GIOU: u8 = 1;
const DIOU: u8 = 2;
const CIOU: u8 = 3;

/// x1, y1, x2, y2, area, centre x, centre y, angle.
const FIELDS: usize = 8;

/// The boxes by field. Every plane is longer than the set by a vector at least,
/// so that the last vector may be loaded whole.
pub(super) struct Planes<'c> {
    memory: Scratch<'c, f32>,
    stride: usize,
}

impl<'c> Planes<'c> {
    pub(super) fn new(
        ctx: &'c Context,
        params: &BoxIouParams,
        offset: f32,
        boxes: &[[f32; 4]],
    ) -> Result<Planes<'c>> {
        let stride = (boxes.len() + 16).next_multiple_of(16);
        let mut memory = ctx.scratch(FIELDS * stride)?;
        let mut planes = memory.chunks_exact_mut(stride);
        let mut next = || planes.next().unwrap_or_default();
        let (x1, y1, x2, y2) = (next(), next(), next(), next());
        let (area, cx, cy, angle) = (next(), next(), next(), next());
        for (i, &b) in boxes.iter().enumerate() {
            let [l, t, r, b] = params.format.corners(b);
            (x1[i], y1[i], x2[i], y2[i]) = (l, t, r, b);
            area[i] = (r - l + offset) * (b - t + offset);
        }
        if matches!(params.kind, IouKind::Diou | IouKind::Ciou) {
            for i in 0..boxes.len() {
                cx[i] = (x1[i] + x2[i]) / 2.0;
                cy[i] = (y1[i] + y2[i]) / 2.0;
            }
        }
        if params.kind == IouKind::Ciou {
            for i in 0..boxes.len() {
                let (w, h) = (x2[i] - x1[i] + offset, y2[i] - y1[i] + offset);
                // A point has no aspect ratio.
                angle[i] = match w == 0.0 && h == 0.0 {
                    true => 0.0,
                    false => f64::from(w / h).atan() as f32,
                };
            }
        }
        Ok(Planes { memory, stride })
    }

    /// One box in all lanes.
    #[inline(always)]
    pub(super) fn splat<S: Simd>(&self, simd: S, index: usize) -> Fields<S> {
        let at = |field: usize| self.memory[field * self.stride + index];
        Fields {
            x1: simd.splat(at(0)),
            y1: simd.splat(at(1)),
            x2: simd.splat(at(2)),
            y2: simd.splat(at(3)),
            area: simd.splat(at(4)),
            cx: simd.splat(at(5)),
            cy: simd.splat(at(6)),
            angle: simd.splat(at(7)),
        }
    }

    /// Boxes from `index` on, one to a lane.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&self, simd: S, index: usize) -> Fields<S> {
        assert!(index + S::LANES <= self.stride && self.memory.len() == FIELDS * self.stride);
        let base = self.memory.as_ptr().wrapping_add(index);
        // SAFETY: there are eight planes and each reaches beyond index + LANES.
        unsafe {
            Fields {
                x1: simd.load_ptr(base),
                y1: simd.load_ptr(base.add(self.stride)),
                x2: simd.load_ptr(base.add(2 * self.stride)),
                y2: simd.load_ptr(base.add(3 * self.stride)),
                area: simd.load_ptr(base.add(4 * self.stride)),
                cx: simd.load_ptr(base.add(5 * self.stride)),
                cy: simd.load_ptr(base.add(6 * self.stride)),
                angle: simd.load_ptr(base.add(7 * self.stride)),
            }
        }
    }
}

/// Boxes in vectors. Those fields that a measure does not use are never loaded.
pub(super) struct Fields<S: Simd> {
    x1: S::F32,
    y1: S::F32,
    x2: S::F32,
    y2: S::F32,
    area: S::F32,
    cx: S::F32,
    cy: S::F32,
    angle: S::F32,
}

/// What the tasks share.
struct Job<'c> {
    a: Planes<'c>,
    b: Planes<'c>,
    offset: f32,
    /// Every box of `a` meets that many of `b`; `None`: only the one at its own index.
    columns: Option<usize>,
}

impl Job<'_> {
    /// The results from `start` on.
    #[inline(always)]
    fn compute<S: Simd, const KIND: u8>(&self, simd: S, start: usize, out: &mut [f32]) {
        let Some(columns) = self.columns else {
            let mut at = start;
            for part in out.chunks_mut(S::LANES) {
                let (a, b) = (self.a.load(simd, at), self.b.load(simd, at));
                simd.store_partial(part, overlap::<S, KIND>(simd, self.offset, &a, &b));
                at += S::LANES;
            }
            return;
        };
        for (i, row) in out.chunks_exact_mut(columns).enumerate() {
            let a = self.a.splat(simd, start / columns + i);
            let mut at = 0;
            let mut parts = row.chunks_exact_mut(S::LANES);
            for part in &mut parts {
                let b = self.b.load(simd, at);
                simd.store(part, overlap::<S, KIND>(simd, self.offset, &a, &b));
                at += S::LANES;
            }
            let b = self.b.load(simd, at);
            let last = overlap::<S, KIND>(simd, self.offset, &a, &b);
            simd.store_partial(parts.into_remainder(), last);
        }
    }
}

/// `a / b`, where 0 / 0 is 0. (A box that touches nothing has no area, and then
/// the union is 0 only when neither has.)
#[inline(always)]
pub(super) fn ratio<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
    let none = simd.eq(b, simd.zero());
    simd.div(a, simd.select(none, simd.splat(1.0), b))
}

/// A vector of one measure. Nothing is fused, so that tiers agree.
#[inline(always)]
pub(super) fn overlap<S: Simd, const KIND: u8>(
    simd: S,
    offset: f32,
    a: &Fields<S>,
    b: &Fields<S>,
) -> S::F32 {
    let offset = simd.splat(offset);
    let side = simd.sub(simd.min(a.x2, b.x2), simd.max(a.x1, b.x1));
    let w = simd.max(simd.add(side, offset), simd.zero());
    let side = simd.sub(simd.min(a.y2, b.y2), simd.max(a.y1, b.y1));
    let h = simd.max(simd.add(side, offset), simd.zero());
    let inter = simd.mul(w, h);
    let union = simd.sub(simd.add(a.area, b.area), inter);
    let iou = ratio(simd, inter, union);
    if KIND == IOU {
        return iou;
    }
    // The hull of both.
    let side = simd.sub(simd.max(a.x2, b.x2), simd.min(a.x1, b.x1));
    let w = simd.max(simd.add(side, offset), simd.zero());
    let side = simd.sub(simd.max(a.y2, b.y2), simd.min(a.y1, b.y1));
    let h = simd.max(simd.add(side, offset), simd.zero());
    if KIND == GIOU {
        let hull = simd.mul(w, h);
        return simd.sub(iou, ratio(simd, simd.sub(hull, union), hull));
    }
    let epsilon = simd.splat(1e-7);
    let square = simd.add(simd.add(simd.mul(w, w), simd.mul(h, h)), epsilon);
    let (dx, dy) = (simd.sub(a.cx, b.cx), simd.sub(a.cy, b.cy));
    let distance = simd.add(simd.mul(dx, dx), simd.mul(dy, dy));
    let diou = simd.sub(iou, simd.div(distance, square));
    if KIND == DIOU {
        return diou;
    }
    let turn = simd.sub(b.angle, a.angle);
    let four_over_pi_squared =
        simd.splat((4.0 / (std::f64::consts::PI * std::f64::consts::PI)) as f32);
    let v = simd.mul(four_over_pi_squared, simd.mul(turn, turn));
    let rest = simd.add(simd.sub(simd.splat(1.0), iou), v);
    let alpha = simd.div(v, simd.add(rest, epsilon));
    simd.sub(diou, simd.mul(alpha, v))
}
