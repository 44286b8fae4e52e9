//! Tells the loader where the engine program finds libtorch; `wanctl` itself is linked without it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // torch-sys says where it found libtorch; without the feature `torch` there is no such word.
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else { return };
    for place in ["$ORIGIN/../lib", &lib.to_string_lossy()] {
        println!("cargo:rustc-link-arg-bin=wanctl-engine=-Wl,-rpath,{place}");
    }
}
