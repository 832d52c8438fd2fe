//! Generates `include/omma.h` from the exports in `src/capi`.
//!
//!     cargo run -p omma-header              writes the header
//!     cargo run -p omma-header -- --check   fails when the committed header is stale
//!
//! cbindgen reads the files of `src/capi` and nothing else, so that a public constant of an inner
//! layer cannot slip into the ABI. Its options are in `cbindgen.toml`.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("unknown argument {other}; the only one is --check");
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("include/omma.h");
    let generated = generate(&root)?;
    if !check {
        std::fs::create_dir_all(root.join("include"))?;
        std::fs::write(&path, generated)?;
        return Ok(());
    }
    let committed = std::fs::read_to_string(&path)?;
    match first_difference(&committed, &generated) {
        None => Ok(()),
        Some((line, old, new)) => Err(format!(
            "include/omma.h is stale, run `make header`; the first difference is in line {line}\n  \
             committed: {old}\n  generated: {new}"
        )
        .into()),
    }
}

fn generate(root: &Path) -> Result<String, Box<dyn Error>> {
    let copy = root.join("target/header");
    copy_sources(&root.join("src/capi"), &copy)?;
    let mut bytes = Vec::new();
    cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(root.join("cbindgen.toml"))?)
        .with_src(copy.join("mod.rs")) // and the modules that it names
        .generate()?
        .write(&mut bytes);
    polish(&String::from_utf8(bytes)?)
}

fn copy_sources(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, copy) = entry.map(|e| (e.path(), to.join(e.file_name())))?;
        if path.is_dir() {
            copy_sources(&path, &copy)?;
        } else {
            std::fs::write(copy, without_option(&std::fs::read_to_string(&path)?))?;
        }
    }
    Ok(())
}

/// `Option<OmmaCallback>` becomes `OmmaCallback`: to C a function pointer that may be NULL is a
/// function pointer. cbindgen sees that in `Option<fn(…)>`, not through a name.
fn without_option(source: &str) -> String {
    let mut parts = source.split("Option<Omma");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str("Omma");
        out.push_str(&part.replacen('>', "", 1));
    }
    out
}

/// Rust's conventions of documentation in the words of C.
fn polish(header: &str) -> Result<String, Box<dyn Error>> {
    let lines: Vec<String> = header
        .lines()
        .map(|line| line.replace(" * # Safety", " * The caller ensures:"))
        .map(|line| line.trim_end().to_string())
        .collect();
    let mut polished = String::with_capacity(header.len());
    let mut rest = &lines[..];
    while let [line, more @ ..] = rest {
        // A comment of one line stands in one line.
        match more {
            [text, end, ..] if line.trim() == "/**" && end.trim() == "*/" => {
                let words = text.trim().trim_start_matches("* ");
                polished.push_str(&line.replace("/**", &format!("/** {words} */")));
                rest = &more[2..];
            }
            _ => {
                polished.push_str(line);
                rest = more;
            }
        }
        polished.push('\n');
    }
    // Links that only rustdoc follows would stand in the header as noise.
    if let Some(line) = polished
        .lines()
        .find(|l| l.contains("[`") || l.contains("crate::"))
    {
        return Err(format!("a link of Rust's documentation in the C header: {line}").into());
    }
    Ok(polished)
}

/// The first line in which two texts differ: its number and both contents.
fn first_difference<'a>(old: &'a str, new: &'a str) -> Option<(usize, &'a str, &'a str)> {
    let (mut a, mut b) = (old.split('\n'), new.split('\n'));
    for number in 1.. {
        match (a.next(), b.next()) {
            (None, None) => return None,
            (x, y) if x == y => {}
            (x, y) => {
                let end = "(end of file)";
                return Some((number, x.unwrap_or(end), y.unwrap_or(end)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some((2, "b", "c")));
        assert_eq!(
            first_difference("a", "a\nb"),
            Some((2, "(end of file)", "b"))
        );
    }

    #[test]
    fn callbacks_lose_their_option() {
        let rust = "a: Option<OmmaTask>,\n b: Option<Vec<u8>>, c: Option<OmmaX>";
        assert_eq!(
            without_option(rust),
            "a: OmmaTask,\n b: Option<Vec<u8>>, c: OmmaX"
        );
    }

    #[test]
    fn documentation_is_put_in_the_words_of_c() {
        let text = polish(" * Does.\n *\n * # Safety\n * `p` is valid. \n").unwrap();
        assert_eq!(
            text,
            " * Does.\n *\n * The caller ensures:\n * `p` is valid.\n"
        );
        assert_eq!(
            polish("    /**\n     * Size.\n     */\n").unwrap(),
            "    /** Size. */\n"
        );
        assert!(polish(" * see [`View`]\n").is_err());
    }
}
