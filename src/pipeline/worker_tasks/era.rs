//! Versions of the hosted worker: its defaults and the contents of its presets changed with them.

use clap::ValueEnum;
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

use crate::pipeline::options::{Layer, Preset};

/// Which version of the hosted worker a task was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Era {
    /// Tasks until 2025-11-28
    Oct25,
    /// Tasks until 2026-01
    V1,
    /// Tasks from 2026-02 on
    V2,
}

impl Era {
    /// That of a task by the day on which it was made.
    pub(super) fn of_day(day: Date) -> Self {
        match day {
            day if day < date(2025, 11, 28) => Self::Oct25,
            day if day < date(2026, 2, 1) => Self::V1,
            _ => Self::V2,
        }
    }
}

/// Presets whose LoRAs the worker dropped after 2025-11-28.
const LOST_THEIR_LORAS: [&str; 4] =
    ["wan22-vace-lightning", "wan22-vace-lightning-3-3", "wan22-i2v-lightning-2-2-2", "wan22-i2v-lightning-3-3"];

/// Whether a preset was another one in some version.
pub fn changed_between_eras(preset: &Preset) -> bool {
    preset.path.is_none() && LOST_THEIR_LORAS.contains(&&*preset.name)
}

/// A preset as it was then; without an era as it is.
pub fn preset_of_era(preset: &Preset, era: Option<Era>) -> Layer {
    let mut layer = preset.layer();
    if changed_between_eras(preset) && matches!(era, Some(Era::V1 | Era::V2)) {
        layer.values.wan.loras = Some(vec![]);
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_has_the_loras_that_the_workers_preset_had_then() {
        for name in LOST_THEIR_LORAS {
            let preset = Preset::find(name).unwrap();
            let loras = |era| preset_of_era(&preset, era).values.wan.loras.unwrap();
            assert_eq!(loras(None), loras(Some(Era::Oct25)));
            assert_eq!(loras(None).len(), 2, "{name}");
            assert_eq!((loras(Some(Era::V1)), loras(Some(Era::V2))), (vec![], vec![]));
        }
        assert!(!changed_between_eras(&Preset::find("wan22-vace-fun").unwrap()));
    }
}
