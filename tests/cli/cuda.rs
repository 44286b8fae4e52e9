//! A GPU that cannot be used, by NVIDIA's driver alone (tests/fake_cuda/driver.c) beside a libtorch without CUDA. What needs
//! libtorch's CUDA part is in scripts/check_cuda.py.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::harness::Room;

/// A room in which the driver shows a GPU; none, and the tests are skipped, where libtorch has a CUDA part, which would take
/// the driver for a real one.
fn room() -> Option<Room> {
    // As cargo has it from .cargo/config.toml or the environment.
    if Path::new(env!("LIBTORCH")).join("lib/libtorch_cuda.so").exists() {
        return None;
    }
    let room = Room::new();
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_cuda/driver.c");
    let library = room.path("libcuda.so.1");
    let compiled =
        Command::new("cc").args(["-w", "-shared", "-fPIC", "-o"]).arg(&library).arg(driver).status().unwrap();
    assert!(compiled.success());
    let (folder, engine) = (room.path("."), env!("CARGO_BIN_EXE_wanctl-engine"));
    let engine = room.script("engine", &format!("LD_LIBRARY_PATH='{}' exec '{engine}' \"$@\"", folder.display()));
    for clip in ["a.mkv", "b.mkv"] {
        room.clip(clip, 12, "16", "64x48");
    }
    Some(room.with("WANCTL_ENGINE", engine))
}

const JOIN: &str = "join a.mkv b.mkv --engine rife --context 4 --gap 4 -o film.mp4 --json";

#[test]
fn a_gpu_that_cannot_be_used_leaves_the_work_to_the_cpu_with_one_line_that_says_why() {
    let Some(room) = room() else { return };
    let run = room.run(JOIN).good();
    let warnings: Vec<Value> = run.events().into_iter().filter(|event| event["type"] == "warning").collect();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let message = warning["message"].as_str().unwrap();
    assert!(message.starts_with("working on the CPU: CUDA cannot be used: libtorch_cuda.so"), "{message}");
}

#[test]
fn a_requested_gpu_that_cannot_be_used_is_an_error_with_its_cause() {
    let Some(room) = room() else { return };
    for device in ["cuda", "cuda:0"] {
        let error = room.run(&format!("{JOIN} --device {device}")).fails(9).event("error");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("CUDA cannot be used: libtorch_cuda.so"), "{message}");
        assert!(error["help"].as_str().unwrap().contains("--device cpu"), "{error}");
        assert!(!room.path("film.mp4").exists());
    }
}

#[test]
fn a_machine_without_a_gpu_works_on_the_cpu_without_a_word() {
    let Some(room) = room() else { return };
    fs::remove_file(room.path("libcuda.so.1")).unwrap();
    let run = room.run(JOIN).good();
    assert!(run.events().iter().all(|event| event["type"] != "warning"), "{:?}", run.events());
    // A driver without a GPU, as in containers.
    let Some(room) = self::room() else { return };
    let run = room.with("FAKE_CUDA_INIT", "100").run(JOIN).good();
    assert!(run.events().iter().all(|event| event["type"] != "warning"), "{:?}", run.events());
}

#[test]
fn a_size_of_the_hosts_memory_that_is_none_is_wrong_usage() {
    let room = super::wan::room().with("WANCTL_HOST_MEMORY", "plenty");
    let case = super::wan::case("frames9_one");
    let error = room.wanctl(&super::wan::words(&case, &super::wan::models(&case))).fails(2).event("error");
    assert_eq!(error["message"], "WANCTL_HOST_MEMORY is `plenty`, wanted a size such as 64GB or 32GiB");
}
