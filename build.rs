//! Names the shared library: programs linked to it ask for `libomma.so.<major>` at run time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let named = std::env::var_os("CARGO_FEATURE_SONAME").is_some();
    if os == "linux" && named {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libomma.so.{major}");
    }
}
