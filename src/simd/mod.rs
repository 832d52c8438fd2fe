//! One vocabulary of vector operations, four instruction sets.
//!
//! A kernel is written once, generic over [`Simd`], and compiled once per
//! tier. The tier is a zero-sized token ([`Avx512`], [`Avx2`], `Neon`,
//! [`Portable`]): whoever holds one has proof that the CPU runs its
//! instructions, so every operation on it is a safe method. [`dispatch!`]
//! turns the token that a context carries into a type parameter, once per
//! task, by calling a `#[target_feature]` shim into which the kernel is
//! inlined.
//!
//! The speed rests on that inlining. An operation is an `#[inline(always)]`
//! method around intrinsics; the compiler can only fold the intrinsics into
//! code that has their feature, and the shim is the only function that has.
//! Therefore every function between `dispatch!` and an operation is
//! `#[inline(always)]`, and no vector stands in the signature of a function
//! that is not.
//!
//! This is the only module that names `core::arch`.

mod activation;
mod arithmetic;
mod counts;
mod double;
mod isa;
pub mod math;
mod narrow;
mod partial;
mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(test)]
mod tests;

pub use activation::{Activation, leaky_relu, relu, relu6};
pub use arithmetic::{Arithmetic, Group};
pub use counts::{COUNTERS, Counts};
pub use double::Double;
pub use isa::{Isa, Tier};
pub(crate) use isa::{dispatch, enter};
pub use narrow::Narrow;
pub use portable::Portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;

/// The most lanes that any tier has.
pub const MAX_LANES: usize = 16;

/// Floats from `ptr` to the first place at or after it that a vector is aligned at.
#[inline(always)]
pub fn to_aligned<S: Simd>(ptr: *const f32) -> usize {
    (ptr as usize).wrapping_neg() / size_of::<f32>() % S::LANES
}

/// The operations of one instruction set. `F32` and `I32` hold [`LANES`](Simd::LANES)
/// elements each, a `Mask` one bit or one word per lane.
///
/// Rules that hold on every tier, and that kernels rely on:
///
/// - `min(a, b)` is `if a < b { a } else { b }` and `max(a, b)` is
///   `if a > b { a } else { b }`, lane by lane: a NaN on either side gives `b`.
/// - Comparisons with NaN are false.
/// - `fma` rounds once, except on the portable tier, which rounds twice.
/// - A partial load fills the lanes it does not read with zero; partial loads
///   and stores touch no byte beyond the count.
/// - Reductions combine lanes in a fixed tree (the upper half onto the lower one,
///   until one lane is left), so a result does not depend on anything but its
///   input and the tier.
pub trait Simd: Copy + Send + Sync + 'static {
    /// The tier that this token proves.
    const TIER: Tier;
    /// Elements in an `F32` and in an `I32`.
    const LANES: usize;
    /// `LANES` 32-bit floats.
    type F32: Copy;
    /// `LANES` 32-bit integers.
    type I32: Copy;
    /// A truth value per lane.
    type Mask: Copy;

    // ---- memory -------------------------------------------------------

    /// Loads `LANES` floats.
    ///
    /// # Safety
    /// `ptr` is valid for reading `LANES` floats; no alignment is needed.
    unsafe fn load_ptr(self, ptr: *const f32) -> Self::F32;
    /// Stores `LANES` floats.
    ///
    /// # Safety
    /// `ptr` is valid for writing `LANES` floats; no alignment is needed.
    unsafe fn store_ptr(self, ptr: *mut f32, v: Self::F32);
    /// Loads the first `count` floats (all lanes when `count >= LANES`), zero elsewhere.
    ///
    /// # Safety
    /// `ptr` is valid for reading `min(count, LANES)` floats; no alignment is needed.
    unsafe fn load_partial_ptr(self, ptr: *const f32, count: usize) -> Self::F32;
    /// Stores the first `count` lanes (all when `count >= LANES`).
    ///
    /// # Safety
    /// `ptr` is valid for writing `min(count, LANES)` floats; no alignment is needed.
    unsafe fn store_partial_ptr(self, ptr: *mut f32, count: usize, v: Self::F32);
    /// Loads the lanes of `mask`, zero elsewhere; touches nothing of the others.
    ///
    /// # Safety
    /// `ptr` plus the lane is valid for reading a float, for every lane of the mask; no alignment is needed.
    #[inline(always)]
    unsafe fn load_masked_ptr(self, ptr: *const f32, mask: Self::Mask) -> Self::F32 {
        let bits = self.mask_bits(mask);
        let mut lanes = [0.0; MAX_LANES];
        for (i, lane) in lanes.iter_mut().enumerate().take(Self::LANES) {
            if bits >> i & 1 != 0 {
                // SAFETY: a lane of the mask.
                *lane = unsafe { ptr.wrapping_add(i).read_unaligned() };
            }
        }
        self.load(&lanes)
    }
    /// Loads `LANES` integers.
    ///
    /// # Safety
    /// `ptr` is valid for reading `LANES` integers; no alignment is needed.
    unsafe fn load_i32_ptr(self, ptr: *const i32) -> Self::I32;
    /// Stores `LANES` integers.
    ///
    /// # Safety
    /// `ptr` is valid for writing `LANES` integers; no alignment is needed.
    unsafe fn store_i32_ptr(self, ptr: *mut i32, v: Self::I32);
    /// Loads the first `count` integers (all lanes when `count >= LANES`), zero elsewhere.
    ///
    /// # Safety
    /// `ptr` is valid for reading `min(count, LANES)` integers; no alignment is needed.
    unsafe fn load_i32_partial_ptr(self, ptr: *const i32, count: usize) -> Self::I32;
    /// Stores the first `count` lanes (all when `count >= LANES`).
    ///
    /// # Safety
    /// `ptr` is valid for writing `min(count, LANES)` integers; no alignment is needed.
    unsafe fn store_i32_partial_ptr(self, ptr: *mut i32, count: usize, v: Self::I32);
    /// Loads `LANES` bytes, each widened to an integer lane.
    ///
    /// # Safety
    /// `ptr` is valid for reading `LANES` bytes.
    unsafe fn load_u8_ptr(self, ptr: *const u8) -> Self::I32;
    /// Stores each lane clamped to 0..=255 as a byte.
    ///
    /// # Safety
    /// `ptr` is valid for writing `LANES` bytes.
    unsafe fn store_u8_ptr(self, ptr: *mut u8, v: Self::I32);
    /// `base[index]` for every lane.
    ///
    /// # Safety
    /// Every lane of `index` is an element offset that is valid for reading from
    /// `base`; no alignment is needed.
    unsafe fn gather_ptr(self, base: *const f32, index: Self::I32) -> Self::F32;
    /// `base[index]` for every lane.
    ///
    /// # Safety
    /// Every lane of `index` is an element offset that is valid for reading from
    /// `base`; no alignment is needed.
    unsafe fn gather_i32_ptr(self, base: *const i32, index: Self::I32) -> Self::I32;

    /// Transposes a square of `LANES` by `LANES` floats: element `j` of the run at `rows[i]`
    /// is written to `dst[j * stride + i]`. Runs are written in the order of `j`, each
    /// `LANES` long, so a `stride` below `LANES` makes a later run overwrite the end
    /// of an earlier one. The pointers from `LANES` on are not used.
    ///
    /// # Safety
    /// The first `LANES` pointers are valid for reading `LANES` floats, `dst` for writing
    /// `(LANES - 1) * stride + LANES`, and what is read does not overlap what is written.
    unsafe fn transpose_ptr(self, rows: &[*const f32; MAX_LANES], dst: *mut f32, stride: usize);

    /// Asks for the cache line at `ptr`, which need not be valid. A hint: where the compiler has no
    /// stable way to give it (NEON), nothing happens.
    #[inline(always)]
    fn prefetch(self, ptr: *const f32) {
        let _ = ptr;
    }

    /// As [`prefetch`](Simd::prefetch), to the second cache and no further: for what is needed thousands of
    /// cycles later and must not push out what the first cache works on.
    #[inline(always)]
    fn prefetch_l2(self, ptr: *const f32) {
        let _ = ptr;
    }

    /// Stores `LANES` floats past the caches, where the tier can: for large results, of which a plain store
    /// would first read every line. Other threads see them after [`finish_streaming`](Simd::finish_streaming).
    ///
    /// # Safety
    /// `ptr` is valid for writing `LANES` floats and aligned to as many.
    #[inline(always)]
    unsafe fn store_streaming_ptr(self, ptr: *mut f32, v: Self::F32) {
        // SAFETY: the caller's promise.
        unsafe { self.store_ptr(ptr, v) }
    }

    /// Due after the last of the streaming stores of a task.
    #[inline(always)]
    fn finish_streaming(self) {}

    /// Loads the first `LANES` floats of `src`; panics when there are fewer.
    #[inline(always)]
    fn load(self, src: &[f32]) -> Self::F32 {
        assert!(src.len() >= Self::LANES);
        // SAFETY: the slice holds at least LANES floats.
        unsafe { self.load_ptr(src.as_ptr()) }
    }
    /// Stores to the first `LANES` floats of `dst`; panics when there are fewer.
    #[inline(always)]
    fn store(self, dst: &mut [f32], v: Self::F32) {
        assert!(dst.len() >= Self::LANES);
        // SAFETY: the slice holds at least LANES floats.
        unsafe { self.store_ptr(dst.as_mut_ptr(), v) }
    }
    /// Loads `min(src.len(), LANES)` floats, zero elsewhere.
    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> Self::F32 {
        // SAFETY: the count is the length of the slice.
        unsafe { self.load_partial_ptr(src.as_ptr(), src.len()) }
    }
    /// Stores the first `min(dst.len(), LANES)` lanes.
    #[inline(always)]
    fn store_partial(self, dst: &mut [f32], v: Self::F32) {
        // SAFETY: the count is the length of the slice.
        unsafe { self.store_partial_ptr(dst.as_mut_ptr(), dst.len(), v) }
    }

    // ---- floats -------------------------------------------------------

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::F32;
    /// Zero in every lane.
    #[inline(always)]
    fn zero(self) -> Self::F32 {
        self.splat(0.0)
    }
    /// `a + b`.
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`.
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`.
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`.
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Square root.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// `a * b + c`.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `c - a * b`.
    fn neg_fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `if a < b { a } else { b }`.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `if a > b { a } else { b }`.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The largest integer not above `a`.
    fn floor(self, a: Self::F32) -> Self::F32;
    /// The smallest integer not below `a`.
    fn ceil(self, a: Self::F32) -> Self::F32;
    /// `a` without its fraction.
    fn trunc(self, a: Self::F32) -> Self::F32;
    /// The nearest integer, ties to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// The sign bit flipped.
    #[inline(always)]
    fn neg(self, a: Self::F32) -> Self::F32 {
        let sign = self.splat_i32(i32::MIN);
        self.bits_to_f32(self.xor_i32(self.bits(a), sign))
    }
    /// The sign bit cleared.
    #[inline(always)]
    fn abs(self, a: Self::F32) -> Self::F32 {
        let rest = self.splat_i32(i32::MAX);
        self.bits_to_f32(self.and_i32(self.bits(a), rest))
    }
    /// The magnitude of `a` with the sign of `sign`.
    #[inline(always)]
    fn copysign(self, a: Self::F32, sign: Self::F32) -> Self::F32 {
        let s = self.and_i32(self.bits(sign), self.splat_i32(i32::MIN));
        self.bits_to_f32(self.or_i32(self.bits(self.abs(a)), s))
    }

    /// Every second element of `a` followed by `b`: those at even places, and those at odd.
    fn deinterleave(self, a: Self::F32, b: Self::F32) -> (Self::F32, Self::F32);

    // ---- masks --------------------------------------------------------

    /// `a < b`.
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a <= b`.
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a == b`.
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a > b`.
    #[inline(always)]
    fn gt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        self.lt(b, a)
    }
    /// `a >= b`.
    #[inline(always)]
    fn ge(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        self.le(b, a)
    }
    /// True where `a` is NaN.
    #[inline(always)]
    fn is_nan(self, a: Self::F32) -> Self::Mask {
        self.not(self.eq(a, a))
    }
    /// `if mask { a } else { b }`.
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `if mask { a } else { b }`.
    fn select_i32(self, mask: Self::Mask, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Both.
    fn and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Either.
    fn or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Not.
    fn not(self, a: Self::Mask) -> Self::Mask;
    /// Bit `i` is lane `i`; bits from `LANES` up are zero.
    fn mask_bits(self, mask: Self::Mask) -> u32;
    /// True in the first `count` lanes (in all when `count >= LANES`).
    fn first(self, count: usize) -> Self::Mask;
    /// The lanes `from..to` (cut to those that there are).
    #[inline(always)]
    fn between(self, from: usize, to: usize) -> Self::Mask {
        self.and(self.first(to), self.not(self.first(from)))
    }
    /// True when any lane is.
    #[inline(always)]
    fn any(self, mask: Self::Mask) -> bool {
        self.mask_bits(mask) != 0
    }
    /// True when every lane is.
    #[inline(always)]
    fn all(self, mask: Self::Mask) -> bool {
        self.mask_bits(mask) == (u32::MAX >> (32 - Self::LANES as u32))
    }

    // ---- reductions ---------------------------------------------------

    /// The sum of all lanes.
    fn reduce_add(self, a: Self::F32) -> f32;
    /// The smallest lane; unspecified among lanes when one is NaN.
    fn reduce_min(self, a: Self::F32) -> f32;
    /// The largest lane; unspecified among lanes when one is NaN.
    fn reduce_max(self, a: Self::F32) -> f32;

    // ---- integers -----------------------------------------------------

    /// `value` in every lane.
    fn splat_i32(self, value: i32) -> Self::I32;
    /// 0, 1, 2, … per lane.
    fn iota(self) -> Self::I32;
    /// `a + b`, wrapping.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a - b`, wrapping.
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The low 32 bits of `a * b`.
    fn mul_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The smaller, signed.
    fn min_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The larger, signed.
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bitwise and.
    fn and_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bitwise or.
    fn or_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bitwise exclusive or.
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Shift left by `BITS` (1..=31).
    fn shl_i32<const BITS: i32>(self, a: Self::I32) -> Self::I32;
    /// Arithmetic shift right by `BITS` (1..=31).
    fn shr_i32<const BITS: i32>(self, a: Self::I32) -> Self::I32;
    /// `a == b`.
    fn eq_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask;
    /// `a > b`, signed.
    fn gt_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask;

    // ---- between the two ----------------------------------------------

    /// The bits of `a`.
    fn bits(self, a: Self::F32) -> Self::I32;
    /// The float with these bits.
    fn bits_to_f32(self, a: Self::I32) -> Self::F32;
    /// Each integer as a float, rounded to nearest even.
    fn to_f32(self, a: Self::I32) -> Self::F32;
    /// The nearest integer, ties to even; unspecified outside the range of `i32` and for NaN.
    fn round_to_i32(self, a: Self::F32) -> Self::I32;
    /// The integer part; unspecified outside the range of `i32` and for NaN.
    fn trunc_to_i32(self, a: Self::F32) -> Self::I32;
}
