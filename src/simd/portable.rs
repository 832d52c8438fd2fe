//! The portable tier: four 32-bit lanes on `wide`, which compiles to the
//! baseline instruction set of the target (SSE2 on x86-64, Advanced SIMD on
//! aarch64). `fma` is a multiplication and an addition, each rounded.

use super::{MAX_LANES, Simd, Tier, partial};
use wide::bytemuck::cast;
use wide::{f32x4, i16x8, i32x4, u8x16};

/// Needs nothing of the CPU.
#[derive(Clone, Copy, Debug)]
pub struct Portable(());

impl Portable {
    /// The token.
    pub const fn new() -> Portable {
        Portable(())
    }
}

impl Default for Portable {
    fn default() -> Self {
        Portable::new()
    }
}

macro_rules! ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            $body
        }
    )*};
}

macro_rules! memory_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the caller proves the memory.
            unsafe { $body }
        }
    )*};
}

#[inline(always)]
fn zip(a: f32x4, b: f32x4, f: impl Fn(f32, f32) -> f32) -> f32 {
    let (a, b) = (a.to_array(), b.to_array());
    let two = [f(a[0], b[0]), f(a[1], b[1])];
    f(two[0], two[1])
}

/// Lanes 2 and 3 moved down to 0 and 1.
#[inline(always)]
fn high(a: f32x4) -> f32x4 {
    let a = a.to_array();
    f32x4::new([a[2], a[3], a[2], a[3]])
}

/// 2^23: the floats from here up are integers.
const INTEGERS: f32x4 = f32x4::new([8_388_608.0; 4]);

#[inline(always)]
fn sign(a: f32x4) -> f32x4 {
    a & f32x4::splat(-0.0)
}

/// Rounding to even without libm, which is what the baseline x86-64 would
/// call: adding 2^23 leaves no room for a fraction.
#[inline(always)]
fn round(a: f32x4) -> f32x4 {
    let magnitude = a.abs();
    let rounded = (magnitude + INTEGERS) - INTEGERS;
    magnitude.simd_lt(INTEGERS).select(rounded | sign(a), a)
}

/// The integer nearest to zero is one less than the nearest integer where that
/// lies above.
#[inline(always)]
fn trunc(a: f32x4) -> f32x4 {
    let magnitude = a.abs();
    let rounded = (magnitude + INTEGERS) - INTEGERS;
    let below = rounded - (rounded.simd_gt(magnitude) & f32x4::ONE);
    magnitude.simd_lt(INTEGERS).select(below | sign(a), a)
}

#[inline(always)]
fn floor(a: f32x4) -> f32x4 {
    let r = round(a);
    r - (r.simd_gt(a) & f32x4::ONE)
}

/// Zero keeps the sign of `a`.
#[inline(always)]
fn ceil(a: f32x4) -> f32x4 {
    let r = round(a);
    (r + (r.simd_lt(a) & f32x4::ONE)) | sign(a)
}

/// `wide` has the very instruction on SSE; elsewhere its minimum treats NaN otherwise.
#[inline(always)]
fn min(a: f32x4, b: f32x4) -> f32x4 {
    if cfg!(target_feature = "sse") {
        a.fast_min(b)
    } else {
        a.simd_lt(b).select(a, b)
    }
}

#[inline(always)]
fn max(a: f32x4, b: f32x4) -> f32x4 {
    if cfg!(target_feature = "sse") {
        a.fast_max(b)
    } else {
        a.simd_gt(b).select(a, b)
    }
}

/// Where SSE2 is absent, `wide` may round ties away from zero.
#[inline(always)]
fn round_to_i32(a: f32x4) -> i32x4 {
    if cfg!(target_feature = "sse2") {
        a.fast_round_int()
    } else {
        round(a).trunc_int()
    }
}

/// Interleaving with zeros twice moves each byte to the low end of a lane.
#[inline(always)]
fn widen(bytes: [u8; 4]) -> i32x4 {
    if cfg!(target_endian = "little") {
        let bytes: u8x16 = cast([u32::from_ne_bytes(bytes), 0, 0, 0]);
        let words = u8x16::unpack_low(bytes, u8x16::ZERO);
        cast(u8x16::unpack_low(words, u8x16::ZERO))
    } else {
        i32x4::new(bytes.map(i32::from))
    }
}

/// Saturates to `i16`, then to `u8`.
#[inline(always)]
fn narrow(a: i32x4) -> [u8; 4] {
    let words = i16x8::from_i32x8_saturate(cast([a, a]));
    let [bytes, ..]: [[u8; 4]; 4] = cast(u8x16::narrow_i16x8(words, words));
    bytes
}

impl Simd for Portable {
    const TIER: Tier = Tier::Portable;
    const LANES: usize = 4;
    type F32 = f32x4;
    type I32 = i32x4;
    type Mask = i32x4;

    memory_ops! {
        load_ptr(ptr: *const f32) -> f32x4 = f32x4::new(ptr.cast::<[f32; 4]>().read_unaligned());
        store_ptr(ptr: *mut f32, v: f32x4) = ptr.cast::<[f32; 4]>().write_unaligned(v.to_array());
        load_partial_ptr(ptr: *const f32, count: usize) -> f32x4 = f32x4::new(partial::load(ptr, count));
        store_partial_ptr(ptr: *mut f32, count: usize, v: f32x4) = partial::store(ptr, count, v.to_array());
        load_i32_ptr(ptr: *const i32) -> i32x4 = i32x4::new(ptr.cast::<[i32; 4]>().read_unaligned());
        store_i32_ptr(ptr: *mut i32, v: i32x4) = ptr.cast::<[i32; 4]>().write_unaligned(v.to_array());
        load_i32_partial_ptr(ptr: *const i32, count: usize) -> i32x4 = i32x4::new(partial::load(ptr, count));
        store_i32_partial_ptr(ptr: *mut i32, count: usize, v: i32x4) = partial::store(ptr, count, v.to_array());
        load_u8_ptr(ptr: *const u8) -> i32x4 = widen(ptr.cast::<[u8; 4]>().read_unaligned());
        store_u8_ptr(ptr: *mut u8, v: i32x4) = ptr.cast::<[u8; 4]>().write_unaligned(narrow(v));
        gather_ptr(base: *const f32, index: i32x4) -> f32x4 =
            f32x4::new(index.to_array().map(|i| base.offset(i as isize).read_unaligned()));
        gather_i32_ptr(base: *const i32, index: i32x4) -> i32x4 =
            i32x4::new(index.to_array().map(|i| base.offset(i as isize).read_unaligned()));
    }

    ops! {
        splat(value: f32) -> f32x4 = f32x4::splat(value);
        add(a: f32x4, b: f32x4) -> f32x4 = a + b;
        sub(a: f32x4, b: f32x4) -> f32x4 = a - b;
        mul(a: f32x4, b: f32x4) -> f32x4 = a * b;
        div(a: f32x4, b: f32x4) -> f32x4 = a / b;
        sqrt(a: f32x4) -> f32x4 = a.sqrt();
        fma(a: f32x4, b: f32x4, c: f32x4) -> f32x4 = a * b + c;
        neg_fma(a: f32x4, b: f32x4, c: f32x4) -> f32x4 = c - a * b;
        min(a: f32x4, b: f32x4) -> f32x4 = min(a, b);
        max(a: f32x4, b: f32x4) -> f32x4 = max(a, b);
        floor(a: f32x4) -> f32x4 = floor(a);
        ceil(a: f32x4) -> f32x4 = ceil(a);
        trunc(a: f32x4) -> f32x4 = trunc(a);
        round(a: f32x4) -> f32x4 = round(a);

        lt(a: f32x4, b: f32x4) -> i32x4 = cast(a.simd_lt(b));
        le(a: f32x4, b: f32x4) -> i32x4 = cast(a.simd_le(b));
        eq(a: f32x4, b: f32x4) -> i32x4 = cast(a.simd_eq(b));
        select(mask: i32x4, a: f32x4, b: f32x4) -> f32x4 = cast::<i32x4, f32x4>(mask).select(a, b);
        select_i32(mask: i32x4, a: i32x4, b: i32x4) -> i32x4 = mask.select(a, b);
        and(a: i32x4, b: i32x4) -> i32x4 = a & b;
        or(a: i32x4, b: i32x4) -> i32x4 = a | b;
        not(a: i32x4) -> i32x4 = !a;
        mask_bits(mask: i32x4) -> u32 = mask.to_bitmask();
        first(count: usize) -> i32x4 = i32x4::splat(count.min(4) as i32).simd_gt(i32x4::new([0, 1, 2, 3]));

        reduce_add(a: f32x4) -> f32 = zip(a, high(a), |x, y| x + y);
        reduce_min(a: f32x4) -> f32 = zip(a, high(a), |x, y| if x < y { x } else { y });
        reduce_max(a: f32x4) -> f32 = zip(a, high(a), |x, y| if x > y { x } else { y });

        splat_i32(value: i32) -> i32x4 = i32x4::splat(value);
        iota() -> i32x4 = i32x4::new([0, 1, 2, 3]);
        add_i32(a: i32x4, b: i32x4) -> i32x4 = a + b;
        sub_i32(a: i32x4, b: i32x4) -> i32x4 = a - b;
        mul_i32(a: i32x4, b: i32x4) -> i32x4 = a * b;
        min_i32(a: i32x4, b: i32x4) -> i32x4 = a.simd_gt(b).select(b, a);
        max_i32(a: i32x4, b: i32x4) -> i32x4 = a.simd_gt(b).select(a, b);
        and_i32(a: i32x4, b: i32x4) -> i32x4 = a & b;
        or_i32(a: i32x4, b: i32x4) -> i32x4 = a | b;
        xor_i32(a: i32x4, b: i32x4) -> i32x4 = a ^ b;
        eq_i32(a: i32x4, b: i32x4) -> i32x4 = a.simd_eq(b);
        gt_i32(a: i32x4, b: i32x4) -> i32x4 = a.simd_gt(b);

        bits(a: f32x4) -> i32x4 = cast(a);
        bits_to_f32(a: i32x4) -> f32x4 = cast(a);
        to_f32(a: i32x4) -> f32x4 = a.round_float();
        round_to_i32(a: f32x4) -> i32x4 = round_to_i32(a);
        trunc_to_i32(a: f32x4) -> i32x4 = a.fast_trunc_int();
    }

    #[inline(always)]
    fn deinterleave(self, a: f32x4, b: f32x4) -> (f32x4, f32x4) {
        let (a, b) = (a.to_array(), b.to_array());
        (
            f32x4::new([a[0], a[2], b[0], b[2]]),
            f32x4::new([a[1], a[3], b[1], b[3]]),
        )
    }
    #[inline(always)]
    fn shl_i32<const BITS: i32>(self, a: i32x4) -> i32x4 {
        a << BITS
    }
    #[inline(always)]
    fn shr_i32<const BITS: i32>(self, a: i32x4) -> i32x4 {
        a >> BITS
    }
    #[inline(always)]
    unsafe fn transpose_ptr(self, rows: &[*const f32; MAX_LANES], dst: *mut f32, stride: usize) {
        // SAFETY: the caller proves the memory.
        unsafe {
            let [a, b, c, d] = [rows[0], rows[1], rows[2], rows[3]];
            let square = [
                self.load_ptr(a),
                self.load_ptr(b),
                self.load_ptr(c),
                self.load_ptr(d),
            ];
            for (j, column) in f32x4::transpose(square).into_iter().enumerate() {
                self.store_ptr(dst.add(j * stride), column);
            }
        }
    }
}
