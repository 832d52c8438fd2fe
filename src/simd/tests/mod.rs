//! Every operation of every tier that this CPU has, against scalar Rust.
//!
//! `OMMA_TEST_ISA` restricts them to one tier and `OMMA_TEST_QUICK` to fewer random operands, as in
//! `tests/common`: for emulated CPUs.

mod guard;
mod isa;
mod lanes;
mod math;
mod memory;

use super::{Isa, Simd, Tier};

/// The tiers to test: all that this CPU has, or the one that is asked for.
pub(super) fn isas() -> Vec<Isa> {
    match std::env::var("OMMA_TEST_ISA") {
        Ok(name) if !name.is_empty() => {
            let isa = Tier::from_name(&name).and_then(Isa::of);
            vec![isa.unwrap_or_else(|| panic!("OMMA_TEST_ISA={name} is no tier of this CPU"))]
        }
        _ => Isa::available(),
    }
}

/// True when the CPU is emulated.
fn quick() -> bool {
    std::env::var_os("OMMA_TEST_QUICK").is_some_and(|v| v != "0")
}

/// How many of `full` random operands to take.
pub(super) fn cases(full: usize) -> usize {
    if quick() { full.div_ceil(10) } else { full }
}

/// The floats at which an operation might go wrong.
fn special_f32() -> Vec<f32> {
    let magnitudes = [
        0.0,
        f32::from_bits(1),
        1e-40,
        f32::MIN_POSITIVE,
        0.25,
        0.499_999_97,
        0.5,
        0.500_000_06,
        0.75,
        1.0,
        1.5,
        2.5,
        3.5,
        8_388_607.0,
        8_388_607.5,
        4_194_303.5,
        4_194_304.5,
        8_388_608.0,
        8_388_609.0,
        16_777_216.0,
        2_147_483_500.0,
        2_147_483_600.0,
        1e19,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
        f32::from_bits(0x7fa0_1234),
    ];
    magnitudes.into_iter().flat_map(|v| [v, -v]).collect()
}

/// The integers at which an operation might go wrong.
fn special_i32() -> Vec<i32> {
    let mut values = vec![
        0, 1, -1, 2, 127, 128, 254, 255, 256, 257, -128, 0xffff, 0x1_0000, 0x8000, 0x7fff, -0x8000,
    ];
    values.extend([
        -0x8001,
        0x0100_0001,
        0x0100_0003,
        i32::MAX,
        i32::MAX - 1,
        i32::MIN,
        i32::MIN + 1,
        0x5555_5555,
    ]);
    values
}

/// Pseudo-random words (xorshift).
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }
    fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
    fn i32(&mut self) -> i32 {
        self.bits() as i32
    }
    /// Any float, from its bits.
    fn f32(&mut self) -> f32 {
        f32::from_bits(self.bits())
    }
    /// In -1000..1000.
    fn moderate(&mut self) -> f32 {
        (self.i32() >> 8) as f32 * (1000.0 / 8_388_608.0)
    }
    fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }
}

/// Every pair of specials, then random bits, then moderate numbers.
fn pairs_f32() -> Vec<(f32, f32)> {
    let special = special_f32();
    let mut pairs: Vec<_> = special
        .iter()
        .flat_map(|&a| special.iter().map(move |&b| (a, b)))
        .collect();
    let mut random = Random::new();
    pairs.extend((0..cases(4000)).map(|_| (random.f32(), random.f32())));
    pairs.extend((0..cases(4000)).map(|_| (random.moderate(), random.moderate())));
    pairs
}

/// Every pair of specials, then random bits.
fn pairs_i32() -> Vec<(i32, i32)> {
    let special = special_i32();
    let mut pairs: Vec<_> = special
        .iter()
        .flat_map(|&a| special.iter().map(move |&b| (a, b)))
        .collect();
    let mut random = Random::new();
    pairs.extend((0..cases(4000)).map(|_| (random.i32(), random.i32())));
    pairs
}

/// A vector of `LANES` elements, the last one repeated when there are fewer.
#[inline(always)]
fn floats<S: Simd>(simd: S, values: &[f32]) -> S::F32 {
    let lanes: Vec<f32> = (0..S::LANES)
        .map(|i| values[i.min(values.len() - 1)])
        .collect();
    simd.load(&lanes)
}

#[inline(always)]
fn integers<S: Simd>(simd: S, values: &[i32]) -> S::I32 {
    let lanes: Vec<i32> = (0..S::LANES)
        .map(|i| values[i.min(values.len() - 1)])
        .collect();
    // SAFETY: LANES elements.
    unsafe { simd.load_i32_ptr(lanes.as_ptr()) }
}

#[inline(always)]
fn of_floats<S: Simd>(simd: S, v: S::F32) -> Vec<f32> {
    let mut lanes = vec![0.0; S::LANES];
    simd.store(&mut lanes, v);
    lanes
}

#[inline(always)]
fn of_integers<S: Simd>(simd: S, v: S::I32) -> Vec<i32> {
    let mut lanes = vec![0; S::LANES];
    // SAFETY: LANES elements.
    unsafe { simd.store_i32_ptr(lanes.as_mut_ptr(), v) };
    lanes
}
