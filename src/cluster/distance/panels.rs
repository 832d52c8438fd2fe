//! Both sides of a scan in the order in which the tile reads them.

use super::tile::{VECTORS, points, width};
use crate::error::Result;
use crate::gemm::{PanelSource, Strided};
use crate::runtime::{Context, Scratch};
use crate::simd::{MAX_LANES, Simd, Tier};
use crate::tensor::{Contiguous, View};
use std::ops::Range;

/// The rows of a matrix (N, D): each a run of memory, any distance apart.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    ptr: *const f32,
    len: usize,
    depth: usize,
    stride: isize,
    lines: Strided<'a>,
}

// SAFETY: a shared borrow of numbers.
unsafe impl Send for Rows<'_> {}
// SAFETY: as above.
unsafe impl Sync for Rows<'_> {}

/// A matrix as [`Rows`]: where it is, or in scratch when its rows are not runs.
pub struct Matrix<'a> {
    view: View<'a, f32>,
    copy: Option<Contiguous<'a, f32>>,
}

impl<'a> Matrix<'a> {
    /// Of a view with two dimensions.
    pub fn new(ctx: &'a Context, view: View<'a, f32>) -> Result<Matrix<'a>> {
        assert_eq!(view.rank(), 2);
        let runs = view.stride(1) == 1 || view.dim(1) <= 1 || view.is_empty();
        let copy = match runs {
            true => None,
            false => Some(view.contiguous(ctx)?),
        };
        Ok(Matrix { view, copy })
    }

    /// The rows.
    pub fn rows(&self) -> Rows<'_> {
        let depth = self.view.dim(1);
        match &self.copy {
            Some(copy) => Rows::compact(copy, depth),
            None => Rows {
                ptr: self.view.ptr().cast_const(),
                len: self.view.dim(0),
                depth,
                stride: self.view.stride(0),
                lines: Strided::rows(self.view),
            },
        }
    }
}

impl<'a> Rows<'a> {
    /// Rows of `depth` elements one after the other. Panics unless `depth` divides the length.
    pub fn compact(values: &'a [f32], depth: usize) -> Rows<'a> {
        Rows {
            ptr: values.as_ptr(),
            len: values.len().checked_div(depth).unwrap_or(0),
            depth,
            stride: depth as isize,
            lines: Strided::compact(values, depth),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Elements of each.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Asks for the beginnings of some of them: what is longer, the CPU sees coming by itself.
    #[inline(always)]
    pub fn prefetch<S: Simd>(&self, simd: S, range: Range<usize>) {
        const LINE: usize = 16;
        for at in range {
            let row = self.row(at);
            for p in (0..row.len().min(8 * LINE)).step_by(LINE) {
                simd.prefetch(&row[p]);
            }
        }
    }

    /// One of them.
    #[inline(always)]
    pub fn row(&self, at: usize) -> &'a [f32] {
        assert!(at < self.len);
        if self.depth == 0 {
            return &[];
        }
        // SAFETY: a row of the matrix that this was made from, and a run (see `Matrix::new`).
        unsafe {
            std::slice::from_raw_parts(self.ptr.offset(at as isize * self.stride), self.depth)
        }
    }
}

/// Lays rows `range` (as many as [`points`] at most) of `rows` side by side: `panel[p * points + i]` is element `p` of the
/// `i`-th, less `shift[p]`; lanes without a point hold zeros. Returns the sums of squares of
/// what was laid down: not finite when an element is not.
#[inline(always)]
pub fn pack_points<S: Simd>(
    simd: S,
    rows: Rows<'_>,
    range: Range<usize>,
    shift: Option<&[f32]>,
    panel: &mut [f32],
) -> [S::F32; VECTORS] {
    let count = points(S::LANES);
    let used = range.len();
    let panel = &mut panel[..rows.depth * count];
    assert!(range.end <= rows.len && (1..=count).contains(&used));
    if rows.depth == 2 && rows.stride == 2 && used == count {
        // SAFETY: two elements of `count` rows, one after the other.
        unsafe {
            let from = rows.ptr.add(2 * range.start);
            for v in 0..VECTORS {
                let a = simd.load_ptr(from.add(2 * v * S::LANES));
                let b = simd.load_ptr(from.add((2 * v + 1) * S::LANES));
                let (x, y) = simd.deinterleave(a, b);
                simd.store(&mut panel[v * S::LANES..], x);
                simd.store(&mut panel[(VECTORS + v) * S::LANES..], y);
            }
        }
    } else if rows.depth > 0 {
        rows.lines.pack(simd, 0..rows.depth, range, count, panel);
    }
    finish_panel(simd, used, shift, panel)
}

/// As [`pack_points`], of any rows: `list` has their numbers. Their elements less `shift`, which has one a dimension.
#[inline(always)]
pub fn pack_listed<S: Simd>(
    simd: S,
    rows: Rows<'_>,
    list: &[usize],
    shift: &[f32],
    panel: &mut [f32],
) -> [S::F32; VECTORS] {
    let (count, used, depth) = (points(S::LANES), list.len(), rows.depth);
    let panel = &mut panel[..depth * count];
    assert!((1..=count).contains(&used) && shift.len() == depth);
    // Lanes without a point read the last one, and are cleared after.
    let mut from = [[std::ptr::null(); MAX_LANES]; VECTORS];
    for i in 0..count {
        from[i / S::LANES][i % S::LANES] = rows.row(list[i.min(used - 1)]).as_ptr();
    }
    let whole = depth / S::LANES * S::LANES;
    for p in (0..whole).step_by(S::LANES) {
        for (v, from) in from.iter().enumerate() {
            let mut at = *from;
            for at in at.iter_mut().take(S::LANES) {
                *at = at.wrapping_add(p);
            }
            // SAFETY: LANES elements from `p` on of rows that have `depth`; as many steps of the panel.
            unsafe {
                let to = panel.as_mut_ptr().add(p * count + v * S::LANES);
                simd.transpose_ptr(&at, to, count);
            }
        }
    }
    for p in whole..depth {
        for i in 0..count {
            // SAFETY: an element of a row.
            panel[p * count + i] = unsafe { *from[i / S::LANES][i % S::LANES].add(p) };
        }
    }
    finish_panel(simd, used, Some(shift), panel)
}

/// Subtracts the shift, clears lanes without a point, and sums squares.
#[inline(always)]
fn finish_panel<S: Simd>(
    simd: S,
    used: usize,
    shift: Option<&[f32]>,
    panel: &mut [f32],
) -> [S::F32; VECTORS] {
    let count = points(S::LANES);
    if let Some(shift) = shift {
        assert!(shift.len() * count == panel.len());
    }
    let mut squares = [simd.zero(); VECTORS];
    for (p, row) in panel.chunks_exact_mut(count).enumerate() {
        // Lanes without a point stay at zero, so that whoever looks at the sums finds nothing there.
        for (v, square) in squares.iter_mut().enumerate() {
            let part = &mut row[v * S::LANES..];
            let mut x = simd.load(part);
            if let Some(shift) = shift {
                x = simd.sub(x, simd.splat(shift[p]));
                if used < count {
                    let valid = simd.first(used.saturating_sub(v * S::LANES));
                    x = simd.select(valid, x, simd.zero());
                }
                simd.store(part, x);
            }
            *square = simd.fma(x, x, *square);
        }
    }
    squares
}

/// Candidates as a scan reads them.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// The panels, one after the other: for each dimension the candidates side by side.
    pub values: &'a [f32],
    /// What each score begins with; `-inf` for padding.
    pub bias: &'a [f32],
    /// Candidates in a panel.
    pub width: usize,
    /// Dimensions.
    pub depth: usize,
    /// The number of the first candidate.
    pub first: usize,
}

/// What a score begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// 0.
    None,
    /// `-|c|² / 2`.
    HalfSquare,
}

/// Floats of values and of biases for `count` candidates in panels of `width`.
pub fn block_len(count: usize, depth: usize, width: usize) -> (usize, usize) {
    let padded = count.next_multiple_of(width);
    (padded * depth, padded)
}

/// Fills `values` and `bias` (as long as [`block_len`] says) with the candidates `range`, less `shift`, each
/// times its factor in `scale`, if given (an element a candidate of `rows`).
pub fn pack_candidates<'b>(
    rows: Rows<'_>,
    range: Range<usize>,
    shift: Option<&[f32]>,
    scale: Option<&[f32]>,
    bias_kind: Bias,
    width: usize,
    values: &'b mut [f32],
    bias: &'b mut [f32],
) -> Block<'b> {
    let depth = rows.depth;
    let (len, padded) = block_len(range.len(), depth, width);
    let (values, bias) = (&mut values[..len], &mut bias[..padded]);
    values.fill(0.0);
    for (at, bias) in bias.iter_mut().enumerate() {
        if at >= range.len() {
            *bias = f32::NEG_INFINITY;
            continue;
        }
        let row = rows.row(range.start + at);
        let factor = scale.map_or(1.0, |s| s[range.start + at]);
        let to = values[at / width * width * depth..].iter_mut();
        let to = to.skip(at % width).step_by(width);
        let mut square = 0.0;
        for (p, (to, &value)) in to.zip(row).enumerate() {
            let value = match shift {
                Some(shift) => value - shift[p],
                None => value,
            };
            *to = value * factor;
            square += f64::from(*to) * f64::from(*to);
        }
        *bias = match bias_kind {
            Bias::None => 0.0,
            Bias::HalfSquare => (-0.5 * square) as f32,
        };
    }
    Block {
        values,
        bias,
        width,
        depth,
        first: range.start,
    }
}

/// All rows of a matrix as candidates, in scratch.
pub struct Candidates<'c> {
    values: Scratch<'c, f32>,
    bias: Scratch<'c, f32>,
    width: usize,
    depth: usize,
}

impl<'c> Candidates<'c> {
    /// Room for `count` candidates of `depth`.
    pub fn empty(
        ctx: &'c Context,
        tier: Tier,
        count: usize,
        depth: usize,
    ) -> Result<Candidates<'c>> {
        let width = width(tier, count);
        let (len, padded) = block_len(count, depth, width);
        Ok(Candidates {
            values: ctx.scratch(len)?,
            bias: ctx.scratch(padded)?,
            width,
            depth,
        })
    }

    /// Packs as many rows as there is room for.
    pub fn fill(
        &mut self,
        rows: Rows<'_>,
        shift: Option<&[f32]>,
        scale: Option<&[f32]>,
        bias: Bias,
    ) {
        let (values, biases) = (&mut self.values, &mut self.bias);
        pack_candidates(
            rows,
            0..rows.len,
            shift,
            scale,
            bias,
            self.width,
            values,
            biases,
        );
    }

    /// What a scan takes.
    pub fn block(&self) -> Block<'_> {
        Block {
            values: &self.values,
            bias: &self.bias,
            width: self.width,
            depth: self.depth,
            first: 0,
        }
    }
}
