//! Tells the loader where the programs that are linked with libtorch find it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // torch-sys says where it found libtorch; without the feature `torch` there is no such word.
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else { return };
    // For every target, since cargo has no narrower word for unit tests. `wanctl` needs no libtorch all the same.
    for place in ["$ORIGIN/../lib", &lib.to_string_lossy()] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{place}");
    }
}
