//! Vectors of doubles, for kernels whose sums must not lose what an `f32` would: half as many lanes in a
//! register as there are floats. Comparisons end in bits or in a choice, so that no tier needs masks of
//! another width.

use super::Simd;

mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(test)]
mod tests;

/// Vectors of doubles; every tier has them. `min_f64` is as [`Simd::min`], comparisons with NaN are
/// false.
pub trait Double: Simd {
    /// Doubles in a vector.
    const DOUBLES: usize = Self::LANES / 2;
    /// `DOUBLES` 64-bit floats.
    type F64: Copy;

    /// Loads `DOUBLES` doubles.
    ///
    /// # Safety
    /// `ptr` is valid for reading that many; no alignment is needed.
    unsafe fn load_f64_ptr(self, ptr: *const f64) -> Self::F64;
    /// Loads `DOUBLES` floats and widens them.
    ///
    /// # Safety
    /// `ptr` is valid for reading that many; no alignment is needed.
    unsafe fn load_widened_ptr(self, ptr: *const f32) -> Self::F64;
    /// Stores `DOUBLES` doubles.
    ///
    /// # Safety
    /// `ptr` is valid for writing that many; no alignment is needed.
    unsafe fn store_f64_ptr(self, ptr: *mut f64, v: Self::F64);

    /// `value` in every lane.
    fn splat_f64(self, value: f64) -> Self::F64;
    /// `a + b`.
    fn add_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a - b`.
    fn sub_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a * b`, rounded.
    fn mul_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `if a < b { a } else { b }`.
    fn min_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `if a > b { a } else { b }`.
    fn max_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `if a < b { yes } else { no }`.
    fn select_lt_f64(self, a: Self::F64, b: Self::F64, yes: Self::F64, no: Self::F64) -> Self::F64;
    /// `if a <= b { yes } else { 0 }`.
    fn keep_le_f64(self, a: Self::F64, b: Self::F64, yes: Self::F64) -> Self::F64;
    /// Bit `i` is `a == b` in lane `i`.
    fn eq_bits_f64(self, a: Self::F64, b: Self::F64) -> u32;
    /// Bit `i` is `a <= b` in lane `i`.
    fn le_bits_f64(self, a: Self::F64, b: Self::F64) -> u32;

    /// The smallest lane; unspecified among lanes when one is NaN.
    #[inline(always)]
    fn reduce_min_f64(self, a: Self::F64) -> f64 {
        let mut lanes = [f64::INFINITY; super::MAX_LANES / 2];
        // SAFETY: room for the lanes of every tier.
        unsafe { self.store_f64_ptr(lanes.as_mut_ptr(), a) };
        let mut least = lanes[0];
        for &lane in &lanes[1..Self::DOUBLES] {
            least = if lane < least { lane } else { least };
        }
        least
    }
    /// The sum of all lanes, from the lowest to the highest.
    #[inline(always)]
    fn reduce_add_f64(self, a: Self::F64) -> f64 {
        let mut lanes = [0.0; super::MAX_LANES / 2];
        // SAFETY: room for the lanes of every tier.
        unsafe { self.store_f64_ptr(lanes.as_mut_ptr(), a) };
        let mut sum = lanes[0];
        for &lane in &lanes[1..Self::DOUBLES] {
            sum += lane;
        }
        sum
    }
}
