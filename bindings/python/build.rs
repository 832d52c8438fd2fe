//! Link arguments of the extension module.
//!
//! The functions of the C ABI would be exported from it by their names. In a process that has
//! another libomma, of another version perhaps, calls of one could then end up in the other. So the
//! module exports its entry alone.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,--exclude-libs,ALL");
    }
}
