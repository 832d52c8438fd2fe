//! What one call computes, as the kernels read it.

use crate::simd::{Simd, math};
use crate::tensor::{Bool, Raw, View};
use std::ops::Range;

/// Which keys a query may see, or how much it likes them; broadcast to (B, H, N, M).
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// False hides a key, whatever it holds.
    Select(View<'a, Bool>),
    /// Added to the logits; -inf hides a key, whatever it holds.
    Add(View<'a, f32>),
}

/// A mask with the strides of the call's four axes, 0 where it is broadcast.
#[derive(Clone, Copy)]
pub(super) struct Masking<'a> {
    pub mask: Mask<'a>,
    pub strides: [isize; 4],
}

/// Address and strides of an output.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub ptr: *mut f32,
    pub strides: [isize; 4],
}

impl Target {
    pub fn of(raw: &Raw<f32>) -> Target {
        let mut strides = [0; 4];
        strides[..raw.rank()].copy_from_slice(raw.strides());
        Target {
            ptr: raw.ptr(),
            strides,
        }
    }
}

/// One call. Rows are the queries of all heads that share a key head, head by head.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    /// (B, H, N, D), (B, G, M, D) and (B, G, M, E).
    pub q: View<'a, f32>,
    pub k: View<'a, f32>,
    pub v: View<'a, f32>,
    pub mask: Option<Masking<'a>>,
    /// (B, H, N, E).
    pub out: Target,
    /// (B, H, N).
    pub log_sum_exp: Option<Target>,
    /// The factor of a product of query and key.
    pub scale: f32,
    /// The bound of logits.
    pub cap: Option<f32>,
    /// Query `i` sees the keys up to `i + offset`.
    pub causal: Option<i64>,
}

// SAFETY: the outputs are written by tasks that have rows of their own.
unsafe impl Send for Problem<'_> {}
// SAFETY: as above.
unsafe impl Sync for Problem<'_> {}

/// The rows and keys of a task.
#[derive(Clone)]
pub(super) struct Part {
    pub batch: usize,
    /// Which key head.
    pub group: usize,
    pub rows: Range<usize>,
    pub keys: Range<usize>,
}

impl Problem<'_> {
    pub fn queries(&self) -> usize {
        self.q.dim(2)
    }
    pub fn keys(&self) -> usize {
        self.k.dim(2)
    }
    pub fn dim(&self) -> usize {
        self.q.dim(3)
    }
    pub fn value_dim(&self) -> usize {
        self.v.dim(3)
    }
    /// Query heads for each key head.
    pub fn sharing(&self) -> usize {
        self.q.dim(1) / self.k.dim(1)
    }

    /// Head and query of a row.
    #[inline(always)]
    pub fn place(&self, part: &Part, row: usize) -> (usize, usize) {
        let head = part.group * self.sharing() + row / self.queries();
        (head, row % self.queries())
    }

    /// The first element of a row's query.
    #[inline(always)]
    pub fn query(&self, part: &Part, row: usize) -> *const f32 {
        let (head, query) = self.place(part, row);
        offset(self.q.ptr(), self.q.strides(), [part.batch, head, query])
    }
    /// The first element of a key, or of a value.
    #[inline(always)]
    pub fn key(&self, part: &Part, key: usize) -> *const f32 {
        offset(
            self.k.ptr(),
            self.k.strides(),
            [part.batch, part.group, key],
        )
    }
    #[inline(always)]
    pub fn value(&self, part: &Part, key: usize) -> *const f32 {
        offset(
            self.v.ptr(),
            self.v.strides(),
            [part.batch, part.group, key],
        )
    }
    /// The first element of a row's output.
    #[inline(always)]
    pub fn output(&self, part: &Part, row: usize) -> *mut f32 {
        let (head, query) = self.place(part, row);
        offset(self.out.ptr, &self.out.strides, [part.batch, head, query])
    }

    /// How many keys a row may see, as far as causality goes.
    #[inline(always)]
    pub fn limit(&self, row: usize) -> usize {
        let keys = self.keys();
        match self.causal {
            None => keys,
            Some(offset) => {
                let query = (row % self.queries()) as i64;
                query
                    .saturating_add(offset)
                    .saturating_add(1)
                    .clamp(0, keys as i64) as usize
            }
        }
    }

    /// The largest limit of these rows.
    pub fn reach(&self, rows: Range<usize>) -> usize {
        match self.causal {
            None => self.keys(),
            // Rows of several heads: one of them may be the last query.
            Some(_) if rows.start / self.queries() != (rows.end - 1) / self.queries() => {
                self.limit(self.queries() - 1)
            }
            Some(_) => self.limit(rows.end - 1),
        }
    }

    /// Stores the logarithm of a row's sum, which is that of `e^max * sum`.
    #[inline(always)]
    pub fn store_log_sum_exp<S: Simd>(&self, simd: S, part: &Part, row: usize, max: f32, sum: f32) {
        if let Some(target) = self.log_sum_exp {
            let (head, query) = self.place(part, row);
            let log = simd.reduce_max(math::log(simd, simd.splat(sum)));
            let at = offset(target.ptr, &target.strides, [part.batch, head, query]);
            let base = if max == f32::NEG_INFINITY { 0.0 } else { max };
            // SAFETY: an element of the output, whose row belongs to this task.
            unsafe { *at = base + log };
        }
    }

    /// What the mask adds to the logits of `count` keys of a row, from `first` on:
    /// -inf for a key that is hidden.
    ///
    /// # Safety
    /// There is a mask, it has the row and the keys, and `dst` has room.
    #[inline(always)]
    pub unsafe fn mask_row<S: Simd>(
        &self,
        simd: S,
        part: &Part,
        row: usize,
        first: usize,
        count: usize,
        dst: *mut f32,
    ) {
        let Some(Masking { mask, strides }) = self.mask else {
            return;
        };
        let (head, query) = self.place(part, row);
        let (index, step) = ([part.batch, head, query, first], strides[3]);
        let hidden = simd.splat(f32::NEG_INFINITY);
        let mut at = 0;
        // SAFETY: keys of the row, and whole vectors only where they lie next to each other.
        unsafe {
            match mask {
                Mask::Select(view) => {
                    let src: *const Bool = offset(view.ptr(), &strides, index);
                    if step == 1 {
                        while at + S::LANES <= count {
                            let seen = simd.load_u8_ptr(src.add(at).cast());
                            let none = simd.eq_i32(seen, simd.splat_i32(0));
                            let value = simd.select(none, hidden, simd.zero());
                            simd.store_ptr(dst.add(at), value);
                            at += S::LANES;
                        }
                    }
                    for at in at..count {
                        let seen = (*src.offset(at as isize * step)).0 != 0;
                        *dst.add(at) = if seen { 0.0 } else { f32::NEG_INFINITY };
                    }
                }
                Mask::Add(view) => {
                    let src: *const f32 = offset(view.ptr(), &strides, index);
                    if step == 1 {
                        while at + S::LANES <= count {
                            let value = simd.load_ptr(src.add(at));
                            simd.store_ptr(dst.add(at), value);
                            at += S::LANES;
                        }
                    }
                    for at in at..count {
                        *dst.add(at) = *src.offset(at as isize * step);
                    }
                }
            }
        }
    }

    /// Whether two rows have the same mask.
    #[inline(always)]
    pub fn same_mask(&self, a: usize, b: usize) -> bool {
        match self.mask {
            None => true,
            Some(Masking { strides, .. }) => {
                let head = strides[1] == 0 || a / self.queries() == b / self.queries();
                head && (strides[2] == 0 || a % self.queries() == b % self.queries())
            }
        }
    }

    /// The logits of a vector of products: bounded if there is a bound.
    #[inline(always)]
    pub fn capped<S: Simd>(&self, simd: S, x: S::F32) -> S::F32 {
        match self.cap {
            None => x,
            Some(cap) => {
                let inner = simd.mul(x, simd.splat(1.0 / cap));
                simd.mul(simd.splat(cap), math::tanh(simd, inner))
            }
        }
    }
}

/// A logit with what a mask says: a key that is hidden is hidden even if the logit is NaN.
#[inline(always)]
pub(super) fn masked<S: Simd>(simd: S, logit: S::F32, mask: S::F32) -> S::F32 {
    let hidden = simd.splat(f32::NEG_INFINITY);
    simd.select(simd.eq(mask, hidden), hidden, simd.add(logit, mask))
}

#[inline(always)]
fn offset<T, const N: usize>(base: *mut T, strides: &[isize], index: [usize; N]) -> *mut T {
    let mut at = 0;
    for axis in 0..N {
        at += index[axis] as isize * strides[axis];
    }
    // A view has its elements in memory, so the offset of one of them does not overflow.
    base.wrapping_offset(at)
}

/// What an exponent may be subtracted from: the maximum, unless all is hidden so far.
#[inline(always)]
pub(super) fn base_of<S: Simd>(simd: S, max: S::F32) -> S::F32 {
    let none = simd.eq(max, simd.splat(f32::NEG_INFINITY));
    simd.select(none, simd.zero(), max)
}
