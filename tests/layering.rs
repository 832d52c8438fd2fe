//! Who may import whom: `capi → transformer → families → {gemm, runtime, tensor} → simd`,
//! and `error` is everybody's. Read off the `crate::…` paths of the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const FAMILIES: &[&str] = &[
    "attention",
    "boxes",
    "cluster",
    "conv",
    "image",
    "nn",
    "roi",
];

/// What a module may name, beyond itself and `error`.
fn allowed(module: &str) -> Vec<&'static str> {
    match module {
        "error" | "simd" => vec![],
        // Views hand out compact copies in a context's scratch, and scratch holds elements.
        "tensor" => vec!["runtime"],
        "runtime" => vec!["simd", "tensor"],
        "gemm" => vec!["simd", "runtime", "tensor"],
        "capi" => [
            FAMILIES,
            &["transformer", "gemm", "simd", "runtime", "tensor"],
        ]
        .concat(),
        // Blocks are made of what families compute, so they stand above them.
        "transformer" => [FAMILIES, &["gemm", "simd", "runtime", "tensor"]].concat(),
        family if FAMILIES.contains(&family) => vec!["gemm", "simd", "runtime", "tensor"],
        other => panic!(
            "src/{other} has no place in the layers yet: give it one here and in ARCHITECTURE.md"
        ),
    }
}

fn sources(dir: &Path, out: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.to_string_lossy().into_owned();
            out.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The top modules that `code` names: `crate::name` and `crate::{name, …}`.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (i, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && !c.is_whitespace() => {
                        names.insert(word(&group[i..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            names.insert(word(rest));
        }
    }
    names
}

fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_module_imports_only_what_is_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let modules: BTreeSet<String> = std::fs::read_dir(&root)
        .unwrap()
        .map(|e| {
            e.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "lib")
        .collect();
    let mut faults: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut seen = 0;
    for (path, text) in &files {
        let relative = Path::new(path).strip_prefix(&root).unwrap();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy();
        let module = first.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let allowed = allowed(module);
        for name in named(&without_comments(text)) {
            if !modules.contains(&name) {
                continue;
            }
            seen += 1;
            if name != module && name != "error" && !allowed.contains(&name.as_str()) {
                faults
                    .entry(relative.display().to_string())
                    .or_default()
                    .insert(name);
            }
        }
    }
    assert!(
        seen > 10,
        "the reader of imports found next to nothing: {seen}"
    );
    assert!(faults.is_empty(), "imports against the layers: {faults:#?}");
}

#[test]
fn only_simd_names_core_arch() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let named: Vec<_> = files
        .iter()
        .filter(|(path, text)| {
            let code = without_comments(text);
            !path.contains("/src/simd/")
                && (code.contains("core::arch") || code.contains("std::arch"))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn the_reader_of_imports_reads() {
    let code = "use crate::error::Result; use crate::{gemm::{a, b}, simd::Isa}; crate::nn::relu();";
    let expected: BTreeSet<String> = ["error", "gemm", "simd", "nn"].map(String::from).into();
    assert_eq!(named(code), expected);
}
