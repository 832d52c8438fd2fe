//! Bytes and 16-bit words in vectors, and vectors as blocks of 128 bits: what
//! the image kernels need on top of [`Simd`].
//!
//! A vector is a row of [`BLOCKS`](Narrow::BLOCKS) blocks of sixteen bytes.
//! Shuffles and packs work inside of each block, because that is what AVX2 and
//! AVX-512 do in one instruction, and a kernel that deals its data to the blocks
//! accordingly (see `image::linear_u8`) never needs to cross them. Loads take an
//! offset per block, which is how pixels that lie apart come together without
//! the gather instructions, slow on most CPUs and absent on others.

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

/// Vectors of narrow integers; every tier has them.
pub trait Narrow: Simd {
    /// Blocks of 128 bits in a vector: `LANES / 4`.
    const BLOCKS: usize = Self::LANES / 4;
    /// `4 * LANES` bytes.
    type U8: Copy;
    /// `2 * LANES` signed words.
    type I16: Copy;

    // ---- memory -------------------------------------------------------

    /// Loads `4 * LANES` bytes.
    ///
    /// # Safety
    /// `ptr` is valid for reading that many bytes; no alignment is needed.
    unsafe fn load_bytes_ptr(self, ptr: *const u8) -> Self::U8;
    /// Stores `4 * LANES` bytes.
    ///
    /// # Safety
    /// `ptr` is valid for writing that many bytes; no alignment is needed.
    unsafe fn store_bytes_ptr(self, ptr: *mut u8, v: Self::U8);
    /// Stores the first `count` bytes (all when `count >= 4 * LANES`).
    ///
    /// # Safety
    /// `ptr` is valid for writing `min(count, 4 * LANES)` bytes.
    unsafe fn store_bytes_partial_ptr(self, ptr: *mut u8, count: usize, v: Self::U8);
    /// Loads `2 * LANES` words.
    ///
    /// # Safety
    /// `ptr` is valid for reading that many words; no alignment is needed.
    unsafe fn load_words_ptr(self, ptr: *const i16) -> Self::I16;
    /// Stores `2 * LANES` words.
    ///
    /// # Safety
    /// `ptr` is valid for writing that many words; no alignment is needed.
    unsafe fn store_words_ptr(self, ptr: *mut i16, v: Self::I16);

    /// Every block is made of `PARTS` (1, 2 or 4) runs of `16 / PARTS` bytes;
    /// the runs start at `base + offsets[0]`, `base + offsets[1]`, ….
    ///
    /// # Safety
    /// `offsets` holds `PARTS * BLOCKS` values, and every run is readable.
    unsafe fn load_blocks_ptr<const PARTS: usize>(
        self,
        base: *const u8,
        offsets: *const u32,
    ) -> Self::U8;
    /// Every block is the four floats from `base + offsets[block]` on.
    ///
    /// # Safety
    /// `offsets` holds `BLOCKS` values (in elements), and every run is readable.
    unsafe fn load_float_blocks_ptr(self, base: *const f32, offsets: *const u32) -> Self::F32;
    /// `base[offset]` and `base[offset + 1]`, for an offset per lane.
    ///
    /// # Safety
    /// `offsets` holds `LANES` values (in elements), and both elements are readable.
    unsafe fn load_float_pairs_ptr(
        self,
        base: *const f32,
        offsets: *const u32,
    ) -> (Self::F32, Self::F32);
    /// `(base[offset], base[offset + 1])` and `(base[offset + 2], base[offset + 3])`,
    /// for an offset per two lanes.
    ///
    /// # Safety
    /// `offsets` holds `LANES / 2` values (in elements), and the four elements are readable.
    unsafe fn load_float_quads_ptr(
        self,
        base: *const f32,
        offsets: *const u32,
    ) -> (Self::F32, Self::F32);
    /// The four bytes from `base + offset` on and the four after them, for an offset per lane.
    ///
    /// # Safety
    /// `offsets` holds `LANES` values (in bytes), and the eight bytes are readable.
    unsafe fn load_byte_pairs_ptr(
        self,
        base: *const u8,
        offsets: *const u32,
    ) -> (Self::U8, Self::U8);
    /// Block `i` is four times `ptr[i]`.
    ///
    /// # Safety
    /// `ptr` is valid for reading `BLOCKS` floats.
    unsafe fn splat_blocks_ptr(self, ptr: *const f32) -> Self::F32;
    /// Stores block `i` to the four floats from `ptr + i * step` on, in this order.
    ///
    /// # Safety
    /// All of these are valid for writing.
    unsafe fn store_float_blocks_ptr(self, ptr: *mut f32, step: usize, v: Self::F32);

    /// Stores the first twelve bytes of every block, one behind the other, and nothing else.
    ///
    /// # Safety
    /// `ptr` is valid for writing `12 * BLOCKS` bytes.
    unsafe fn store_twelves_ptr(self, ptr: *mut u8, v: Self::U8);
    /// As [`store_twelves_ptr`](Narrow::store_twelves_ptr), those of `a` and then those of `b`: fewer stores where a vector of twelves is not one.
    ///
    /// # Safety
    /// `ptr` is valid for writing `24 * BLOCKS` bytes.
    #[inline(always)]
    unsafe fn store_twelves_of_two_ptr(self, ptr: *mut u8, a: Self::U8, b: Self::U8) {
        // SAFETY: the caller's promise.
        unsafe {
            self.store_twelves_ptr(ptr, a);
            self.store_twelves_ptr(ptr.add(12 * Self::BLOCKS), b);
        }
    }

    /// Transposes `4 * LANES` rows of sixteen bytes, the first at `rows` and each `step` bytes behind the one before, to
    /// sixteen runs of `4 * LANES` bytes, the first at `columns` and each `stride` bytes behind the one before.
    /// Either distance may be negative. All is read before anything is written.
    ///
    /// # Safety
    /// Rows are valid for reading, runs for writing.
    unsafe fn transpose_bytes_ptr(
        self,
        rows: *const u8,
        step: isize,
        columns: *mut u8,
        stride: isize,
    );

    // ---- inside of each block -----------------------------------------

    /// Byte `i` is `a[index[i]]`, or zero where `index[i]` is 0x80. Indices are
    /// 0 to 15 and count inside of the block.
    fn shuffle_bytes(self, a: Self::U8, index: Self::U8) -> Self::U8;
    /// Lane `LANE` (0 to 3) of the block in all four lanes.
    fn splat_lane<const LANE: i32>(self, a: Self::F32) -> Self::F32;
    /// The four lanes from lane `FIRST` (1 to 3) of `a` on, those of `b` being behind them.
    fn align_blocks<const FIRST: i32>(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The four lanes of `a`, then those of `b`, clamped to `i16`.
    fn pack_i32(self, a: Self::I32, b: Self::I32) -> Self::I16;
    /// The eight words of `a`, then those of `b`, clamped to 0..=255.
    fn pack_i16(self, a: Self::I16, b: Self::I16) -> Self::U8;

    // ---- arithmetic ---------------------------------------------------

    /// The smaller byte, unsigned.
    fn min_u8(self, a: Self::U8, b: Self::U8) -> Self::U8;
    /// The larger byte, unsigned.
    fn max_u8(self, a: Self::U8, b: Self::U8) -> Self::U8;
    /// `value` in every word.
    fn splat_i16(self, value: i16) -> Self::I16;
    /// `a + b`, wrapping.
    fn add_i16(self, a: Self::I16, b: Self::I16) -> Self::I16;
    /// Bitwise and.
    fn and_i16(self, a: Self::I16, b: Self::I16) -> Self::I16;
    /// Bits 16 to 31 of `a * b`.
    fn mul_high_i16(self, a: Self::I16, b: Self::I16) -> Self::I16;
    /// Arithmetic shift right by `BITS` (1..=15).
    fn shr_i16<const BITS: i32>(self, a: Self::I16) -> Self::I16;
    /// `a[2i] * b[2i] + a[2i + 1] * b[2i + 1]` in lane `i`.
    fn dot_pairs_i16(self, a: Self::I16, b: Self::I16) -> Self::I32;
    /// `a[2i] + a[2i + 1]` in word `i`.
    fn sum_pairs_u8(self, a: Self::U8) -> Self::I16;

    // ---- the same bits ------------------------------------------------

    /// The bytes as words, little end first.
    fn bytes_as_i16(self, a: Self::U8) -> Self::I16;
    /// The bytes as integers, little end first.
    fn bytes_as_i32(self, a: Self::U8) -> Self::I32;
    /// The integers as bytes, little end first.
    fn i32_as_bytes(self, a: Self::I32) -> Self::U8;
}
