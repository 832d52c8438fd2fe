//! The portable tier: four 32-bit lanes on `wide`, which compiles to the
//! baseline instruction set of the target (SSE2 on x86-64, Advanced SIMD on
//! aarch64). `fma` is a multiplication and an addition, each rounded.

use super::{Simd, Tier};
use wide::{f32x4, i32x4};

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

/// Copies the first `count` elements (at most four) to an array of zeros.
///
/// # Safety
/// `ptr` is valid for reading `min(count, 4)` elements.
#[inline(always)]
unsafe fn partial<T: Copy + Default>(ptr: *const T, count: usize) -> [T; 4] {
    let mut lanes = [T::default(); 4];
    for (i, lane) in lanes.iter_mut().enumerate().take(count) {
        // SAFETY: i < min(count, 4).
        *lane = unsafe { *ptr.add(i) };
    }
    lanes
}

/// Writes the first `count` elements (at most four).
///
/// # Safety
/// `ptr` is valid for writing `min(count, 4)` elements.
#[inline(always)]
unsafe fn store_first<T: Copy>(ptr: *mut T, count: usize, lanes: [T; 4]) {
    for (i, lane) in lanes.into_iter().enumerate().take(count) {
        // SAFETY: i < min(count, 4).
        unsafe { *ptr.add(i) = lane };
    }
}

#[inline(always)]
fn map(a: f32x4, f: impl Fn(f32) -> f32) -> f32x4 {
    f32x4::new(a.to_array().map(f))
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

#[inline(always)]
fn as_f32(a: i32x4) -> f32x4 {
    f32x4::new(a.to_array().map(|v| f32::from_bits(v as u32)))
}

#[inline(always)]
fn as_i32(a: f32x4) -> i32x4 {
    i32x4::new(a.to_array().map(|v| v.to_bits() as i32))
}

/// 2^23: the floats from here up are integers.
const INTEGERS: f32 = 8_388_608.0;

/// Truncation without libm, which is what the baseline x86-64 would call.
#[inline(always)]
fn trunc(v: f32) -> f32 {
    if v.abs() < INTEGERS {
        (v as i32 as f32).copysign(v)
    } else {
        v
    }
}

/// Rounding to even without libm: adding 2^23 leaves no room for a fraction.
#[inline(always)]
fn round(v: f32) -> f32 {
    if v.abs() < INTEGERS {
        ((v.abs() + INTEGERS) - INTEGERS).copysign(v)
    } else {
        v
    }
}

#[inline(always)]
fn floor(v: f32) -> f32 {
    let t = trunc(v);
    if t > v { t - 1.0 } else { t }
}

#[inline(always)]
fn ceil(v: f32) -> f32 {
    let t = trunc(v);
    if t < v { (t + 1.0).copysign(v) } else { t }
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
        load_partial_ptr(ptr: *const f32, count: usize) -> f32x4 = f32x4::new(partial(ptr, count));
        store_partial_ptr(ptr: *mut f32, count: usize, v: f32x4) = store_first(ptr, count, v.to_array());
        load_i32_ptr(ptr: *const i32) -> i32x4 = i32x4::new(ptr.cast::<[i32; 4]>().read_unaligned());
        store_i32_ptr(ptr: *mut i32, v: i32x4) = ptr.cast::<[i32; 4]>().write_unaligned(v.to_array());
        load_i32_partial_ptr(ptr: *const i32, count: usize) -> i32x4 = i32x4::new(partial(ptr, count));
        store_i32_partial_ptr(ptr: *mut i32, count: usize, v: i32x4) = store_first(ptr, count, v.to_array());
        load_u8_ptr(ptr: *const u8) -> i32x4 = i32x4::new(ptr.cast::<[u8; 4]>().read_unaligned().map(i32::from));
        store_u8_ptr(ptr: *mut u8, v: i32x4) =
            ptr.cast::<[u8; 4]>().write_unaligned(v.to_array().map(|x| x.clamp(0, 255) as u8));
        gather_ptr(base: *const f32, index: i32x4) -> f32x4 =
            f32x4::new(index.to_array().map(|i| *base.offset(i as isize)));
        gather_i32_ptr(base: *const i32, index: i32x4) -> i32x4 =
            i32x4::new(index.to_array().map(|i| *base.offset(i as isize)));
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
        min(a: f32x4, b: f32x4) -> f32x4 = a.simd_lt(b).select(a, b);
        max(a: f32x4, b: f32x4) -> f32x4 = a.simd_gt(b).select(a, b);
        floor(a: f32x4) -> f32x4 = map(a, floor);
        ceil(a: f32x4) -> f32x4 = map(a, ceil);
        trunc(a: f32x4) -> f32x4 = map(a, trunc);
        round(a: f32x4) -> f32x4 = map(a, round);

        lt(a: f32x4, b: f32x4) -> i32x4 = as_i32(a.simd_lt(b));
        le(a: f32x4, b: f32x4) -> i32x4 = as_i32(a.simd_le(b));
        eq(a: f32x4, b: f32x4) -> i32x4 = as_i32(a.simd_eq(b));
        select(mask: i32x4, a: f32x4, b: f32x4) -> f32x4 = as_f32(mask).select(a, b);
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

        bits(a: f32x4) -> i32x4 = as_i32(a);
        bits_to_f32(a: i32x4) -> f32x4 = as_f32(a);
        to_f32(a: i32x4) -> f32x4 = f32x4::new(a.to_array().map(|v| v as f32));
        round_to_i32(a: f32x4) -> i32x4 = i32x4::new(a.to_array().map(|v| round(v) as i32));
        trunc_to_i32(a: f32x4) -> i32x4 = i32x4::new(a.to_array().map(|v| v as i32));
    }

    #[inline(always)]
    fn shl_i32<const BITS: i32>(self, a: i32x4) -> i32x4 {
        a << BITS
    }
    #[inline(always)]
    fn shr_i32<const BITS: i32>(self, a: i32x4) -> i32x4 {
        a >> BITS
    }
}
