//! How the engine works: on which devices, with how many threads, how many at once.

use std::{fmt, str::FromStr, thread};

use serde::{Deserialize, Serialize};

use super::{ExecOptions, OptionsError};
use crate::pipeline::job::{Device, ExecTarget};

/// How the engine does its work. It is no part of what is asked: a run can be gone on with elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    pub device: Devices,
    /// Of each engine. None: one for every core, shared among those that work at once.
    pub threads: Option<usize>,
    /// Engines that work at once on the CPU.
    #[serde(default = "one")]
    pub jobs: usize,
}

fn one() -> usize {
    1
}

impl EngineSettings {
    /// What was asked, over those of a run that is done again.
    pub fn new(ask: ExecOptions, again: Option<Self>) -> Result<Self, OptionsError> {
        let ExecOptions { device, threads, jobs } = ask;
        let built_in = Self { device: Devices::default(), threads: None, jobs: 1 };
        let again = again.unwrap_or(built_in);
        // A device and a number of jobs are one answer to one question.
        let (device, jobs) = match (device, jobs) {
            (None, None) => (again.device, again.jobs),
            (None, Some(jobs)) if jobs > 1 && !again.device.is_cpu() => (Devices::default(), jobs),
            (None, Some(jobs)) => (again.device, jobs),
            (Some(device), jobs) => (device, jobs.unwrap_or(1)),
        };
        if jobs > 1 && !device.is_cpu() {
            return Err(OptionsError::Jobs { jobs, device: device.to_string() });
        }
        Ok(Self { device, threads: threads.or(again.threads), jobs })
    }

    /// Where engines work at once, one at each; no more of them than there is work for.
    pub fn places(&self, work: usize) -> Vec<ExecTarget> {
        let Self { device, threads, jobs } = self;
        let several = (*jobs).min(work).max(1);
        if several == 1 {
            let devices = &device.0[..device.0.len().min(work.max(1))];
            let place = |device: &Device| ExecTarget { device: *device, threads: *threads, share: devices.len() };
            return devices.iter().map(place).collect();
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or((cores / several).max(1));
        vec![ExecTarget { device: Device::Cpu, threads: Some(threads), share: several }; several]
    }
}

/// One device, or several GPUs that work at once: `cuda:0,1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Devices(Vec<Device>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    One(Device),
    Several(Vec<Device>),
}

impl From<Written> for Devices {
    fn from(written: Written) -> Self {
        match written {
            Written::One(device) => Self(vec![device]),
            Written::Several(devices) => Self(devices),
        }
    }
}

impl From<Devices> for Written {
    fn from(devices: Devices) -> Self {
        match devices.0[..] {
            [device] => Self::One(device),
            _ => Self::Several(devices.0),
        }
    }
}

impl Default for Devices {
    fn default() -> Self {
        Self(vec![Device::Auto])
    }
}

impl Devices {
    /// What has to hold a model if any of them is to.
    pub fn first(&self) -> Device {
        self.0[0]
    }

    /// Whether all work is the CPU's, or may be.
    fn is_cpu(&self) -> bool {
        matches!(self.0[..], [Device::Auto | Device::Cpu])
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0[0])?;
        self.0[1..].iter().try_for_each(|device| match device {
            Device::Cuda(index) => write!(f, ",{index}"),
            device => write!(f, ",{device}"),
        })
    }
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        let first: Device = words.next().unwrap_or_default().parse()?;
        let mut devices = vec![first];
        for word in words {
            let index = word.parse().ok().filter(|index| *index < 64);
            let (Device::Cuda(_), Some(index)) = (first, index) else {
                return Err(format!("`{text}` is no list of devices: only GPUs work together, as in cuda:0,1"));
            };
            let device = Device::Cuda(index);
            if devices.contains(&device) {
                return Err(format!("`{text}` names {device} twice"));
            }
            devices.push(device);
        }
        Ok(Self(devices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(device: Option<&str>, threads: Option<usize>, jobs: Option<usize>) -> ExecOptions {
        ExecOptions { device: device.map(|device| device.parse().unwrap()), threads, jobs }
    }

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3", "cuda:0,1", "cuda:2,0,5"] {
            let devices: Devices = text.parse().unwrap();
            assert_eq!(devices.to_string(), text);
            let stored = serde_json::to_value(&devices).unwrap();
            assert_eq!(serde_json::from_value::<Devices>(stored).unwrap(), devices);
        }
        // As runs recorded it that knew of one device only.
        assert_eq!(serde_json::from_str::<Devices>(r#"{"cuda": 1}"#).unwrap(), "cuda:1".parse().unwrap());
        assert_eq!(serde_json::from_str::<Devices>(r#""auto""#).unwrap(), Devices::default());
    }

    #[test]
    fn lists_that_name_a_device_twice_or_another_than_a_gpu_are_refused() {
        for (text, words) in [
            ("cuda:0,0", "names cuda:0 twice"),
            ("cuda:1,2,1", "names cuda:1 twice"),
            ("cpu,cuda:0", "only GPUs work together"),
            ("cpu,cpu", "only GPUs work together"),
            ("cuda:0,cpu", "only GPUs work together"),
            ("auto,1", "only GPUs work together"),
            ("cuda:0,", "only GPUs work together"),
            ("cuda:0,99", "only GPUs work together"),
            ("gpu", "is no device"),
            (",", "is no device"),
        ] {
            let problem = text.parse::<Devices>().unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn there_is_an_engine_at_each_device_or_job_and_no_more_than_work() {
        let places = |device, jobs, work| EngineSettings::new(asked(device, Some(3), jobs), None).unwrap().places(work);
        let place = |device, share| ExecTarget { device, threads: Some(3), share };
        assert_eq!(places(None, None, 5), [place(Device::Auto, 1)]);
        assert_eq!(places(Some("cuda:0,1"), None, 5), [place(Device::Cuda(0), 2), place(Device::Cuda(1), 2)]);
        assert_eq!(places(Some("cuda:0,1"), None, 1), [place(Device::Cuda(0), 1)]);
        assert_eq!(places(None, Some(3), 5), [place(Device::Cpu, 3); 3]);
        assert_eq!(places(Some("cpu"), Some(3), 2), [place(Device::Cpu, 2); 2]);
        assert_eq!(places(Some("cpu"), Some(3), 0), [place(Device::Cpu, 1)]);
        let shared = EngineSettings::new(asked(None, None, Some(1000)), None).unwrap().places(1000);
        assert!(shared.iter().all(|place| place.threads == Some(1)));
    }

    #[test]
    fn jobs_are_of_the_cpu() {
        for device in ["cuda:0", "cuda:0,1"] {
            let error = EngineSettings::new(asked(Some(device), None, Some(2)), None).unwrap_err();
            assert!(error.to_string().contains(device), "{error}");
            assert!(EngineSettings::new(asked(Some(device), None, Some(1)), None).is_ok());
        }
    }

    #[test]
    fn what_is_typed_of_devices_and_jobs_takes_the_place_of_both() {
        let of = |ask, again| EngineSettings::new(ask, Some(again)).unwrap();
        let gpus =
            of(asked(Some("cuda:0,1"), Some(4), None), EngineSettings::new(ExecOptions::default(), None).unwrap());
        let jobs = of(asked(None, None, Some(3)), gpus.clone());
        assert_eq!((jobs.device.to_string(), jobs.jobs, jobs.threads), ("auto".into(), 3, Some(4)));
        assert_eq!(of(asked(Some("cuda:1"), None, None), jobs.clone()).jobs, 1);
        assert_eq!(of(ExecOptions::default(), gpus.clone()), gpus);
        assert_eq!(of(ExecOptions::default(), jobs.clone()), jobs);
    }
}
