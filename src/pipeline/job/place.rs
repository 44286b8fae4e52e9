//! Where a start of the engine works: no part of what it is asked, since every place makes the same of a request.

use std::{ffi::OsString, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    Auto,
    Cpu,
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") if text == "auto" => Ok(Self::Auto),
            ("cpu", "0") if text == "cpu" => Ok(Self::Cpu),
            ("cuda", index) => index.parse().ok().filter(|index| *index < 64).map(Self::Cuda).ok_or(()),
            _ => Err(()),
        }
        .map_err(|()| format!("`{text}` is no device, wanted auto, cpu, cuda, cuda:N or several as cuda:N,N"))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecTarget {
    pub device: Device,
    /// None: one for every core.
    pub threads: Option<usize>,
    /// Engines that work at once on this machine, this one among them: its memory is all theirs.
    pub share: usize,
}

impl Default for ExecTarget {
    fn default() -> Self {
        Self { device: Device::Auto, threads: None, share: 1 }
    }
}

impl ExecTarget {
    /// As the engine program takes it, before the folders.
    pub fn words(&self) -> Vec<String> {
        let Self { device, threads, share } = self;
        let mut words = vec!["--device".to_owned(), device.to_string()];
        if let Some(threads) = threads {
            words.extend(["--threads".to_owned(), threads.to_string()]);
        }
        if *share > 1 {
            words.extend(["--share".to_owned(), share.to_string()]);
        }
        words
    }

    /// What the first words say of it, and the words behind them.
    pub fn parse(mut words: &[OsString]) -> Result<(Self, &[OsString]), String> {
        let mut place = Self::default();
        while let [option, value, rest @ ..] = words {
            let value = value.to_str().unwrap_or_default();
            let number = || value.parse().ok().filter(|number| *number > 0);
            let wanted = || format!("`{value}` is no number, wanted one above 0");
            match option.to_str() {
                Some("--device") => place.device = value.parse()?,
                Some("--threads") => place.threads = Some(number().ok_or_else(wanted)?),
                Some("--share") => place.share = number().ok_or_else(wanted)?,
                _ => break,
            }
            words = rest;
        }
        Ok((place, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_said() {
        for device in [Device::Auto, Device::Cpu, Device::Cuda(0), Device::Cuda(7)] {
            for threads in [None, Some(1), Some(16)] {
                for share in [1, 4] {
                    let place = ExecTarget { device, threads, share };
                    let words: Vec<OsString> =
                        place.words().into_iter().chain(["seam_00".into()]).map(Into::into).collect();
                    assert_eq!(ExecTarget::parse(&words), Ok((place, &words[words.len() - 1..])));
                }
            }
        }
    }

    #[test]
    fn what_is_no_place_is_said() {
        for words in [["--device", "gpu"], ["--threads", "0"], ["--threads", "x"], ["--share", "-1"]] {
            assert!(ExecTarget::parse(&words.map(Into::into)).is_err(), "{words:?}");
        }
        let folder = ["--devices".into()];
        assert_eq!(ExecTarget::parse(&folder), Ok((ExecTarget::default(), &folder[..])));
    }
}
