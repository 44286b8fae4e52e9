//! `wanctl` starts anywhere and in milliseconds, since it is linked without libtorch.

use std::fs;

use goblin::elf::Elf;

#[test]
fn wanctl_needs_no_library_of_torch_or_cuda() {
    let program = fs::read(env!("CARGO_BIN_EXE_wanctl")).unwrap();
    let needed = Elf::parse(&program).unwrap().libraries;
    assert!(needed.iter().any(|library| library.starts_with("libc.")), "the dynamic section was not read: {needed:?}");

    let foreign = ["torch", "c10", "cuda", "cudart", "cupti", "gomp", "stdc++"];
    let found: Vec<_> = needed.iter().filter(|library| foreign.iter().any(|name| library.contains(name))).collect();
    assert!(found.is_empty(), "wanctl needs {found:?}: something in it reaches into src/engine");
}

#[test]
#[cfg(feature = "torch")]
fn the_engine_needs_the_cpus_half_of_libtorch_only() {
    let program = fs::read(env!("CARGO_BIN_EXE_wanctl-engine")).unwrap();
    let needed = Elf::parse(&program).unwrap().libraries;
    assert!(needed.contains(&"libtorch_cpu.so"), "{needed:?}");
    assert!(!needed.iter().any(|library| library.contains("cuda")), "CUDA is loaded by name, never needed: {needed:?}");
}
