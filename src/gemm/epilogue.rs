//! Where a product goes, and what happens to it on the way.

use crate::simd::Activation;

/// How the element (row, column) of a matrix is found in memory, in elements:
/// `row * row_stride + column / group * group_stride + column % group`.
///
/// Within a group columns are contiguous. One group is an ordinary matrix with a row
/// stride; several let one product run over the images of a batch, whose planes
/// (a group each) are not contiguous with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Distance of rows.
    pub row_stride: isize,
    /// Contiguous columns; not zero.
    pub group: usize,
    /// Distance of groups.
    pub group_stride: isize,
}

impl Layout {
    /// Rows at a distance of `row_stride`, all columns contiguous.
    pub const fn rows(row_stride: isize) -> Layout {
        Layout {
            row_stride,
            group: usize::MAX,
            group_stride: 0,
        }
    }

    /// Groups that follow one another are one group.
    pub(super) const fn simplified(self) -> Layout {
        if self.group_stride == self.group as isize {
            return Layout::rows(self.row_stride);
        }
        self
    }

    /// The offset of an element, and how many columns from it on are contiguous.
    #[inline(always)]
    pub(super) fn locate(self, row: usize, column: usize) -> (isize, usize) {
        let base = row as isize * self.row_stride;
        if column < self.group {
            return (base + column as isize, self.group - column);
        }
        let (group, rest) = (column / self.group, column % self.group);
        (
            base + group as isize * self.group_stride + rest as isize,
            self.group - rest,
        )
    }
}

/// Where C is stored.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The element (0, 0).
    pub ptr: *mut f32,
    /// Where the others are.
    pub layout: Layout,
    /// Adds to what C holds, before the epilogue, instead of replacing it.
    pub accumulate: bool,
}

// SAFETY: a pointer and numbers; writing through it takes unsafe code that answers for disjointness.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

/// A matrix of C's shape that is added to the sum.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// The element (0, 0).
    pub ptr: *const f32,
    /// Where the others are.
    pub layout: Layout,
}

// SAFETY: a pointer that is only read, and numbers.
unsafe impl Send for Residual {}
// SAFETY: as above.
unsafe impl Sync for Residual {}

/// One value per row or per column of C.
#[derive(Clone, Copy, Debug, Default)]
pub enum Lines<'a> {
    /// Nothing.
    #[default]
    None,
    /// `m` values.
    PerRow(&'a [f32]),
    /// `n` values.
    PerColumn(&'a [f32]),
}

/// What happens to each sum before it is stored:
/// `activation(prelu(sum + bias + residual))`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added first.
    pub bias: Lines<'a>,
    /// Added next. May be the output itself (same address and layout), else
    /// must not overlap it.
    pub residual: Option<Residual>,
    /// PReLU: negative values are multiplied by this.
    pub slope: Lines<'a>,
    /// Applied last.
    pub activation: Activation,
}
