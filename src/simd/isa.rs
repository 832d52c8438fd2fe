//! Which instruction sets exist, which this CPU has, and how to enter one.

#[cfg(target_arch = "aarch64")]
use super::Neon;
use super::Portable;
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};

/// The name of an instruction set tier, whether or not this CPU has it.
/// The order is from slow to fast within one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// 128-bit vectors of the baseline instruction set.
    Portable,
    /// aarch64 Advanced SIMD.
    Neon,
    /// x86-64 with AVX2, FMA, F16C and POPCNT.
    Avx2,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL.
    Avx512,
}

impl Tier {
    /// Every tier, slow to fast.
    pub const ALL: [Tier; 4] = [Tier::Portable, Tier::Neon, Tier::Avx2, Tier::Avx512];

    /// `portable`, `neon`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Portable => "portable",
            Tier::Neon => "neon",
            Tier::Avx2 => "avx2",
            Tier::Avx512 => "avx512",
        }
    }

    /// The tier of that name.
    pub fn from_name(name: &str) -> Option<Tier> {
        Tier::ALL.into_iter().find(|t| t.name() == name)
    }
}

/// A tier that this CPU has been found to have, with the token that proves it.
#[derive(Clone, Copy, Debug)]
pub enum Isa {
    /// Runs everywhere.
    Portable(Portable),
    /// AVX2, FMA, F16C and POPCNT are present.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512 F, BW, CD, DQ and VL are present.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// Advanced SIMD is present.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Isa {
    /// The fastest tier of this CPU.
    pub fn detect() -> Isa {
        Tier::ALL
            .into_iter()
            .rev()
            .find_map(Isa::of)
            .unwrap_or(Isa::Portable(Portable::new()))
    }

    /// The token of `tier`, if this CPU has it.
    pub fn of(tier: Tier) -> Option<Isa> {
        match tier {
            Tier::Portable => Some(Isa::Portable(Portable::new())),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2 => Avx2::detect().map(Isa::Avx2),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512 => Avx512::detect().map(Isa::Avx512),
            #[cfg(target_arch = "aarch64")]
            Tier::Neon => Neon::detect().map(Isa::Neon),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }

    /// Every tier of this CPU, slow to fast.
    pub fn available() -> Vec<Isa> {
        Tier::ALL.into_iter().filter_map(Isa::of).collect()
    }

    /// Which tier this is.
    pub fn tier(self) -> Tier {
        match self {
            Isa::Portable(_) => Tier::Portable,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => Tier::Avx2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => Tier::Avx512,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => Tier::Neon,
        }
    }
}

/// The `#[target_feature]` shims that [`dispatch!`] calls, each behind a safe
/// function that takes the token. The closure comes with `#[inline(always)]`,
/// so the whole kernel is compiled inside the shim and with its features.
pub(crate) mod enter {
    macro_rules! enter {
        ($name:ident, $token:ident, $arch:literal, $features:literal) => {
            #[cfg(target_arch = $arch)]
            #[inline(always)]
            pub(crate) fn $name<R>(_proof: super::$token, kernel: impl FnOnce() -> R) -> R {
                #[target_feature(enable = $features)]
                fn shim<R>(kernel: impl FnOnce() -> R) -> R {
                    kernel()
                }
                // SAFETY: the token proves that the CPU has the features of the shim.
                unsafe { shim(kernel) }
            }
        };
    }
    enter!(avx2, Avx2, "x86_64", "avx2,fma,f16c,popcnt");
    enter!(
        avx512,
        Avx512,
        "x86_64",
        "avx2,fma,f16c,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
    );
    enter!(neon, Neon, "aarch64", "neon");
}

/// `dispatch!(isa, simd => kernel(simd, …))` runs the expression with `simd`
/// bound to the token of `isa`, compiled with that tier's instructions.
///
/// It stands inside a task, after the work is split over threads, and around
/// a whole kernel: entering costs one predictable branch and a call.
macro_rules! dispatch {
    ($isa:expr, $simd:ident => $body:expr) => {
        match $isa {
            $crate::simd::Isa::Portable($simd) => $body,
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx2($simd) => $crate::simd::enter::avx2(
                $simd,
                #[inline(always)]
                || $body,
            ),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx512($simd) => $crate::simd::enter::avx512(
                $simd,
                #[inline(always)]
                || $body,
            ),
            #[cfg(target_arch = "aarch64")]
            $crate::simd::Isa::Neon($simd) => $crate::simd::enter::neon(
                $simd,
                #[inline(always)]
                || $body,
            ),
        }
    };
}
pub(crate) use dispatch;
