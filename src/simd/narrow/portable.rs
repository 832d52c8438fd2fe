//! Narrow vectors without instructions of their own: one block as an array,
//! which the compiler turns into the baseline's vectors where it can.

use super::Narrow;
use crate::simd::Portable;
use std::array::from_fn;

macro_rules! memory_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the caller proves the memory.
            unsafe { $body }
        }
    )*};
}

/// The four floats at `base + offset`.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn four(base: *const f32, offset: *const u32) -> [f32; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        base.add(*offset as usize)
            .cast::<[f32; 4]>()
            .read_unaligned()
    }
}

impl Narrow for Portable {
    type U8 = [u8; 16];
    type I16 = [i16; 8];

    memory_ops! {
        load_bytes_ptr(ptr: *const u8) -> [u8; 16] = ptr.cast::<[u8; 16]>().read_unaligned();
        store_bytes_ptr(ptr: *mut u8, v: [u8; 16]) = ptr.cast::<[u8; 16]>().write_unaligned(v);
        store_bytes_partial_ptr(ptr: *mut u8, count: usize, v: [u8; 16]) =
            std::ptr::copy_nonoverlapping(v.as_ptr(), ptr, count.min(16));
        store_twelves_ptr(ptr: *mut u8, v: [u8; 16]) =
            std::ptr::copy_nonoverlapping(v.as_ptr(), ptr, 12);
        load_words_ptr(ptr: *const i16) -> [i16; 8] = ptr.cast::<[i16; 8]>().read_unaligned();
        store_words_ptr(ptr: *mut i16, v: [i16; 8]) = ptr.cast::<[i16; 8]>().write_unaligned(v);
        load_float_blocks_ptr(base: *const f32, offsets: *const u32) -> Self::F32 =
            Self::F32::new(four(base, offsets));
        load_float_pairs_ptr(base: *const f32, offsets: *const u32) -> (Self::F32, Self::F32) = {
            let taps = |k: usize| std::array::from_fn(|i| *base.add(*offsets.add(i) as usize + k));
            (Self::F32::new(taps(0)), Self::F32::new(taps(1)))
        };
        load_float_quads_ptr(base: *const f32, offsets: *const u32) -> (Self::F32, Self::F32) = {
            let (a, b) = (four(base, offsets), four(base, offsets.add(1)));
            (Self::F32::new([a[0], a[1], b[0], b[1]]), Self::F32::new([a[2], a[3], b[2], b[3]]))
        };
        load_byte_pairs_ptr(base: *const u8, offsets: *const u32) -> ([u8; 16], [u8; 16]) = {
            let byte = |i: usize, k: usize| *base.add(*offsets.add(i / 4) as usize + i % 4 + k);
            (from_fn(|i| byte(i, 0)), from_fn(|i| byte(i, 4)))
        };
        transpose_bytes_ptr(rows: *const u8, step: isize, columns: *mut u8, stride: isize) = {
            let row = |i: usize| rows.offset(step * i as isize).cast::<[u8; 16]>().read_unaligned();
            let rows: [[u8; 16]; 16] = from_fn(row);
            let column = |j: usize| from_fn(|i| rows[i][j]);
            let columns = |j: usize| columns.offset(stride * j as isize).cast::<[u8; 16]>();
            (0..16).for_each(|j| columns(j).write_unaligned(column(j)));
        };
        splat_blocks_ptr(ptr: *const f32) -> Self::F32 = Self::F32::splat(*ptr);
        store_float_blocks_ptr(ptr: *mut f32, _step: usize, v: Self::F32) =
            ptr.cast::<[f32; 4]>().write_unaligned(v.to_array());
    }

    #[inline(always)]
    unsafe fn load_blocks_ptr<const PARTS: usize>(
        self,
        base: *const u8,
        offsets: *const u32,
    ) -> [u8; 16] {
        let mut block = [0; 16];
        let len = 16 / PARTS;
        for part in 0..PARTS {
            // SAFETY: the caller proves that offset and run are readable.
            unsafe {
                let run = base.add(*offsets.add(part) as usize);
                std::ptr::copy_nonoverlapping(run, block.as_mut_ptr().add(part * len), len);
            }
        }
        block
    }

    #[inline(always)]
    fn shuffle_bytes(self, a: [u8; 16], index: [u8; 16]) -> [u8; 16] {
        from_fn(|i| match index[i] {
            0x80.. => 0,
            at => a[usize::from(at & 15)],
        })
    }
    #[inline(always)]
    fn splat_lane<const LANE: i32>(self, a: Self::F32) -> Self::F32 {
        Self::F32::splat(a.to_array()[LANE as usize])
    }
    #[inline(always)]
    fn align_blocks<const FIRST: i32>(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        let (a, b) = (a.to_array(), b.to_array());
        Self::F32::new(from_fn(|i| match i + FIRST as usize {
            at @ ..4 => a[at],
            at => b[at - 4],
        }))
    }
    #[inline(always)]
    fn pack_i32(self, a: Self::I32, b: Self::I32) -> [i16; 8] {
        let (a, b) = (a.to_array(), b.to_array());
        from_fn(|i| {
            let v = if i < 4 { a[i] } else { b[i - 4] };
            v.clamp(i16::MIN.into(), i16::MAX.into()) as i16
        })
    }
    #[inline(always)]
    fn pack_i16(self, a: [i16; 8], b: [i16; 8]) -> [u8; 16] {
        from_fn(|i| (if i < 8 { a[i] } else { b[i - 8] }).clamp(0, 255) as u8)
    }
    #[inline(always)]
    fn min_u8(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        from_fn(|i| a[i].min(b[i]))
    }
    #[inline(always)]
    fn max_u8(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        from_fn(|i| a[i].max(b[i]))
    }
    #[inline(always)]
    fn splat_i16(self, value: i16) -> [i16; 8] {
        [value; 8]
    }
    #[inline(always)]
    fn add_i16(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn and_i16(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        from_fn(|i| a[i] & b[i])
    }
    #[inline(always)]
    fn mul_high_i16(self, a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        from_fn(|i| ((i32::from(a[i]) * i32::from(b[i])) >> 16) as i16)
    }
    #[inline(always)]
    fn shr_i16<const BITS: i32>(self, a: [i16; 8]) -> [i16; 8] {
        a.map(|v| v >> BITS)
    }
    #[inline(always)]
    fn dot_pairs_i16(self, a: [i16; 8], b: [i16; 8]) -> Self::I32 {
        let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
        Self::I32::new(from_fn(|i| product(2 * i).wrapping_add(product(2 * i + 1))))
    }
    #[inline(always)]
    fn sum_pairs_u8(self, a: [u8; 16]) -> [i16; 8] {
        from_fn(|i| i16::from(a[2 * i]) + i16::from(a[2 * i + 1]))
    }
    #[inline(always)]
    fn bytes_as_i16(self, a: [u8; 16]) -> [i16; 8] {
        from_fn(|i| i16::from_le_bytes([a[2 * i], a[2 * i + 1]]))
    }
    #[inline(always)]
    fn i32_as_bytes(self, a: Self::I32) -> [u8; 16] {
        let a = a.to_array();
        from_fn(|i| a[i / 4].to_le_bytes()[i % 4])
    }
    #[inline(always)]
    fn bytes_as_i32(self, a: [u8; 16]) -> Self::I32 {
        Self::I32::new(from_fn(|i| {
            i32::from_le_bytes([a[4 * i], a[4 * i + 1], a[4 * i + 2], a[4 * i + 3]])
        }))
    }
}
