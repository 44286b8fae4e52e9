//! Tells the loader where the engine program finds libtorch, and compiles what the engine adds to it in C++; `wanctl`
//! itself is linked without either.

#![allow(clippy::disallowed_methods, reason = "cargo tells a build script by variables")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // torch-sys says where it found libtorch; without the feature `torch` there is no such word.
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else { return };
    for place in ["$ORIGIN/../lib", &lib.to_string_lossy()] {
        println!("cargo:rustc-link-arg-bin=wanctl-engine=-Wl,-rpath,{place}");
    }
    #[cfg(feature = "torch")]
    shim(std::path::Path::new(&lib));
}

/// Linked by those who name it: the engine program, and the example that is measured.
#[cfg(feature = "torch")]
fn shim(lib: &std::path::Path) {
    const SOURCE: &str = "src/engine/torch/shim.cpp";
    println!("cargo:rerun-if-changed={SOURCE}");
    let include = lib.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file(SOURCE)
        .include(&include)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // libtorch's own headers have many.
        .warnings(false)
        .flag_if_supported("-Wno-unused-parameter")
        // Who links is named in the source.
        .cargo_metadata(false)
        .compile("wanctl_shim");
    let out = std::env::var("OUT_DIR").expect("cargo names it");
    println!("cargo:rustc-link-search=native={out}");
}
