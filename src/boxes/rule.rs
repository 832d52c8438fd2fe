//! When does one box suppress another?
//!
//! The answer is torchvision's to the last bit: areas, intersection, union and
//! their quotient are each rounded to f32, and the quotient is compared with a
//! threshold given as a double. The comparison is the same as that with the
//! largest f32 not above the threshold.
//!
//! The division, however, is almost never carried out. From
//! `inter / (a + b - inter) > t` follows `inter > a·t/(1+t) + b·t/(1+t)`, so each
//! box carries its scaled area and a pair costs one addition and one
//! comparison beyond the intersection. The scale is taken a little smaller than
//! t/(1+t), by more than all rounding errors together; so the test lets through
//! every pair that is to be suppressed and hardly another, and what it lets
//! through is decided by the real arithmetic.
//!
//! That argument needs finite, positive, normal areas. [`Rule::judge`] sorts out
//! the other boxes: the *inert* ones, which can neither suppress nor be
//! suppressed (empty, flipped, NaN), and the *irregular* ones, which are always
//! decided by the real arithmetic.

use super::format::BoxFormat;
use crate::error::{Result, ensure};
use crate::simd::Simd;

/// What the area of the intersection is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overlap {
    /// The area of the union: the usual IoU.
    #[default]
    Union,
    /// The smaller of the two areas, so that a box inside of another counts as one.
    Min,
}

/// The condition for suppression, prepared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    format: BoxFormat,
    pub(super) overlap: Overlap,
    pub(super) offset: f32,
    threshold: f32,
    scale: f32,
    /// Two regular boxes of which one suppresses the other still intersect
    /// when each is shrunk about its centre by this factor.
    pub(super) shrink: f32,
}

/// A box as the rule sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) corners: [f32; 4],
    /// The area times the scale; minus infinity for irregular boxes.
    pub(super) scaled_area: f32,
}

/// The areas for which the error bounds hold.
const REGULAR_AREA: std::ops::RangeInclusive<f32> = 1e-30..=1e37;
/// Coordinates beyond are irregular; products of two are finite below.
const REGULAR_COORDINATE: f32 = 1e18;

impl Rule {
    pub(super) fn new(
        op: &str,
        threshold: f64,
        format: BoxFormat,
        offset: f32,
        overlap: Overlap,
    ) -> Result<Rule> {
        ensure!(
            !threshold.is_nan(),
            InvalidArgument,
            "{op}: iou_threshold is NaN"
        );
        let threshold = round_down(threshold);
        // The relative error of a quotient is below 3e-6 (1e-4 with an offset and
        // thresholds from 0.01 on, where sides may cancel against the offset).
        let below = match offset != 0.0 && threshold < 0.01 {
            true => 0.0,
            false => (threshold * (1.0 - 1e-4) - 1e-5).clamp(0.0, 0.9999),
        };
        let (scale, shrink) = match overlap {
            // IoU > t makes the overlap along each axis exceed t of the union
            // along that axis, so the distance of the centres is below
            // (1-t)/(1+t) times the half of both sides together.
            Overlap::Union => (below / (1.0 + below), (1.0 - below) / (1.0 + below)),
            Overlap::Min => (below, 1.0),
        };
        Ok(Rule {
            format,
            overlap,
            offset,
            threshold,
            scale,
            shrink,
        })
    }

    /// With a negative threshold even disjoint boxes suppress each other, and
    /// nothing can be decided early.
    pub(super) fn is_negative(&self) -> bool {
        self.threshold < 0.0
    }

    /// The corners of the box at `index`.
    #[inline(always)]
    pub(super) fn corners(&self, boxes: &[[f32; 4]], index: u32) -> [f32; 4] {
        self.format.corners(boxes[index as usize])
    }

    /// Which of these boxes are regular, and their scaled areas.
    #[inline(always)]
    pub(super) fn judge<S: Simd>(
        &self,
        simd: S,
        [x1, y1, x2, y2]: [S::F32; 4],
    ) -> (S::Mask, S::F32) {
        let offset = simd.splat(self.offset);
        let w = simd.add(simd.sub(x2, x1), offset);
        let h = simd.add(simd.sub(y2, y1), offset);
        let area = simd.mul(w, h);
        let smallest = simd.splat(if self.offset != 0.0 { 0.5 } else { 0.0 });
        let reach = simd.max(
            simd.max(simd.abs(x1), simd.abs(y1)),
            simd.max(simd.abs(x2), simd.abs(y2)),
        );
        // NaN fails the first two comparisons.
        let sides = simd.and(simd.gt(w, smallest), simd.gt(h, smallest));
        let areas = simd.and(
            simd.ge(area, simd.splat(*REGULAR_AREA.start())),
            simd.le(area, simd.splat(*REGULAR_AREA.end())),
        );
        let near = simd.le(reach, simd.splat(REGULAR_COORDINATE));
        let regular = simd.and(simd.and(sides, areas), near);
        let scaled = simd.mul(area, simd.splat(self.scale));
        let irregular = simd.splat(f32::NEG_INFINITY);
        (regular, simd.select(regular, scaled, irregular))
    }

    /// Whether a box that is not regular is inert.
    #[cold]
    pub(super) fn is_inert(&self, [x1, y1, x2, y2]: [f32; 4]) -> bool {
        let (w, h) = (x2 - x1 + self.offset, y2 - y1 + self.offset);
        let area = w * h;
        // The intersection is inside of each box, in rounded arithmetic too, so with
        // one without extent it is 0 (or NaN), and with an infinite union as well.
        let inert = !(w > 0.0 && h > 0.0 && area > 0.0)
            || (area == f32::INFINITY && self.overlap == Overlap::Union);
        inert && !self.is_negative()
    }
}

/// The largest f32 that is not above `value`.
pub(super) fn round_down(value: f64) -> f32 {
    let nearest = value as f32;
    match f64::from(nearest) > value {
        true => nearest.next_down(),
        false => nearest,
    }
}

/// Fields of a chunk: x1, y1, x2, y2 and the scaled area, `LANES` of each.
pub(super) const FIELDS: usize = 5;

/// One box in all lanes, with the rule's numbers.
#[derive(Clone, Copy)]
pub(super) struct Probe<S: Simd> {
    x1: S::F32,
    y1: S::F32,
    x2: S::F32,
    y2: S::F32,
    scaled_area: S::F32,
    offset: S::F32,
    threshold: S::F32,
}

impl<S: Simd> Probe<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, rule: &Rule, judged: &Judged) -> Probe<S> {
        let [x1, y1, x2, y2] = judged.corners;
        Probe {
            x1: simd.splat(x1),
            y1: simd.splat(y1),
            x2: simd.splat(x2),
            y2: simd.splat(y2),
            scaled_area: simd.splat(judged.scaled_area),
            offset: simd.splat(rule.offset),
            threshold: simd.splat(rule.threshold),
        }
    }

    #[inline(always)]
    fn side(&self, simd: S, low: S::F32, high: S::F32) -> S::F32 {
        simd.add(simd.sub(high, low), self.offset)
    }

    /// Which boxes of a chunk the rule may apply to. Never misses one when the
    /// threshold is not negative.
    ///
    /// # Safety
    /// `chunk` is valid for reading `FIELDS * LANES` floats.
    #[inline(always)]
    pub(super) unsafe fn suspects<const MIN: bool>(&self, simd: S, chunk: *const f32) -> S::Mask {
        let l = S::LANES;
        // SAFETY: the five fields of the chunk.
        let [x1, y1, x2, y2, scaled] = unsafe {
            [
                simd.load_ptr(chunk),
                simd.load_ptr(chunk.add(l)),
                simd.load_ptr(chunk.add(2 * l)),
                simd.load_ptr(chunk.add(3 * l)),
                simd.load_ptr(chunk.add(4 * l)),
            ]
        };
        let w = simd.sub(simd.min(self.x2, x2), simd.max(self.x1, x1));
        let h = simd.sub(simd.min(self.y2, y2), simd.max(self.y1, y1));
        // One factor that is not negative is enough to tell: the bound never is,
        // but for irregular boxes, which any number passes.
        let w = simd.max(simd.add(w, self.offset), simd.zero());
        let inter = simd.mul(w, simd.add(h, self.offset));
        let bound = match MIN {
            true => simd.min(self.scaled_area, scaled),
            false => simd.add(self.scaled_area, scaled),
        };
        simd.gt(inter, bound)
    }

    /// Which boxes of a chunk the rule does apply to.
    ///
    /// # Safety
    /// `chunk` is valid for reading `FIELDS * LANES` floats.
    #[inline(always)]
    pub(super) unsafe fn suppressors<const MIN: bool>(
        &self,
        simd: S,
        chunk: *const f32,
    ) -> S::Mask {
        let l = S::LANES;
        // SAFETY: four of the five fields of the chunk.
        let [x1, y1, x2, y2] = unsafe {
            [
                simd.load_ptr(chunk),
                simd.load_ptr(chunk.add(l)),
                simd.load_ptr(chunk.add(2 * l)),
                simd.load_ptr(chunk.add(3 * l)),
            ]
        };
        let w = self.side(simd, simd.max(self.x1, x1), simd.min(self.x2, x2));
        let h = self.side(simd, simd.max(self.y1, y1), simd.min(self.y2, y2));
        // A NaN side counts as 0, as in std::max(0, NaN).
        let inter = simd.mul(simd.max(w, simd.zero()), simd.max(h, simd.zero()));
        let area = simd.mul(self.side(simd, x1, x2), self.side(simd, y1, y2));
        let own = simd.mul(
            self.side(simd, self.x1, self.x2),
            self.side(simd, self.y1, self.y2),
        );
        let sum = simd.add(area, own);
        match MIN {
            false => simd.gt(simd.div(inter, simd.sub(sum, inter)), self.threshold),
            true => {
                let whole = simd.and(simd.eq(area, area), simd.eq(own, own));
                let ratio = simd.div(inter, simd.min(area, own));
                simd.and(whole, simd.gt(ratio, self.threshold))
            }
        }
    }
}
