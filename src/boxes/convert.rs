//! `box_convert`: boxes from one format to another.
//!
//! A box is four loads, at most four operations and four stores, so what there
//! is to win lies in the memory: rows that lie one after the other are walked
//! once, with the formats fixed outside of the loop, where torch makes an array
//! for each column and stacks them.

use super::format::BoxFormat;
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::tensor::{MAX_RANK, Raw, View, ViewMut, expect_same_shape, forbid_partial_overlap};

/// Boxes in a task.
const BOXES_PER_TASK: usize = 1 << 14;

/// Writes `boxes` (…, 4) in format `from` to `output`, of the same shape, in format `to`.
///
/// The arithmetic is that of torchvision's `box_convert`: sizes are `x2 - x1`, centres
/// `(x1 + x2) / 2`, corners `cx - 0.5 * w`, and what is neither from nor to corners goes by way of
/// them. A format that stays is a copy. `Corners` as `from` puts the corners in order, as `to` it
/// means the same as `Xyxy`. NaN and infinities go the way of the arithmetic.
///
/// `output` may be the very array `boxes`, and may otherwise not overlap it.
pub fn box_convert(
    ctx: &Context,
    from: BoxFormat,
    to: BoxFormat,
    boxes: View<'_, f32>,
    mut output: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "box_convert";
    let rank = boxes.rank();
    ensure!(
        rank >= 1 && boxes.dim(rank - 1) == 4,
        ShapeMismatch,
        "{op}: boxes has shape {:?}, expected (…, 4)",
        boxes.shape()
    );
    expect_same_shape(op, "output", &output, "boxes", &boxes)?;
    forbid_partial_overlap(op, "output", &output, "boxes", &boxes)?;
    let len = boxes.len() / 4;
    let writer = output.writer();
    ctx.parallel_for(len.div_ceil(BOXES_PER_TASK), |task| {
        let first = task * BOXES_PER_TASK;
        let rows = Rows {
            src: &boxes,
            dst: &writer,
            first,
            count: BOXES_PER_TASK.min(len - first),
        };
        // SAFETY: rows inside of both arrays, and tasks are disjoint.
        unsafe { rows.convert(from, to) }
    })
}

/// Consecutive boxes of both arrays.
struct Rows<'a> {
    src: &'a Raw<f32>,
    dst: &'a Raw<f32>,
    first: usize,
    count: usize,
}

impl Rows<'_> {
    /// # Safety
    /// The source is readable, these rows of the destination are writable by nobody else.
    unsafe fn convert(&self, from: BoxFormat, to: BoxFormat) {
        use BoxFormat::{Corners, Cxcywh, Xywh, Xyxy};
        let to = if to == Corners { Xyxy } else { to };
        // Each arm is a loop of its own, with the arithmetic inlined.
        // SAFETY: the caller's promise.
        unsafe {
            match (from, to) {
                (Corners, Xywh) => self.each(|b| to_xywh(Corners.corners(b))),
                (Corners, Cxcywh) => self.each(|b| to_cxcywh(Corners.corners(b))),
                (Corners, _) => self.each(|b| Corners.corners(b)),
                (Xyxy, Xywh) => self.each(to_xywh),
                (Xyxy, Cxcywh) => self.each(to_cxcywh),
                (Xywh, Xyxy) => self.each(|b| Xywh.corners(b)),
                (Xywh, Cxcywh) => self.each(|b| to_cxcywh(Xywh.corners(b))),
                (Cxcywh, Xyxy) => self.each(|b| Cxcywh.corners(b)),
                (Cxcywh, Xywh) => self.each(|b| to_xywh(Cxcywh.corners(b))),
                _ => self.each(|b| b),
            }
        }
    }

    /// # Safety
    /// As [`convert`](Rows::convert).
    #[inline(always)]
    unsafe fn each(&self, f: impl Fn([f32; 4]) -> [f32; 4]) {
        let (src, dst) = (self.src, self.dst);
        if src.is_contiguous() && dst.is_contiguous() {
            let start = 4 * self.first;
            // SAFETY: the arrays are compact, and the rows inside of them.
            let (src, dst) = unsafe { (src.ptr().add(start), dst.ptr().add(start)) };
            for i in 0..self.count {
                // SAFETY: as above; f32 is aligned enough for an array of it.
                unsafe {
                    let (src, dst) = (src.cast::<[f32; 4]>(), dst.cast::<[f32; 4]>());
                    dst.add(i).write(f(src.add(i).read()));
                }
            }
            return;
        }
        let axes = src.rank() - 1;
        let (from, to) = (src.stride(axes), dst.stride(axes));
        let mut index = [0usize; MAX_RANK];
        let mut rest = self.first;
        for axis in (0..axes).rev() {
            index[axis] = rest % src.dim(axis);
            rest /= src.dim(axis);
        }
        for _ in 0..self.count {
            let offset = |array: &Raw<f32>| -> isize {
                (0..axes)
                    .map(|axis| index[axis] as isize * array.stride(axis))
                    .sum()
            };
            // SAFETY: an index of both arrays; a box is read whole before it is written.
            unsafe {
                let (src, dst) = (src.ptr().offset(offset(src)), dst.ptr().offset(offset(dst)));
                let b = f(std::array::from_fn(|k| *src.offset(k as isize * from)));
                for (k, &value) in b.iter().enumerate() {
                    *dst.offset(k as isize * to) = value;
                }
            }
            for axis in (0..axes).rev() {
                index[axis] += 1;
                if index[axis] < src.dim(axis) {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
}

#[inline(always)]
fn to_xywh([x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
    [x1, y1, x2 - x1, y2 - y1]
}

#[inline(always)]
fn to_cxcywh([x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
    [(x1 + x2) / 2.0, (y1 + y2) / 2.0, x2 - x1, y2 - y1]
}
