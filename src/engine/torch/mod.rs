//! The one door between wanctl and libtorch: its way of failing, its devices, its version.
#![allow(unsafe_code, reason = "CUDA is loaded by name, and libtorch is asked things that tch does not offer")]

pub(crate) mod cuda;
pub(crate) mod heap;
pub(crate) mod shim;

use std::{
    any::Any,
    cell::Cell,
    env, panic,
    panic::{AssertUnwindSafe, catch_unwind},
};

use libloading::os::unix::{Library, Symbol};
use serde::Serialize;
use wanctl::pipeline::job::memory;

use self::cuda::Driver;

#[derive(Debug, thiserror::Error)]
pub(crate) enum TorchError {
    #[error("out of memory during {stage}")]
    OutOfMemory { stage: &'static str },
    #[error("libtorch failed during {stage}: {message}")]
    Failed { stage: &'static str, message: String },
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` without gradients and turns a libtorch failure into an error.
///
/// tch's plain methods panic where libtorch throws. Models use them, since formulas then read as formulas;
/// only this function catches, so the rest of wanctl sees a `Result`.
pub(crate) fn stage<T>(stage: &'static str, work: impl FnOnce() -> T) -> Result<T, TorchError> {
    let outcome = tch::no_grad(|| {
        let outside = INSIDE.replace(true);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        INSIDE.set(outside);
        outcome
    });
    outcome.map_err(|panic| {
        let message = first_line(&panic_text(panic));
        match message.contains("out of memory") || message.contains("can't allocate memory") {
            true => TorchError::OutOfMemory { stage },
            false => TorchError::Failed { stage, message },
        }
    })
}

/// Sets what libtorch reads from the environment when CUDA starts. For the beginning of a program's `main`.
///
/// cublasLt gets 1 MiB of workspace unless told otherwise, and NVIDIA recommends 32 MiB for Hopper (cuBLAS 13.1,
/// `cublasSetWorkspace`). A value of the user's stays.
pub(crate) fn set_environment() {
    const WORKSPACE: &str = "CUBLASLT_WORKSPACE_SIZE";
    #[expect(clippy::disallowed_methods, reason = "it is cuBLAS's")]
    let said = env::var_os(WORKSPACE).is_some();
    if !said {
        // SAFETY: the program has one thread yet.
        unsafe { env::set_var(WORKSPACE, "32768") };
    }
}

/// Keeps the panics that [`stage`] turns into errors off stderr. For a program's `main`.
pub(crate) fn silence_stages() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !INSIDE.get() {
            before(info);
        }
    }));
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("unknown panic").into(),
    }
}

/// libtorch's own words: tch wraps them, debug-printed, as `... Torch("message\nC++ frames...")`.
fn first_line(panic: &str) -> String {
    match panic.split_once("Torch(\"") {
        Some((_, torch)) => torch.split("\\n").next().unwrap_or(torch).replace("\\\"", "\"").replace("\\'", "'"),
        None => panic.lines().next().unwrap_or(panic).to_owned(),
    }
}

/// One line of `wanctl-engine --devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "device")]
pub(crate) struct Device {
    /// As `--device` takes it: `cpu`, `cuda:0`; `cuda` where there is none.
    pub(crate) name: String,
    pub(crate) available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<i32>,
    /// All of its memory, used or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

impl Device {
    fn cpu() -> Self {
        let threads = Some(tch::get_num_threads());
        Self { name: "cpu".into(), available: true, model: None, threads, memory_bytes: memory::host(), why: None }
    }

    /// Available where it does a first piece of work.
    fn cuda(index: usize) -> Self {
        let (name, threads) = (format!("cuda:{index}"), None);
        let describe = || Driver::open().and_then(|driver| driver.describe(index)).map_err(|error| error.to_string());
        match cuda::start(index).and_then(|()| describe()) {
            Ok((model, bytes)) => {
                Self { name, available: true, model: Some(model), threads, memory_bytes: Some(bytes), why: None }
            }
            Err(why) => Self { name, available: false, model: None, threads, memory_bytes: None, why: Some(why) },
        }
    }

    fn no_cuda(why: String) -> Self {
        let name = "cuda".into();
        Self { name, available: false, model: None, threads: None, memory_bytes: None, why: Some(why) }
    }
}

/// What this machine has: always the CPU, then each CUDA device or why there is none.
pub(crate) fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    match cuda::count() {
        Ok(count) => devices.extend((0..count).map(Device::cuda)),
        Err(why) => devices.push(Device::no_cuda(why)),
    }
    devices
}

/// The version of the libtorch that is loaded, `2.11.0`; none where it does not say.
pub(crate) fn version() -> Option<String> {
    // SAFETY: declared so in torch/csrc/inductor/aoti_torch/c/shim.h (2.11.0); libtorch_cpu stays loaded.
    let number = unsafe {
        let ask: Symbol<unsafe extern "C" fn() -> u64> = Library::this().get(b"aoti_torch_abi_version\0").ok()?;
        ask()
    };
    let [major, minor, patch, ..] = number.to_be_bytes();
    Some(format!("{major}.{minor}.{patch}"))
}

/// As `--device` takes it.
pub(crate) fn name(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}

/// All of a device's memory in bytes, used or not; none where it does not say.
pub(crate) fn memory(device: tch::Device) -> Option<u64> {
    match device {
        tch::Device::Cuda(index) => {
            Driver::open().and_then(|driver| driver.describe(index)).ok().map(|(_, bytes)| bytes)
        }
        _ => memory::host(),
    }
}

/// Whether a device multiplies 8-bit floats: NVIDIA's from Ada on.
pub(crate) fn has_narrow_products(device: tch::Device) -> bool {
    let tch::Device::Cuda(index) = device else { return false };
    Driver::open().and_then(|driver| driver.capability(index)).is_ok_and(|capability| capability >= (8, 9))
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    fn zeros(rows: i64, columns: i64) -> Tensor {
        Tensor::zeros([rows, columns], (Kind::Float, tch::Device::Cpu))
    }

    #[test]
    fn a_shape_error_is_libtorchs_first_line() {
        silence_stages();
        let error = stage("denoising", || zeros(2, 3).matmul(&zeros(2, 3))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "libtorch failed during denoising: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"
        );
    }

    #[test]
    fn memory_that_cannot_be_had_is_told_from_other_failures() {
        silence_stages();
        let error = stage("vae decode", || zeros(1 << 40, 1 << 10)).unwrap_err();
        assert!(matches!(error, TorchError::OutOfMemory { stage: "vae decode" }), "{error}");
    }

    #[test]
    fn a_panic_of_our_own_keeps_its_words() {
        silence_stages();
        let error = stage("reading", || panic!("no such layer\nsecond line")).unwrap_err();
        assert_eq!(error.to_string(), "libtorch failed during reading: no such layer");
    }

    #[test]
    fn a_stage_tracks_no_gradients_and_leaves_them_as_they_were() {
        let weight = zeros(2, 2).set_requires_grad(true);
        assert!(!stage("inside", || (&weight * 2.0).requires_grad()).unwrap());
        assert!((&weight * 2.0).requires_grad());
    }

    #[test]
    fn libtorch_is_the_release_that_tch_is_made_for() {
        assert_eq!(version().as_deref(), Some("2.11.0"));
    }

    #[test]
    fn the_cpu_is_always_a_device_and_a_missing_cuda_says_why() {
        let devices = devices();
        assert_eq!(devices[0].name, "cpu");
        assert!(devices.iter().all(|device| device.available || device.why.is_some()), "{devices:?}");
        assert!(devices.len() > 1, "{devices:?}");
    }
}
