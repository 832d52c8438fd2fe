//! What elementary functions are made of, over one vector or over several at once.
//!
//! A function of one vector is a chain: each step waits some four cycles for the one before, and so many
//! functions are in flight as the scheduler of the CPU has entries for, which is two or three. Over a
//! [`Group`] the same steps are taken for several vectors in turns, so that the
//! units are busy, not the scheduler: half the time for `gelu`, `tanh` and the like.

use super::{Simd, Tier};

macro_rules! arithmetic {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ident),+) -> $out:ident;)+) => {
        /// The operations of [`Simd`] that go lane by lane; they mean what they mean there.
        pub trait Arithmetic: Copy {
            /// Of the token.
            const TIER: Tier;
            /// 32-bit floats.
            type F32: Copy;
            /// 32-bit integers, as many.
            type I32: Copy;
            /// A truth value for each.
            type Mask: Copy;

            /// `v` in every lane.
            fn splat(self, v: f32) -> Self::F32;
            /// `v` in every lane.
            fn splat_i32(self, v: i32) -> Self::I32;
            /// `a << BITS`.
            fn shl_i32<const BITS: i32>(self, a: Self::I32) -> Self::I32;
            /// `a >> BITS`, with the sign.
            fn shr_i32<const BITS: i32>(self, a: Self::I32) -> Self::I32;
            $($(#[$doc])* fn $name(self, $($arg: Self::$kind),+) -> Self::$out;)+
        }

        impl<S: Simd> Arithmetic for S {
            const TIER: Tier = S::TIER;
            type F32 = S::F32;
            type I32 = S::I32;
            type Mask = S::Mask;

            #[inline(always)]
            fn splat(self, v: f32) -> S::F32 {
                Simd::splat(self, v)
            }
            #[inline(always)]
            fn splat_i32(self, v: i32) -> S::I32 {
                Simd::splat_i32(self, v)
            }
            #[inline(always)]
            fn shl_i32<const BITS: i32>(self, a: S::I32) -> S::I32 {
                Simd::shl_i32::<BITS>(self, a)
            }
            #[inline(always)]
            fn shr_i32<const BITS: i32>(self, a: S::I32) -> S::I32 {
                Simd::shr_i32::<BITS>(self, a)
            }
            $(
                #[inline(always)]
                fn $name(self, $($arg: S::$kind),+) -> S::$out {
                    Simd::$name(self, $($arg),+)
                }
            )+
        }

        impl<S: Simd, const K: usize> Arithmetic for Group<S, K> {
            const TIER: Tier = S::TIER;
            type F32 = [S::F32; K];
            type I32 = [S::I32; K];
            type Mask = [S::Mask; K];

            #[inline(always)]
            fn splat(self, v: f32) -> [S::F32; K] {
                [Simd::splat(self.0, v); K]
            }
            #[inline(always)]
            fn splat_i32(self, v: i32) -> [S::I32; K] {
                [Simd::splat_i32(self.0, v); K]
            }
            #[inline(always)]
            fn shl_i32<const BITS: i32>(self, mut a: [S::I32; K]) -> [S::I32; K] {
                for k in 0..K {
                    a[k] = Simd::shl_i32::<BITS>(self.0, a[k]);
                }
                a
            }
            #[inline(always)]
            fn shr_i32<const BITS: i32>(self, mut a: [S::I32; K]) -> [S::I32; K] {
                for k in 0..K {
                    a[k] = Simd::shr_i32::<BITS>(self.0, a[k]);
                }
                a
            }
            $(
                #[inline(always)]
                fn $name(self, $($arg: [S::$kind; K]),+) -> [S::$out; K] {
                    // Plain loops: a closure would not have the features of its caller.
                    let mut out = [Simd::$name(self.0, $($arg[0]),+); K];
                    for k in 1..K {
                        out[k] = Simd::$name(self.0, $($arg[k]),+);
                    }
                    out
                }
            )+
        }
    };
}

arithmetic! {
    /// `a + b`.
    add(a: F32, b: F32) -> F32;
    /// `a - b`.
    sub(a: F32, b: F32) -> F32;
    /// `a * b`.
    mul(a: F32, b: F32) -> F32;
    /// `a / b`.
    div(a: F32, b: F32) -> F32;
    /// `a * b + c`.
    fma(a: F32, b: F32, c: F32) -> F32;
    /// `c - a * b`.
    neg_fma(a: F32, b: F32, c: F32) -> F32;
    /// `if a < b { a } else { b }`.
    min(a: F32, b: F32) -> F32;
    /// `if a > b { a } else { b }`.
    max(a: F32, b: F32) -> F32;
    /// Without the sign.
    abs(a: F32) -> F32;
    /// With the other sign.
    neg(a: F32) -> F32;
    /// `a` with the sign of `b`.
    copysign(a: F32, b: F32) -> F32;
    /// `a < b`.
    lt(a: F32, b: F32) -> Mask;
    /// `a > b`.
    gt(a: F32, b: F32) -> Mask;
    /// `a == b`.
    eq(a: F32, b: F32) -> Mask;
    /// `if mask { a } else { b }`.
    select(mask: Mask, a: F32, b: F32) -> F32;
    /// The bits of a float.
    bits(a: F32) -> I32;
    /// The float with these bits.
    bits_to_f32(a: I32) -> F32;
    /// The nearest float.
    to_f32(a: I32) -> F32;
    /// `a + b`, wrapping.
    add_i32(a: I32, b: I32) -> I32;
    /// `a - b`, wrapping.
    sub_i32(a: I32, b: I32) -> I32;
    /// The bits that both have.
    and_i32(a: I32, b: I32) -> I32;
}

/// `K` vectors as one, at least one.
#[derive(Clone, Copy)]
pub struct Group<S: Simd, const K: usize>(pub S);
