//! Tiers, their names and their detection.

use crate::simd::{Isa, Simd, Tier, dispatch};

#[test]
fn names_are_unique_and_come_back() {
    for tier in Tier::ALL {
        assert_eq!(Tier::from_name(tier.name()), Some(tier));
        assert_eq!(
            Tier::ALL.iter().filter(|t| t.name() == tier.name()).count(),
            1
        );
    }
    assert_eq!(Tier::from_name("AVX2"), None);
    assert_eq!(Tier::from_name(""), None);
}

#[test]
fn the_fastest_available_tier_is_detected() {
    let tiers: Vec<Tier> = Isa::available().into_iter().map(Isa::tier).collect();
    assert_eq!(tiers[0], Tier::Portable);
    assert!(tiers.is_sorted_by(|a, b| a < b));
    assert_eq!(Isa::detect().tier(), tiers[tiers.len() - 1]);
    for tier in Tier::ALL {
        assert_eq!(
            Isa::of(tier).map(Isa::tier),
            tiers.contains(&tier).then_some(tier)
        );
    }
}

#[test]
fn a_tier_of_another_architecture_is_never_available() {
    let foreign = if cfg!(target_arch = "aarch64") {
        Tier::Avx2
    } else {
        Tier::Neon
    };
    assert!(Isa::of(foreign).is_none());
}

#[test]
fn dispatch_enters_the_tier_of_the_token() {
    #[inline(always)]
    fn entered<S: Simd>(_: S) -> (Tier, usize) {
        (S::TIER, S::LANES)
    }
    for isa in Isa::available() {
        let (tier, lanes) = dispatch!(isa, simd => entered(simd));
        assert_eq!(tier, isa.tier());
        let expected = match tier {
            Tier::Portable | Tier::Neon => 4,
            Tier::Avx2 => 8,
            Tier::Avx512 => 16,
        };
        assert_eq!(lanes, expected);
    }
}
