//! CUDA: loaded by name, started with a first piece of work, and asked through NVIDIA's driver for what tch does not tell.
//!
//! The engine is linked without libtorch's CUDA part, so that one program serves every machine.

use std::{
    ffi::{CStr, c_char, c_int, c_uint},
    sync::OnceLock,
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use tch::{Kind, Tensor};

use super::{TorchError, stage};

/// Loads libtorch's CUDA part.
///
/// libtorch remembers its first answer about CUDA, so this comes before the first question. It costs a second
/// or two: call it only where a CUDA device is wanted. The error is the loader's own and names what is missing.
fn load() -> Result<(), String> {
    static LOADED: OnceLock<Result<Library, String>> = OnceLock::new();
    // SAFETY: libtorch's initialisers are made to run at any time, and the static keeps the library loaded for good.
    let load = || unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }.map_err(loader_message);
    LOADED.get_or_init(load).as_ref().map(drop).map_err(Clone::clone)
}

/// How many CUDA devices libtorch can use, at least one.
pub(super) fn count() -> Result<usize, String> {
    load()?;
    let count = stage("counting CUDA devices", tch::Cuda::device_count).map_err(|error| error.to_string())?;
    match usize::try_from(count) {
        Ok(count @ 1..) => Ok(count),
        _ => Err(why_none()),
    }
}

/// Why libtorch, which only counts, finds no device.
fn why_none() -> String {
    let driver = match Driver::open() {
        Ok(driver) => driver,
        Err(error) => return error.to_string(),
    };
    match (driver.version(), runtime_version()) {
        // Minor versions work with each other, major ones only with an older libtorch.
        (Some(driver), Some(runtime)) if driver.0 < runtime.0 => format!(
            "the NVIDIA driver is for CUDA {}.{}, and this libtorch needs CUDA {}.{}: update the driver",
            driver.0, driver.1, runtime.0, runtime.1
        ),
        _ => "the NVIDIA driver shows no device that libtorch can use".into(),
    }
}

/// Lets a CUDA device do a first piece of work: where its driver does not suit this libtorch, where libtorch has no
/// kernels for it, or where another program has it to itself, that shows here and not in the middle of a job.
pub(crate) fn start(index: usize) -> Result<(), String> {
    let count = count()?;
    if index >= count {
        let devices = if count == 1 { "device" } else { "devices" };
        return Err(format!("there is no cuda:{index}: {count} CUDA {devices} found, counted from cuda:0"));
    }
    let work = || (Tensor::ones([1], (Kind::Float, tch::Device::Cuda(index))) + 1.0).double_value(&[0]);
    stage("starting CUDA", work).map(drop).map_err(|error| match error {
        TorchError::Failed { message, .. } => message,
        error => error.to_string(),
    })
}

/// Whether the NVIDIA driver shows a GPU, or a driver is there that fails.
pub(crate) fn has_gpu() -> bool {
    match Driver::open() {
        Ok(driver) => driver.count().is_ok_and(|count| count > 0),
        Err(DriverError::Missing(_) | DriverError::NoDevice) => false,
        Err(DriverError::Failed { .. }) => true,
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DriverError {
    #[error("no NVIDIA driver: {0}")]
    Missing(String),
    #[error("the NVIDIA driver shows no device (CUDA_ERROR_NO_DEVICE)")]
    NoDevice,
    #[error("the NVIDIA driver's {call} failed with code {code}")]
    Failed { call: &'static str, code: c_int },
}

/// NVIDIA's driver. None of the calls makes a context, so none takes memory of a device.
pub(super) struct Driver(Library);

impl Driver {
    pub(super) fn open() -> Result<Self, DriverError> {
        // SAFETY: the driver's initialisers are made to run at any time.
        let library = unsafe { Library::new("libcuda.so.1") };
        let driver = Self(library.map_err(|error| DriverError::Missing(loader_message(error)))?);
        // SAFETY: cuInit(flags), cuda.h.
        let code = unsafe { driver.symbol::<unsafe extern "C" fn(c_uint) -> c_int>(b"cuInit\0")?(0) };
        check("cuInit", code)?;
        Ok(driver)
    }

    fn count(&self) -> Result<c_int, DriverError> {
        let mut count = 0;
        // SAFETY: cuDeviceGetCount(count), cuda.h.
        let code =
            unsafe { self.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDeviceGetCount\0")?(&mut count) };
        check("cuDeviceGetCount", code)?;
        Ok(count)
    }

    /// The newest CUDA that it serves, such as (13, 0).
    fn version(&self) -> Option<(c_int, c_int)> {
        // SAFETY: cuDriverGetVersion(version), cuda.h.
        let get = unsafe { self.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDriverGetVersion\0") };
        version(&get.ok()?)
    }

    /// The name and the memory in bytes of the device that libtorch calls `cuda:index`.
    pub(super) fn describe(&self, index: usize) -> Result<(String, u64), DriverError> {
        let (device, mut bytes, mut name) = (self.device(index)?, 0_usize, [0 as c_char; 256]);
        // SAFETY: signatures as in cuda.h; CUdevice is an int, and cuDeviceGetName ends what it writes with a zero.
        unsafe {
            let total: Symbol<unsafe extern "C" fn(*mut usize, c_int) -> c_int> =
                self.symbol(b"cuDeviceTotalMem_v2\0")?;
            check("cuDeviceTotalMem", total(&mut bytes, device))?;
            let get_name: Symbol<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> =
                self.symbol(b"cuDeviceGetName\0")?;
            check("cuDeviceGetName", get_name(name.as_mut_ptr(), name.len() as c_int - 1, device))?;
            Ok((CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned(), bytes as u64))
        }
    }

    /// The compute capability, such as (8, 9).
    pub(super) fn capability(&self, index: usize) -> Result<(c_int, c_int), DriverError> {
        const MAJOR: c_int = 75;
        const MINOR: c_int = 76;
        let (device, mut major, mut minor) = (self.device(index)?, 0 as c_int, 0 as c_int);
        // SAFETY: signature and the numbers of the attributes as in cuda.h.
        unsafe {
            let get: Symbol<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int> =
                self.symbol(b"cuDeviceGetAttribute\0")?;
            check("cuDeviceGetAttribute", get(&mut major, MAJOR, device))?;
            check("cuDeviceGetAttribute", get(&mut minor, MINOR, device))?;
        }
        Ok((major, minor))
    }

    fn device(&self, index: usize) -> Result<c_int, DriverError> {
        let mut device = 0 as c_int;
        // SAFETY: cuDeviceGet(device, ordinal), cuda.h.
        let code = unsafe {
            let get: Symbol<unsafe extern "C" fn(*mut c_int, c_int) -> c_int> = self.symbol(b"cuDeviceGet\0")?;
            get(&mut device, index as c_int)
        };
        check("cuDeviceGet", code)?;
        Ok(device)
    }

    /// # Safety
    /// `T` is the function's type as cuda.h declares it.
    unsafe fn symbol<T>(&self, name: &[u8]) -> Result<Symbol<T>, DriverError> {
        // SAFETY: promised by the caller.
        unsafe { self.0.get(name) }.map_err(|error| DriverError::Missing(loader_message(error)))
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), DriverError> {
    match code {
        0 => Ok(()),
        100 => Err(DriverError::NoDevice),
        code => Err(DriverError::Failed { call, code }),
    }
}

/// The CUDA that the loaded libtorch was built with, such as (13, 0).
fn runtime_version() -> Option<(c_int, c_int)> {
    // SAFETY: cudaRuntimeGetVersion(version), cuda_runtime_api.h; libtorch's CUDA part keeps its library loaded.
    let get = unsafe { Library::this().get(b"cudaRuntimeGetVersion\0") };
    version(&get.ok()?)
}

fn version(get: &Symbol<unsafe extern "C" fn(*mut c_int) -> c_int>) -> Option<(c_int, c_int)> {
    let mut version = 0;
    // SAFETY: a function that writes one number, 1000 * major + 10 * minor.
    let code = unsafe { get(&mut version) };
    (code == 0).then_some((version / 1000, version % 1000 / 10))
}

/// What `dlerror` reports: it names the file that is missing.
fn loader_message(error: libloading::Error) -> String {
    match std::error::Error::source(&error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}
