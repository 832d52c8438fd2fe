//! Candidates judged many at a time, by field: what a search then needs of one
//! is a few numbers that stand ready.

use super::grid::Layout;
use super::rule::{FIELDS, Judged, Probe, Rule};
use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::Simd;
use std::ops::Range;

/// Candidates judged together: a multiple of every tier's lanes.
pub(super) const BATCH: usize = 64;
/// Fields of a candidate beside those of a chunk: its first cell and its extent.
const PLACES: usize = 2;
const EXTENT: usize = 1;

/// The extent of a box that is irregular, and of one that is inert. Those of the others are not negative.
const IRREGULAR: i32 = -1;
const INERT: i32 = -2;

/// The cells that a shrunk box touches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    /// The first.
    pub(super) first: u32,
    /// How many more there are to the right in the low half, and below in the high one.
    pub(super) extent: u32,
}

impl Cells {
    /// True when they are one, or two by one, or two by two.
    #[inline(always)]
    pub(super) fn are_few(&self) -> bool {
        self.extent & !0x0001_0001 == 0
    }

    /// Columns less one, and rows less one.
    #[inline(always)]
    pub(super) fn more(&self) -> [u32; 2] {
        [self.extent & 0xffff, self.extent >> 16]
    }

    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        let [x, y] = self.more();
        (x as usize + 1) * (y as usize + 1)
    }
}

/// Memory of batches.
pub(super) struct Batches<'c> {
    pub(super) fields: Scratch<'c, f32>,
    pub(super) places: Scratch<'c, i32>,
}

impl<'c> Batches<'c> {
    pub(super) const FIELDS: usize = FIELDS * BATCH;
    pub(super) const PLACES: usize = PLACES * BATCH;

    /// Room for so many.
    pub(super) fn new(ctx: &'c Context, count: usize) -> Result<Batches<'c>> {
        Ok(Batches {
            fields: ctx.scratch(count * Self::FIELDS)?,
            places: ctx.scratch(count * Self::PLACES)?,
        })
    }

    /// One of them.
    pub(super) fn at(&mut self, index: usize) -> Batch<'_> {
        Batch {
            fields: &mut self.fields[index * Self::FIELDS..][..Self::FIELDS],
            places: &mut self.places[index * Self::PLACES..][..Self::PLACES],
        }
    }
}

/// At most [`BATCH`] candidates.
pub(super) struct Batch<'a> {
    pub(super) fields: &'a mut [f32],
    pub(super) places: &'a mut [i32],
}

impl Batch<'_> {
    #[inline(always)]
    fn plane(field: usize) -> Range<usize> {
        field * BATCH..(field + 1) * BATCH
    }

    /// Takes the boxes at these indices, at most [`BATCH`].
    #[inline(always)]
    pub(super) fn judge<S: Simd>(
        &mut self,
        simd: S,
        rule: &Rule,
        boxes: &[[f32; 4]],
        indices: &[u32],
    ) {
        let len = indices.len();
        assert!(self.fields.len() == FIELDS * BATCH && self.places.len() == PLACES * BATCH);
        assert!(len <= BATCH);
        for (i, &index) in indices.iter().enumerate() {
            let corners = rule.corners(boxes, index);
            for (field, value) in corners.into_iter().enumerate() {
                self.fields[field * BATCH + i] = value;
            }
        }
        let whole = len.next_multiple_of(S::LANES);
        for field in 0..4 {
            self.fields[field * BATCH + len..field * BATCH + whole].fill(f32::NAN);
        }
        for at in (0..len).step_by(S::LANES) {
            let [x1, y1, x2, y2] = self.corners(simd, at);
            let (regular, scaled) = rule.judge(simd, [x1, y1, x2, y2]);
            simd.store(&mut self.fields[Self::plane(4)][at..], scaled);
            let extent = simd.select_i32(regular, simd.splat_i32(0), simd.splat_i32(IRREGULAR));
            let extents = &mut self.places[Self::plane(EXTENT)][at..at + S::LANES];
            // SAFETY: as long as a vector.
            unsafe { simd.store_i32_ptr(extents.as_mut_ptr(), extent) };
            if !simd.all(regular) {
                for (lane, extent) in extents.iter_mut().enumerate() {
                    let corners = [0, 1, 2, 3].map(|field| self.fields[field * BATCH + at + lane]);
                    if *extent == IRREGULAR && rule.is_inert(corners) {
                        *extent = INERT;
                    }
                }
            }
        }
    }

    /// The corners of those from `at` on.
    #[inline(always)]
    pub(super) fn corners<S: Simd>(&self, simd: S, at: usize) -> [S::F32; 4] {
        [
            simd.load(&self.fields[Self::plane(0)][at..]),
            simd.load(&self.fields[Self::plane(1)][at..]),
            simd.load(&self.fields[Self::plane(2)][at..]),
            simd.load(&self.fields[Self::plane(3)][at..]),
        ]
    }

    /// Which of those from `at` on are regular.
    #[inline(always)]
    pub(super) fn regular<S: Simd>(&self, simd: S, at: usize) -> S::Mask {
        let scaled = simd.load(&self.fields[Self::plane(4)][at..]);
        simd.ge(scaled, simd.zero())
    }

    /// Finds the cells of the first `len`.
    #[inline(always)]
    pub(super) fn locate<S: Simd>(&mut self, simd: S, rule: &Rule, layout: &Layout, len: usize) {
        assert!(self.places.len() == PLACES * BATCH && len <= BATCH);
        let width = simd.splat_i32(1 << layout.shift);
        for at in (0..len).step_by(S::LANES) {
            let [x1, y1, x2, y2] = self.corners(simd, at);
            let (x, dx) = layout.cells(simd, rule, 0, (x1, x2));
            let (y, dy) = layout.cells(simd, rule, 1, (y1, y2));
            let first = simd.add_i32(simd.mul_i32(y, width), x);
            let extent = simd.or_i32(dx, simd.shl_i32::<16>(dy));
            let (firsts, extents) = self.places.split_at_mut(BATCH);
            let (firsts, extents) = (
                &mut firsts[at..at + S::LANES],
                &mut extents[at..at + S::LANES],
            );
            // SAFETY: both are as long as a vector.
            unsafe {
                let old = simd.load_i32_ptr(extents.as_ptr());
                let placeless = simd.gt_i32(simd.splat_i32(0), old);
                simd.store_i32_ptr(
                    extents.as_mut_ptr(),
                    simd.select_i32(placeless, old, extent),
                );
                simd.store_i32_ptr(firsts.as_mut_ptr(), first);
            }
        }
    }

    /// Neither suppresses nor is suppressed.
    #[inline(always)]
    pub(super) fn is_inert(&self, i: usize) -> bool {
        self.places[EXTENT * BATCH + i] == INERT
    }

    /// Its cells, unless it has no place.
    #[inline(always)]
    pub(super) fn cells(&self, i: usize) -> Option<Cells> {
        let extent = self.places[EXTENT * BATCH + i];
        (extent >= 0).then(|| Cells {
            first: self.places[i] as u32,
            extent: extent as u32,
        })
    }

    #[inline(always)]
    pub(super) fn judged(&self, i: usize) -> Judged {
        let at = |field: usize| self.fields[field * BATCH + i];
        Judged {
            corners: [at(0), at(1), at(2), at(3)],
            scaled_area: at(4),
        }
    }

    #[inline(always)]
    pub(super) fn probe<S: Simd>(&self, simd: S, rule: &Rule, i: usize) -> Probe<S> {
        Probe::new(simd, rule, &self.judged(i))
    }
}
