//! What the tests of several families share: which tiers to run on, how many
//! cases, and numbers that are random but the same every time.
//!
//! `OMMA_TEST_ISA=avx512` restricts a run to one tier and fails when the CPU
//! lacks it; `OMMA_TEST_QUICK=1` asks for fewer random cases. Both serve
//! emulated CPUs, where the other tiers have been tested natively.

#![allow(dead_code)]

use omma::runtime::{Context, Options};
use omma::simd::{Isa, Tier};

/// The tiers to test: all that this CPU has, or the one that is asked for.
pub fn isas() -> Vec<Isa> {
    match std::env::var("OMMA_TEST_ISA") {
        Ok(name) if !name.is_empty() => {
            let tier =
                Tier::from_name(&name).unwrap_or_else(|| panic!("OMMA_TEST_ISA={name} is no tier"));
            vec![Isa::of(tier).unwrap_or_else(|| panic!("this CPU lacks {name}"))]
        }
        _ => Isa::available(),
    }
}

/// True when the CPU is emulated and a tenth of the random cases has to do.
pub fn quick() -> bool {
    std::env::var_os("OMMA_TEST_QUICK").is_some_and(|v| v != "0")
}

/// How many of `full` random cases to run.
pub fn cases(full: usize) -> usize {
    if quick() { full.div_ceil(10) } else { full }
}

/// A context of that tier.
pub fn context(isa: Isa, num_threads: usize) -> Context {
    Context::new(Options {
        num_threads,
        max_isa: Some(isa.tier()),
        ..Options::default()
    })
    .unwrap()
}

/// SplitMix64: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// An integer from `low` to `high`, both included.
    pub fn range(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() % (high - low + 1) as u64) as usize
    }
    /// A float in -1..1.
    pub fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
    /// `n` floats in -1..1.
    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
}
