//! Samples as keys whose order is that of the median.
//!
//! Bytes are their own keys. A float's key is its bits as an integer, those after the sign flipped when it is
//! negative: integers are then in the order of the floats, -0 before +0, and a NaN, made the positive one first, is
//! behind infinity. So a NaN is an element like any other, and minimum and maximum never lose one.

use crate::simd::Narrow;
use crate::tensor::Element;

/// Samples that have an order.
pub(in crate::image) trait Ordered: Element {
    /// What is compared.
    type Key: Element + Ord;
    /// A vector of keys.
    type Vector<S: Narrow>: Copy;
    /// The key of zero.
    const ZERO_KEY: Self::Key;

    /// Keys in a vector.
    fn lanes<S: Narrow>() -> usize;
    /// The key of a sample.
    fn key(self) -> Self::Key;
    /// The sample of a key.
    fn of_key(key: Self::Key) -> Self;
    /// The keys of a vector of samples.
    ///
    /// # Safety
    /// `from` is readable for a vector.
    unsafe fn keys<S: Narrow>(simd: S, from: *const Self) -> Self::Vector<S>;
    /// Loads keys.
    ///
    /// # Safety
    /// `from` is readable for a vector.
    unsafe fn load<S: Narrow>(simd: S, from: *const Self::Key) -> Self::Vector<S>;
    /// Stores keys.
    ///
    /// # Safety
    /// `to` is writable for a vector.
    unsafe fn store<S: Narrow>(simd: S, to: *mut Self::Key, v: Self::Vector<S>);
    /// Stores the first `count` samples of keys (all, if there are less).
    ///
    /// # Safety
    /// `to` is writable for as many.
    unsafe fn finish<S: Narrow>(simd: S, to: *mut Self, count: usize, v: Self::Vector<S>);
    /// The smaller keys.
    fn min<S: Narrow>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// The larger keys.
    fn max<S: Narrow>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
}

impl Ordered for u8 {
    type Key = u8;
    type Vector<S: Narrow> = S::U8;
    const ZERO_KEY: u8 = 0;

    #[inline(always)]
    fn lanes<S: Narrow>() -> usize {
        4 * S::LANES
    }
    #[inline(always)]
    fn key(self) -> u8 {
        self
    }
    #[inline(always)]
    fn of_key(key: u8) -> u8 {
        key
    }
    #[inline(always)]
    unsafe fn keys<S: Narrow>(simd: S, from: *const u8) -> S::U8 {
        // SAFETY: the caller's promise.
        unsafe { simd.load_bytes_ptr(from) }
    }
    #[inline(always)]
    unsafe fn load<S: Narrow>(simd: S, from: *const u8) -> S::U8 {
        // SAFETY: the caller's promise.
        unsafe { simd.load_bytes_ptr(from) }
    }
    #[inline(always)]
    unsafe fn store<S: Narrow>(simd: S, to: *mut u8, v: S::U8) {
        // SAFETY: the caller's promise.
        unsafe { simd.store_bytes_ptr(to, v) }
    }
    #[inline(always)]
    unsafe fn finish<S: Narrow>(simd: S, to: *mut u8, count: usize, v: S::U8) {
        // SAFETY: the caller's promise.
        unsafe {
            match count < 4 * S::LANES {
                true => simd.store_bytes_partial_ptr(to, count, v),
                false => simd.store_bytes_ptr(to, v),
            }
        }
    }
    #[inline(always)]
    fn min<S: Narrow>(simd: S, a: S::U8, b: S::U8) -> S::U8 {
        simd.min_u8(a, b)
    }
    #[inline(always)]
    fn max<S: Narrow>(simd: S, a: S::U8, b: S::U8) -> S::U8 {
        simd.max_u8(a, b)
    }
}

/// The bits of the NaN that stands for all.
const NAN: i32 = 0x7FC0_0000;

impl Ordered for f32 {
    type Key = i32;
    type Vector<S: Narrow> = S::I32;
    const ZERO_KEY: i32 = 0;

    #[inline(always)]
    fn lanes<S: Narrow>() -> usize {
        S::LANES
    }
    #[inline(always)]
    fn key(self) -> i32 {
        let bits = if self.is_nan() {
            NAN
        } else {
            self.to_bits() as i32
        };
        bits ^ ((bits >> 31) & i32::MAX)
    }
    #[inline(always)]
    fn of_key(key: i32) -> f32 {
        f32::from_bits((key ^ ((key >> 31) & i32::MAX)) as u32)
    }
    #[inline(always)]
    unsafe fn keys<S: Narrow>(simd: S, from: *const f32) -> S::I32 {
        // SAFETY: the caller's promise.
        let v = unsafe { simd.load_ptr(from) };
        let bits = simd.select_i32(simd.eq(v, v), simd.bits(v), simd.splat_i32(NAN));
        flip(simd, bits)
    }
    #[inline(always)]
    unsafe fn load<S: Narrow>(simd: S, from: *const i32) -> S::I32 {
        // SAFETY: the caller's promise.
        unsafe { simd.load_i32_ptr(from) }
    }
    #[inline(always)]
    unsafe fn store<S: Narrow>(simd: S, to: *mut i32, v: S::I32) {
        // SAFETY: the caller's promise.
        unsafe { simd.store_i32_ptr(to, v) }
    }
    #[inline(always)]
    unsafe fn finish<S: Narrow>(simd: S, to: *mut f32, count: usize, v: S::I32) {
        let v = simd.bits_to_f32(flip(simd, v));
        // SAFETY: the caller's promise.
        unsafe {
            match count < S::LANES {
                true => simd.store_partial_ptr(to, count, v),
                false => simd.store_ptr(to, v),
            }
        }
    }
    #[inline(always)]
    fn min<S: Narrow>(simd: S, a: S::I32, b: S::I32) -> S::I32 {
        simd.min_i32(a, b)
    }
    #[inline(always)]
    fn max<S: Narrow>(simd: S, a: S::I32, b: S::I32) -> S::I32 {
        simd.max_i32(a, b)
    }
}

/// From the bits of floats to keys, and back.
#[inline(always)]
fn flip<S: Narrow>(simd: S, bits: S::I32) -> S::I32 {
    let rest = simd.and_i32(simd.shr_i32::<31>(bits), simd.splat_i32(i32::MAX));
    simd.xor_i32(bits, rest)
}

/// Where a network takes its vectors from.
pub(super) trait Run<T: Ordered>: Copy {
    /// The vector in this plane.
    ///
    /// # Safety
    /// It is readable.
    unsafe fn vector<S: Narrow>(self, simd: S, plane: usize) -> T::Vector<S>;
}

/// A row of samples.
#[derive(Clone, Copy)]
pub(super) struct Samples<T>(pub(super) *const T);

impl<T: Ordered> Run<T> for Samples<T> {
    #[inline(always)]
    unsafe fn vector<S: Narrow>(self, simd: S, _plane: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        unsafe { T::keys(simd, self.0) }
    }
}

/// Rows of keys, `step` apart: sorted, a rank each.
#[derive(Clone, Copy)]
pub(super) struct Planes<K> {
    pub(super) first: *mut K,
    pub(super) step: usize,
}

impl<K> Planes<K> {
    /// The planes from element `at` on.
    #[inline(always)]
    pub(super) fn at(self, at: usize) -> Planes<K> {
        Planes {
            first: self.first.wrapping_add(at),
            ..self
        }
    }
}

impl<T: Ordered> Run<T> for Planes<T::Key>
where
    T::Key: Copy,
{
    #[inline(always)]
    unsafe fn vector<S: Narrow>(self, simd: S, plane: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        unsafe { T::load(simd, self.first.add(plane * self.step)) }
    }
}
