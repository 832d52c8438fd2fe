//! Bounds of distances that outlive an iteration.

use super::centroids::DIRECT;
use crate::error::Result;
use crate::runtime::{Context, Scratch};

/// More than a rounding or two, relative.
pub const ROUND: f32 = 5e-7;

/// How far each point is at most from its centroid, and at least from all others (Hamerly 2010). Centroids
/// move less and less, and a point whose two bounds do not meet needs no distance at all.
pub struct Bounds<'c> {
    pub upper: Scratch<'c, f32>,
    pub lower: Scratch<'c, f32>,
    pub drift: Drift<'c>,
    /// They are those of the pass before.
    pub known: bool,
}

/// How far centroids have moved since the bounds were made.
pub struct Drift<'c> {
    pub each: Scratch<'c, f32>,
    /// The largest, and whose it is; the largest of the others.
    pub most: f32,
    pub whose: usize,
    pub next: f32,
}

impl<'c> Bounds<'c> {
    pub fn new(ctx: &'c Context, n: usize, k: usize, depth: usize) -> Result<Bounds<'c>> {
        let n = if depth > DIRECT { n } else { 0 };
        let mut each = ctx.scratch(k)?;
        each.fill(0.0);
        Ok(Bounds {
            upper: ctx.scratch(n)?,
            lower: ctx.scratch(n)?,
            drift: Drift {
                each,
                most: 0.0,
                whose: 0,
                next: 0.0,
            },
            known: false,
        })
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        self.known = false;
    }

    /// Nothing is known of that point.
    pub fn forget_point(&mut self, at: usize) {
        if let Some(upper) = self.upper.get_mut(at) {
            *upper = f32::INFINITY;
        }
    }

    /// The centroids have moved by that much, squared.
    pub fn moved(&mut self, squares: impl Iterator<Item = f64>) {
        let drift = &mut self.drift;
        (drift.most, drift.whose, drift.next) = (0.0, 0, 0.0);
        for (i, (to, square)) in drift.each.iter_mut().zip(squares).enumerate() {
            let by = square.sqrt() as f32 * (1.0 + ROUND);
            *to = by;
            if by > drift.most {
                (drift.next, drift.most, drift.whose) = (drift.most, by, i);
            } else {
                drift.next = drift.next.max(by);
            }
        }
    }
}
