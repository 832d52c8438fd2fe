//! Which source samples a destination sample covers along one axis, and how much of each.

/// The cells of one axis: destination sample `d` covers `[d scale, (d + 1) scale)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    source: usize,
    scale: f64,
    /// Cells are whole numbers of samples, which all weigh one: the sum is divided at the end.
    whole: Option<usize>,
}

/// A run of source samples. The first weighs `head`, the last `tail`, those between `body`.
/// A run of one weighs `head`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) first: usize,
    pub(super) count: usize,
    head: f32,
    body: f32,
    tail: f32,
}

impl Cell {
    /// The weight of sample `first + k`; `k` is below `count`.
    #[inline(always)]
    pub(super) fn weight(&self, k: usize) -> f32 {
        match k {
            0 => self.head,
            _ if k + 1 == self.count => self.tail,
            _ => self.body,
        }
    }

    /// The sample after the last.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.first + self.count
    }
}

impl Cells {
    /// Cells with the weights that OpenCV gives to their samples.
    pub(super) fn weighted(source: usize, scale: f64) -> Cells {
        Cells {
            source,
            scale,
            whole: None,
        }
    }

    /// Cells of `size` samples each.
    pub(super) fn whole(source: usize, size: usize) -> Cells {
        Cells {
            source,
            scale: size as f64,
            whole: Some(size),
        }
    }

    /// The cell of destination sample `d`. It is never empty, lies inside of the
    /// source, and shares at most one sample with the next cell, its last.
    #[inline(always)]
    pub(super) fn at(&self, d: usize) -> Cell {
        if let Some(size) = self.whole {
            return Cell {
                first: d * size,
                count: size,
                head: 1.0,
                body: 1.0,
                tail: 1.0,
            };
        }
        // OpenCV's: anything below a thousandth of a sample is taken for an error of rounding.
        const NOTHING: f64 = 1e-3;
        let start = d as f64 * self.scale;
        let end = start + self.scale;
        let width = self.scale.min(self.source as f64 - start);
        // The samples from `whole` up to `part` lie in the cell entirely. (Casts, because the
        // baseline has no instruction for floor and ceil.)
        let part = (end as usize).min(self.source - 1);
        let whole = start as usize;
        let whole = (whole + usize::from((whole as f64) < start)).min(part);
        let body = (1.0 / width) as f32;
        let before = whole as f64 - start;
        let after = end - part as f64;
        let has_head = before > NOTHING;
        let has_tail = after > NOTHING;
        let head = match has_head {
            true => (before / width) as f32,
            false => body,
        };
        let tail = match has_tail {
            true => (after.min(1.0).min(width) / width) as f32,
            false => body,
        };
        let first = whole - usize::from(has_head);
        let count = part + usize::from(has_tail) - first;
        Cell {
            first,
            count,
            // A single sample may be head, tail or body.
            head: if count == 1 && !has_head { tail } else { head },
            body,
            tail,
        }
    }

    /// The longest cell of `destination` samples.
    pub(super) fn longest(&self, destination: usize) -> usize {
        match self.whole {
            Some(size) => size,
            None => (0..destination)
                .map(|d| self.at(d).count)
                .max()
                .unwrap_or(0),
        }
    }
}
