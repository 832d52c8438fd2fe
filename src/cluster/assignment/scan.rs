//! The loops over a row of the cost matrix, four vectors of doubles at a time so that chains of minima
//! hide their latency. No product is fused with a sum: a number is the same, whether it
//! was computed in a vector here or alone when a path is retraced.

use crate::simd::Double;
use crate::tensor::Element;

/// What a cost may be: `f32` or `f64`.
pub trait Cost: Element {
    /// The same number.
    fn wide(self) -> f64;
    /// `S::DOUBLES` costs as doubles.
    ///
    /// # Safety
    /// `ptr` is valid for reading that many.
    unsafe fn load<S: Double>(simd: S, ptr: *const Self) -> S::F64;
}

impl Cost for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    unsafe fn load<S: Double>(simd: S, ptr: *const f32) -> S::F64 {
        // SAFETY: the caller's promise.
        unsafe { simd.load_widened_ptr(ptr) }
    }
}

impl Cost for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    unsafe fn load<S: Double>(simd: S, ptr: *const f64) -> S::F64 {
        // SAFETY: the caller's promise.
        unsafe { simd.load_f64_ptr(ptr) }
    }
}

/// Vectors that a step of a loop takes.
const STEP: usize = 4;

/// `if a < b { a } else { b }`.
#[inline(always)]
pub(super) fn lower(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The smaller of two and the larger.
#[inline(always)]
fn sort<S: Double>(simd: S, a: S::F64, b: S::F64) -> (S::F64, S::F64) {
    (simd.min_f64(a, b), simd.max_f64(b, a))
}

#[inline(always)]
fn least<S: Double>(simd: S, a: [S::F64; STEP]) -> f64 {
    let low = simd.min_f64(simd.min_f64(a[0], a[1]), simd.min_f64(a[2], a[3]));
    simd.reduce_min_f64(low)
}

/// What the first look at a row finds.
pub(super) struct Look {
    /// No NaN, and nothing that is minus infinity after scaling.
    pub(super) valid: bool,
    /// The smallest cost.
    pub(super) least: f64,
    /// The largest magnitude of a finite cost, or a little more.
    pub(super) size: f64,
}

/// Looks at a row; `sign` is 1, or -1 to maximise.
#[inline(always)]
pub(super) fn look<S: Double, T: Cost>(simd: S, row: &[T], sign: f64) -> Look {
    let signs = simd.splat_f64(sign);
    let (zero, infinity) = (simd.splat_f64(0.0), simd.splat_f64(f64::INFINITY));
    let mut low = [infinity; STEP];
    let mut high = [zero; STEP];
    // Zero times a finite number is zero; anything else becomes NaN and stays.
    let mut sum = [zero; STEP];
    let step = STEP * S::DOUBLES;
    let whole = row.len() / step * step;
    let mut at = 0;
    while at < whole {
        for v in 0..STEP {
            // SAFETY: at + step <= whole <= len.
            let c = unsafe { T::load(simd, row.as_ptr().add(at + v * S::DOUBLES)) };
            let c = simd.mul_f64(c, signs);
            low[v] = simd.min_f64(c, low[v]);
            // Plus infinity counts as nothing; minus infinity and NaN are told by their products.
            let finite = simd.select_lt_f64(c, infinity, c, simd.min_f64(zero, c));
            sum[v] = simd.add_f64(sum[v], simd.mul_f64(finite, zero));
            high[v] = simd.max_f64(finite, high[v]);
        }
        at += step;
    }
    let mut nothing = 0.0;
    let (mut lowest, mut highest) = (least(simd, low), 0.0);
    for v in 0..STEP {
        nothing += simd.reduce_add_f64(sum[v]);
        let negated = simd.sub_f64(zero, high[v]);
        highest = f64::max(highest, -simd.reduce_min_f64(negated));
    }
    for c in &row[whole..] {
        let c = c.wide() * sign;
        lowest = lower(c, lowest);
        let finite = if c == f64::INFINITY { 0.0 } else { c };
        nothing += finite * 0.0;
        highest = f64::max(highest, finite);
    }
    Look {
        valid: nothing == 0.0,
        least: lowest,
        size: match lowest < f64::INFINITY {
            true => f64::max(highest, -lowest),
            false => highest,
        },
    }
}

/// Lowers `price` to the costs of row `i` where these are smaller, and notes the row there
/// (as a float, which is as wide as a price).
#[inline(always)]
pub(super) fn lower_columns<S: Double, T: Cost>(
    simd: S,
    row: &[T],
    scale: f64,
    i: usize,
    price: &mut [f64],
    owner: &mut [f64],
) {
    assert!(price.len() == row.len() && owner.len() == row.len());
    let (scales, number) = (simd.splat_f64(scale), simd.splat_f64(i as f64));
    let whole = row.len() / S::DOUBLES * S::DOUBLES;
    let mut at = 0;
    while at < whole {
        // SAFETY: at + DOUBLES <= whole <= len of all three.
        unsafe {
            let c = simd.mul_f64(T::load(simd, row.as_ptr().add(at)), scales);
            let p = simd.load_f64_ptr(price.as_ptr().add(at));
            let o = simd.load_f64_ptr(owner.as_ptr().add(at));
            let o = simd.select_lt_f64(c, p, number, o);
            simd.store_f64_ptr(owner.as_mut_ptr().add(at), o);
            simd.store_f64_ptr(price.as_mut_ptr().add(at), simd.min_f64(c, p));
        }
        at += S::DOUBLES;
    }
    for at in whole..row.len() {
        let c = row[at].wide() * scale;
        if c < price[at] {
            price[at] = c;
            owner[at] = i as f64;
        }
    }
}

/// Writes `cost - price` of a row to `reduced` and returns the two smallest; they are equal when the
/// smallest is there twice.
#[inline(always)]
pub(super) fn reduce<S: Double, T: Cost>(
    simd: S,
    row: &[T],
    scale: f64,
    price: &[f64],
    reduced: &mut [f64],
) -> (f64, f64) {
    assert!(price.len() == row.len() && reduced.len() == row.len());
    let scales = simd.splat_f64(scale);
    let infinity = simd.splat_f64(f64::INFINITY);
    let mut first = [infinity; STEP];
    let mut second = [infinity; STEP];
    let step = STEP * S::DOUBLES;
    let whole = row.len() / step * step;
    let mut at = 0;
    while at < whole {
        for v in 0..STEP {
            let at = at + v * S::DOUBLES;
            // SAFETY: at + DOUBLES <= whole <= len of all three.
            let d = unsafe {
                let c = simd.mul_f64(T::load(simd, row.as_ptr().add(at)), scales);
                let d = simd.sub_f64(c, simd.load_f64_ptr(price.as_ptr().add(at)));
                simd.store_f64_ptr(reduced.as_mut_ptr().add(at), d);
                d
            };
            let (low, high) = sort(simd, d, first[v]);
            first[v] = low;
            second[v] = simd.min_f64(high, second[v]);
        }
        at += step;
    }
    let (mut low, mut next) = (f64::INFINITY, f64::INFINITY);
    let mut meet = |d: f64| {
        next = lower(if d < low { low } else { d }, next);
        low = lower(d, low);
    };
    for at in whole..row.len() {
        let d = row[at].wide() * scale - price[at];
        reduced[at] = d;
        meet(d);
    }
    let mut lanes = [f64::INFINITY; crate::simd::MAX_LANES / 2];
    for first in first {
        // SAFETY: room for the lanes of every tier.
        unsafe { simd.store_f64_ptr(lanes.as_mut_ptr(), first) };
        for &lane in &lanes[..S::DOUBLES] {
            meet(lane);
        }
    }
    (low, lower(next, least(simd, second)))
}

/// Shortens the distances of all columns by way of a row: `cost - price - height`. Returns the least
/// of all distances, and the least of those whose `taken` is zero (it is infinite otherwise).
#[inline(always)]
pub(super) fn relax<S: Double, T: Cost>(
    simd: S,
    row: &[T],
    scale: f64,
    height: f64,
    price: &[f64],
    taken: &[f64],
    distance: &mut [f64],
) -> (f64, f64) {
    let len = row.len();
    assert!(price.len() == len && taken.len() == len && distance.len() == len);
    let (scales, heights) = (simd.splat_f64(scale), simd.splat_f64(height));
    let infinity = simd.splat_f64(f64::INFINITY);
    let mut all = [infinity; STEP];
    let mut free = [infinity; STEP];
    let step = STEP * S::DOUBLES;
    let whole = len / step * step;
    let mut at = 0;
    while at < whole {
        for v in 0..STEP {
            let at = at + v * S::DOUBLES;
            // SAFETY: at + DOUBLES <= whole <= len of all four.
            unsafe {
                let c = simd.mul_f64(T::load(simd, row.as_ptr().add(at)), scales);
                let d = simd.sub_f64(c, simd.load_f64_ptr(price.as_ptr().add(at)));
                let d = simd.sub_f64(d, heights);
                let d = simd.min_f64(d, simd.load_f64_ptr(distance.as_ptr().add(at)));
                simd.store_f64_ptr(distance.as_mut_ptr().add(at), d);
                all[v] = simd.min_f64(d, all[v]);
                let open = simd.add_f64(d, simd.load_f64_ptr(taken.as_ptr().add(at)));
                free[v] = simd.min_f64(open, free[v]);
            }
        }
        at += step;
    }
    let (mut all, mut free) = (least(simd, all), least(simd, free));
    for at in whole..len {
        let d = lower(row[at].wide() * scale - price[at] - height, distance[at]);
        distance[at] = d;
        all = lower(d, all);
        free = lower(d + taken[at], free);
    }
    (all, free)
}

/// The first place from `from` on where `values` has `value`.
#[inline(always)]
pub(super) fn find<S: Double>(simd: S, values: &[f64], value: f64, from: usize) -> Option<usize> {
    let wanted = simd.splat_f64(value);
    let step = STEP * S::DOUBLES;
    let mut at = from;
    while at + step <= values.len() {
        let mut bits = 0;
        for v in 0..STEP {
            // SAFETY: at + step <= len.
            let x = unsafe { simd.load_f64_ptr(values.as_ptr().add(at + v * S::DOUBLES)) };
            bits |= simd.eq_bits_f64(x, wanted) << (v * S::DOUBLES);
        }
        if bits != 0 {
            return Some(at + bits.trailing_zeros() as usize);
        }
        at += step;
    }
    (at..values.len()).find(|&at| values[at] == value)
}

/// As [`find`], the first whose `taken` is zero.
#[inline(always)]
pub(super) fn find_free<S: Double>(
    simd: S,
    values: &[f64],
    value: f64,
    taken: &[f64],
) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = find(simd, values, value, from) {
        if taken[at] == 0.0 {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
