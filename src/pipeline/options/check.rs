//! Range checks on option values.

use super::{Each, Guidance, Layer, Options, OptionsError, Source, TravelOptions, WanOptions, pick};
use crate::pipeline::plan::{PlanError, check_ranges};

pub(super) fn ranges(layers: &[Layer]) -> Result<(), OptionsError> {
    for Layer { from, values } in layers {
        if let Some((option, found, wanted)) = wrong(values) {
            return Err(OptionsError::Range { option, found, wanted, from: from.clone() });
        }
    }
    Ok(())
}

/// What a range has no use for. Gap and mode count where somebody typed them: tasks and films say them always.
pub(super) fn beside_ranges(layers: &[Layer]) -> Result<(), OptionsError> {
    let decided =
        |says: fn(&Options) -> Option<bool>| pick(layers, says).filter(|said| said.value).map(|said| said.from);
    let typed = |says: fn(&Options) -> bool| {
        layers.iter().find(|layer| layer.from == Source::Flag && says(&layer.values)).map(|layer| layer.from.clone())
    };
    let found = [
        ("loop", decided(|values| values.common.looped)),
        ("anchors", decided(|values| values.join.anchors)),
        ("gap", typed(|values| values.join.gap.is_some())),
        ("mode", typed(|values| values.join.mode.is_some())),
    ];
    match found.into_iter().find_map(|(option, from)| Some((option, from?))) {
        Some((option, from)) => Err(OptionsError::BesideRange { option, from }),
        None => Ok(()),
    }
}

impl Options {
    /// Refuses a number of clips that the options of a join cannot be about, before any clip is opened; of none there is a
    /// task.
    pub fn check_clip_count(&self, clips: usize) -> Result<(), PlanError> {
        let ranges = self.join.ranges.as_deref().unwrap_or_default();
        match (clips, ranges.is_empty()) {
            (1, true) if self.common.looped != Some(true) => Err(PlanError::TooFewClips { found: 1 }),
            (found @ 2.., false) => Err(PlanError::RangeOfClips { found }),
            _ => check_ranges(&ranges.iter().map(|range| range.0.clone()).collect::<Vec<_>>()),
        }
    }
}

/// The first that is wrong: which, what it is, and what it can be.
fn wrong(values: &Options) -> Option<(&'static str, String, &'static str)> {
    let WanOptions { steps, phases, guidance, thresholds, shift, control_scale, .. } = &values.wan;
    let outside = |value: f64, least: f64, most: f64| !(least..=most).contains(&value);
    if let Some(steps) = steps.filter(|steps| !(1..=1000).contains(steps)) {
        return Some(("steps", steps.to_string(), "1 to 1000"));
    }
    if let Some(phases) = phases {
        if phases.is_empty() || phases.iter().any(|phase| !(1..=1000).contains(&phase.steps)) {
            let steps: Vec<String> = phases.iter().map(|phase| phase.steps.to_string()).collect();
            return Some((
                "phases",
                format!("phases of {} steps", steps.join(" + ")),
                "phases of 1 to 1000 steps each",
            ));
        }
        if let Some(phase) = phases.iter().find(|phase| outside(phase.guidance, 0.0, 100.0)) {
            return Some(("phases", format!("a guidance of {}", phase.guidance), "a guidance from 0 to 100"));
        }
    }
    let scales: Vec<f64> = match guidance {
        None => vec![],
        Some(Guidance::All(scale)) => vec![*scale],
        Some(Guidance::Each(scales)) => scales.clone(),
        Some(Guidance::Some(scales)) => scales.iter().flatten().copied().collect(),
    };
    if let Some(scale) = scales.iter().find(|scale| outside(**scale, 0.0, 100.0)) {
        return Some(("guidance", scale.to_string(), "0 to 100"));
    }
    if let Some(thresholds) = thresholds {
        let falls = thresholds.is_sorted_by(|a, b| a > b);
        if !falls || thresholds.iter().any(|threshold| outside(*threshold, 0.0, 1000.0)) {
            return Some(("thresholds", format!("{thresholds:?}"), "timesteps from 1000 to 0 that fall"));
        }
    }
    if let Some(shift) = shift.filter(|shift| outside(*shift, 0.01, 100.0)) {
        return Some(("shift", shift.to_string(), "0.01 to 100"));
    }
    if let Some(scale) = control_scale.filter(|scale| outside(*scale, 0.0, 10.0)) {
        return Some(("control_scale", scale.to_string(), "0 to 10"));
    }
    let TravelOptions { strength, desaturate, brightness, later, frames, overlap, segment_count, .. } = &values.travel;
    let brighter = later.map(|later| later.brightness);
    for (option, value, least, most, wanted) in [
        ("strength", *strength, 0.0, 1.0, "0 to 1"),
        ("desaturate", *desaturate, 0.0, 1.0, "0 to 1"),
        ("brightness", *brightness, -1.0, 1.0, "-1 to 1"),
        ("later brightness", brighter, -1.0, 1.0, "-1 to 1"),
        ("later saturation", later.map(|later| later.saturation), 0.0, 3.0, "0 to 3"),
    ] {
        if let Some(value) = value.filter(|value| outside(*value, least, most)) {
            return Some((option, value.to_string(), wanted));
        }
    }
    for (option, each) in [("frames", frames), ("overlap", overlap)] {
        let most = match each {
            None => continue,
            Some(Each::All(value)) => Some(*value),
            Some(Each::Each(values)) => values.iter().max().copied(),
        };
        if let Some(most) = most.filter(|most| *most > 100_000) {
            return Some((option, most.to_string(), "at most 100000"));
        }
    }
    if let Some(segments) = segment_count.filter(|segments| !(1..=1000).contains(segments)) {
        return Some(("segments", segments.to_string(), "1 to 1000"));
    }
    values.join.blend.filter(|blend| *blend > 65_535).map(|blend| ("blend", blend.to_string(), "0 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{
        options::{Content, EngineChoice, Facts, resolve},
        types::error::{ErrorCode, Reportable},
    };

    #[test]
    fn what_a_range_has_no_use_for_is_refused_where_it_would_count() {
        let layer = |from: Source, text: &str| Layer { from, values: serde_json::from_str(text).unwrap() };
        let range = || layer(Source::Task("film.mp4".into()), r#"{"ranges": ["2..5"], "gap": 9, "mode": "replace"}"#);
        let of = |layers: &[Layer]| {
            resolve(layers, Facts::of(Content::Clips(1), EngineChoice::Rife)).map(|resolved| resolved.parts.count)
        };
        assert_eq!(of(&[range()]).unwrap(), 1);
        assert_eq!(of(&[range(), layer(Source::Flag, r#"{"looped": false, "anchors": false}"#)]).unwrap(), 1);
        for (text, option) in [
            (r#"{"gap": 9}"#, "gap"),
            (r#"{"mode": "insert"}"#, "mode"),
            (r#"{"looped": true}"#, "loop"),
            (r#"{"anchors": true}"#, "anchors"),
        ] {
            let error = of(&[range(), layer(Source::Flag, text)]).unwrap_err();
            assert_eq!(
                (error.code(), error.to_string()),
                (ErrorCode::Usage, format!("{option} does not go with a range"))
            );
            assert!(of(&[layer(Source::Flag, text)]).is_ok());
        }
        let error = of(&[range(), layer(Source::Task("t.json".into()), r#"{"anchors": true}"#)]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Input);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_by_where_they_came_from() {
        for (text, words) in [
            (r#"{"steps": 0}"#, "steps is 0"),
            (r#"{"steps": 1001}"#, "steps is 1001"),
            (r#"{"phases": []}"#, "phases is phases of  steps"),
            (r#"{"phases": [{"steps": 0, "expert": "high", "guidance": 1}]}"#, "phases of 0 steps"),
            (r#"{"phases": [{"steps": 1, "expert": "high", "guidance": -1}]}"#, "a guidance of -1"),
            (r#"{"guidance": {"all": 101}}"#, "guidance is 101"),
            (r#"{"guidance": {"each": [1, -1]}}"#, "guidance is -1"),
            (r#"{"guidance": {"some": [null, 200]}}"#, "guidance is 200"),
            (r#"{"thresholds": [500, 800]}"#, "thresholds is [500.0, 800.0]"),
            (r#"{"thresholds": [1001]}"#, "thresholds is [1001.0]"),
            (r#"{"shift": 0}"#, "shift is 0"),
            (r#"{"control_scale": -1}"#, "control_scale is -1"),
            (r#"{"blend": 65536}"#, "blend is 65536"),
        ] {
            let layer = |from| Layer { from, values: serde_json::from_str(text).unwrap() };
            let error = ranges(&[layer(Source::Preset("mine".into()))]).unwrap_err();
            assert!(error.to_string().contains(words) && error.to_string().contains("preset mine"), "{error}");
            assert_eq!(error.code(), ErrorCode::Input);
            assert_eq!(ranges(&[layer(Source::Flag)]).unwrap_err().code(), ErrorCode::Usage);
        }
        let fine = r#"{"steps": 1, "guidance": {"all": 0}, "thresholds": [1000, 0], "shift": 0.01, "blend": 0}"#;
        let layer = Layer { from: Source::Flag, values: serde_json::from_str(fine).unwrap() };
        assert!(ranges(&[layer]).is_ok());
    }
}
