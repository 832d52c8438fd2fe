//! Every exported function against every kind of bad argument (see `contract`).

mod common;
mod contract;

use std::collections::BTreeSet;

/// Each family lists its exports in a file of `contract/`.
fn cases() -> Vec<contract::Case> {
    let families = [
        contract::attention::cases(),
        contract::boxes::cases(),
        contract::cluster::cases(),
        contract::conv::cases(),
        contract::image::cases(),
        contract::linear::cases(),
        contract::neighbours::cases(),
        contract::nn::cases(),
        contract::roi::cases(),
        contract::transformer::cases(),
        contract::warp::cases(),
    ];
    families.into_iter().flatten().collect()
}

#[test]
fn every_export_keeps_the_contract() {
    for case in cases() {
        case.check();
    }
}

#[test]
fn nothing_around_the_tensors_is_touched() {
    let grown = contract::guard::grown(cases());
    assert!(grown.len() >= 20);
    for case in cases().iter().chain(&grown) {
        for isa in common::isas() {
            case.check_guarded(isa);
        }
    }
}

/// Every export that takes a tensor, read from the sources of `capi`.
fn exports_with_tensors() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/capi")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for export in text.split("extern \"C\" fn ").skip(1) {
            let signature = &export[..export.find('{').unwrap_or(export.len())];
            let name = &signature[..signature.find('(').unwrap()];
            if name.starts_with("omma_") && signature.contains("OmmaTensor") {
                names.insert(name.to_string());
            }
        }
    }
    names
}

#[test]
fn no_export_is_forgotten() {
    let checked: BTreeSet<String> = cases().iter().map(|case| case.export.to_string()).collect();
    assert_eq!(exports_with_tensors(), checked);
}
