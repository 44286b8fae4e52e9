//! Environment variables that wanctl reads. `--help`, the man page and docs/environment.md are made from this list.

use std::{env, ffi::OsString};

/// An environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    pub name: &'static str,
    /// One line for help and documentation.
    pub about: &'static str,
}

impl Variable {
    /// Its value; an empty one is the same as none.
    #[expect(clippy::disallowed_methods, reason = "here all of them are read")]
    pub fn get(&self) -> Option<OsString> {
        env::var_os(self.name).filter(|value| !value.is_empty())
    }
}

pub const MODELS: Variable = Variable {
    name: "WANCTL_MODELS",
    about: "Folders searched for weights and LoRAs, separated as in PATH; after --models, before those of other tools",
};
pub const WORK_DIR: Variable =
    Variable { name: "WANCTL_WORK_DIR", about: "Where run folders go, as --work-dir; else the user's cache folder" };
pub const FFMPEG: Variable = Variable { name: "WANCTL_FFMPEG", about: "The ffmpeg to use instead of the one in PATH" };
pub const FFPROBE: Variable =
    Variable { name: "WANCTL_FFPROBE", about: "The ffprobe to use instead of the one in PATH" };
pub const ENGINE: Variable =
    Variable { name: "WANCTL_ENGINE", about: "The engine program to use instead of the wanctl-engine beside wanctl" };
pub const HOST_MEMORY: Variable = Variable {
    name: "WANCTL_HOST_MEMORY",
    about: "How much memory the host has, such as 64GB, where the system reports another number",
};
pub const ATTENTION: Variable = Variable {
    name: "WANCTL_ATTENTION",
    about: "The attention kernel to try first: flash, cudnn, efficient or plain; for measurements",
};
pub const HF_HUB_CACHE: Variable = Variable {
    name: "HF_HUB_CACHE",
    about: "The Hugging Face cache, searched for weights; else HUGGINGFACE_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub",
};
pub const HUGGINGFACE_HUB_CACHE: Variable =
    Variable { name: "HUGGINGFACE_HUB_CACHE", about: "The same, as older versions of huggingface_hub name it" };
pub const HF_HOME: Variable =
    Variable { name: "HF_HOME", about: "The folder of Hugging Face's tools; its cache is hub in it" };
pub const NO_COLOR: Variable = Variable { name: "NO_COLOR", about: "Set to anything: no colours in log lines" };
pub const RUST_LOG: Variable =
    Variable { name: "RUST_LOG", about: "Filter of the log lines on stderr, over -v and -q, such as wanctl=debug" };

/// All of them, in the order in which help and documentation list them.
pub const ALL: &[Variable] = &[
    MODELS,
    WORK_DIR,
    FFMPEG,
    FFPROBE,
    ENGINE,
    HOST_MEMORY,
    ATTENTION,
    HF_HUB_CACHE,
    HUGGINGFACE_HUB_CACHE,
    HF_HOME,
    NO_COLOR,
    RUST_LOG,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_variables_is_made_from_the_list() {
        let rows: String = ALL.iter().map(|Variable { name, about }| format!("| `{name}` | {about} |\n")).collect();
        let page = include_str!("../../../docs/environment.md");
        assert!(
            page.ends_with(&format!("| variable | meaning |\n|---|---|\n{rows}")),
            "docs/environment.md should end with\n{rows}"
        );
    }
}
