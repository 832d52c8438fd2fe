//! Sixteen counters side by side, on every tier the same sixteen: a level of a histogram. They are 8, 16 or 32 bits wide, sums
//! wrap, and what is asked of them is how many are at most some number.
//!
//! The compiler's own vectors for loops over sixteen counters are good on AVX2 and three times slower on AVX-512, where it makes
//! sums over lanes of what is a comparison and a population count.

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

/// Counters of a vector.
pub const COUNTERS: usize = 16;

/// Sixteen counters; every tier has them.
pub trait Counts: Simd {
    /// Of 8 bits.
    type C8: Copy;
    /// Of 16 bits.
    type C16: Copy;
    /// Of 32 bits.
    type C32: Copy;

    /// Loads sixteen.
    fn load_c8(self, from: &[u8; COUNTERS]) -> Self::C8;
    /// Stores them.
    fn store_c8(self, to: &mut [u8; COUNTERS], v: Self::C8);
    /// `a + b`, wrapping.
    fn add_c8(self, a: Self::C8, b: Self::C8) -> Self::C8;
    /// `a - b`, wrapping.
    fn sub_c8(self, a: Self::C8, b: Self::C8) -> Self::C8;
    /// How many are at most `most`.
    fn at_most_c8(self, a: Self::C8, most: u8) -> usize;
    /// Bit `i` is whether counter `i` is `value`.
    fn equal_bits_c8(self, a: Self::C8, value: u8) -> u32;
    /// `yes` where a counter of `a` is `value`, elsewhere `no`.
    fn select_equal_c8(self, a: Self::C8, value: u8, yes: Self::C8, no: Self::C8) -> Self::C8;

    /// Loads sixteen.
    fn load_c16(self, from: &[u16; COUNTERS]) -> Self::C16;
    /// Stores them.
    fn store_c16(self, to: &mut [u16; COUNTERS], v: Self::C16);
    /// `a + b`, wrapping.
    fn add_c16(self, a: Self::C16, b: Self::C16) -> Self::C16;
    /// `a - b`, wrapping.
    fn sub_c16(self, a: Self::C16, b: Self::C16) -> Self::C16;
    /// How many are at most `most`.
    fn at_most_c16(self, a: Self::C16, most: u16) -> usize;

    /// Loads sixteen.
    fn load_c32(self, from: &[u32; COUNTERS]) -> Self::C32;
    /// Stores them.
    fn store_c32(self, to: &mut [u32; COUNTERS], v: Self::C32);
    /// `a + b`, wrapping.
    fn add_c32(self, a: Self::C32, b: Self::C32) -> Self::C32;
    /// `a - b`, wrapping.
    fn sub_c32(self, a: Self::C32, b: Self::C32) -> Self::C32;
    /// How many are at most `most`; all of these numbers are below 2^31.
    fn at_most_c32(self, a: Self::C32, most: u32) -> usize;

    /// The same counts in 16 bits.
    fn widen_c8(self, a: Self::C8) -> Self::C16;
    /// The same counts in 32 bits.
    fn widen_c16(self, a: Self::C16) -> Self::C32;
}
