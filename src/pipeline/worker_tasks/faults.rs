//! Faults of the hosted worker that a task's own JSON tells of: what it did with such a task, and what is done here.

use jiff::civil::date;
use serde::Serialize;

use super::{envelope::Row, era::Era, kind::Kind};
use crate::pipeline::options::{Options, Seed};

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KnownFault {
    pub name: &'static str,
    pub there: &'static str,
    pub here: &'static str,
}

/// Why the worker failed, told from the words it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub cause: &'static str,
    /// Whose fault it was.
    pub blame: Blame,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<KnownFault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    Worker,
    Task,
}

const fn known(name: &'static str, there: &'static str, here: &'static str) -> KnownFault {
    KnownFault { name, there, here }
}

#[rustfmt::skip]
const KNOWN: &[KnownFault] = &[
    known("ffmpeg-error-lost", "whatever stopped ffmpeg (a time limit, an odd size, no memory) came back as nothing, without its words",
        "the error holds ffmpeg's command and words; odd sizes are even for H.264 and whole with --lossless"),
    known("parent-error-overwritten", "the parent's error was overwritten by the name of the child that failed", "errors keep their causes"),
    known("engine-error-lost", "the generator printed its own errors and went on, so that an older film or nothing was taken for the result",
        "the engine's errors are errors, and a film is decoded and counted"),
    known("download-told-as-missing", "a download that failed was told as a missing file", "nothing is fetched; --map and --assets say where files lie"),
    known("preset-looked-up-by-empty-name", "before the start it looked a model up by an empty name and used what was not there",
        "a preset is resolved once, and its absence is an error with the nearest names"),
    known("fixed-time-limit", "time limits were fixed and counted in naps, loading included", "one --timeout, and children that stand still are ended"),
    known("segment-left-out", "segments that could not be read were left out of the film", "a film with a hole is refused"),
    known("stitch-needs-overlap", "segments without overlap could not be stitched, nor could those after a continued video", "plain joints are joints"),
    known("frames-counted-two-ways", "frames were counted by the container, trimmed by that count, and decoded to another", "one count, by packets and where they disagree by decoding"),
    known("structure-under-mask", "structure guidance was painted where the mask then made all grey", "not painted under a mask"),
    known("structure-too-early", "guidance was taken one frame after another, and stood earlier than it should", "every frame by its place in the film"),
    known("timelines-differ", "three timelines of different length were used side by side", "one timeline, that of the film"),
    known("lengths-rounded-two-ways", "lengths were rounded by two rules, 80 frames to 77 or 81", "one rule, and what is used is printed"),
    known("stitch-cuts-originals", "the last stitch cut the original files by places in resampled ones", "places are those of the frames that were shown"),
    known("length-not-4n1", "the length was not brought to 4n+1, and the end of the context was cut off", "contexts grow until it is 4n+1"),
    known("overlap-made-even", "overlaps were made even, and those of 2 modulo 4 cost two frames a segment", "what is used is printed"),
    known("portion-shortened", "portions became shorter by up to 3 frames each, and the sound ran away", "contexts grow, portions keep their length"),
    known("several-encodes", "frames went through up to five lossy encodes", "one encode"),
    known("image-stretched", "images were stretched to the film's shape", "cropped, or as --fit says"),
    known("brightness-sign", "brightness had another sign for the guide than for the film, and between versions", "+ is brighter"),
    known("starts-from-blend", "starting from given frames ran all steps at full noise over a blend", "not done"),
    known("preset-without-loras", "the preset's LoRAs were gone, and without a phase_config few undistilled steps were left", "told; name LoRAs with --lora, or another --preset"),
    known("one-seed", "all segments had the same seed", "the same for a task"),
    known("sound-dropped", "the clips' sound was dropped", "kept, or as --audio says"),
    known("null-as-value", "a null counted as a value", "a null is absent"),
    known("zero-as-absent", "a 0 counted as absent", "a 0 is a value"),
    known("taken-for-vace", "models with `lightning` in their name were taken for VACE", "what a model is comes from its weights"),
    known("phases-unchecked", "steps and phases of different number passed", "refused"),
    known("weights-for-first-lora", "weights between commas reached only the first LoRA", "every LoRA has its own"),
    known("lora-shape", "LoRAs as a list, or as a map for travel, were not understood", "both shapes are read"),
    known("first-line-of-prompt", "only the first line of a prompt was used", "the lines are one prompt"),
    known("copies-disagree", "every segment carried the whole film's payload, copies of which could disagree", "the first place counts, and conflicts are listed"),
];

pub(super) fn by_name(name: &str) -> KnownFault {
    *KNOWN.iter().find(|known| known.name == name).expect("every fault is named in the table")
}

/// What the worker would have met with a task whatever its files are.
pub(super) fn of_task(
    row: &Row,
    era: Era,
    values: &Options,
    preset: Option<&str>,
    has_phase_config: bool,
) -> Vec<&'static str> {
    let mut met = vec![];
    let joins = matches!(row.kind, Kind::JoinClips | Kind::JoinSegment | Kind::JoinOrchestrator | Kind::EditVideo);
    if joins {
        met.extend(["several-encodes", "sound-dropped"]);
    }
    let distilled = preset.is_some_and(|preset| preset.contains("lightning"));
    if distilled && !has_phase_config && values.wan.loras.is_none() && era != Era::Oct25 {
        met.push("preset-without-loras");
    }
    if era == Era::V1 && values.wan.loras.as_ref().is_some_and(|loras| loras.len() > 1) {
        met.push("weights-for-first-lora");
    }
    // Between the look-up's beginning and its repair.
    let broken = date(2026, 2, 13)..date(2026, 3, 1);
    let segment = matches!(row.kind, Kind::TravelSegment | Kind::IndividualSegment);
    if segment && row.day().is_some_and(|day| broken.contains(&day)) {
        met.push("preset-looked-up-by-empty-name");
    }
    if segment && values.wan.seed == Some(Seed::Fixed(0)) {
        met.push("zero-as-absent");
    }
    met
}

/// What an error of the worker says (`words`, in lower case), why, whose fault, and which one.
#[rustfmt::skip]
const TEXTS: &[(&str, &str, Blame, Option<&str>)] = {
    use Blame::{Task, Worker};
    &[
        ("guide video creation returned none", "its frame writer gave up: a limit of 60 s, an odd width or height, no frame rate, or no memory", Worker, Some("ffmpeg-error-lost")),
        ("mask video creation returned none", "its frame writer gave up: a limit of 60 s, an odd width or height, no frame rate, or no memory", Worker, Some("ffmpeg-error-lost")),
        ("'nonetype' object has no attribute 'get'", "it looked the model up by an empty name; nothing in the task is wrong", Worker, Some("preset-looked-up-by-empty-name")),
        ("'nonetype' object is not subscriptable", "the task's resolution is null, which it took for a value", Worker, Some("null-as-value")),
        ("videos too short for requested gap", "the clips have fewer frames than the gap replaces", Task, None),
        ("too short for replace mode", "a clip has fewer frames than the gap replaces", Task, None),
        ("could not detect frame count", "the container has no count, or the clip is broken", Worker, Some("frames-counted-two-ways")),
        ("video not found: http", "a download failed", Worker, Some("download-told-as-missing")),
        ("failed to ensure", "ffmpeg failed to change the rate, and its words were lost", Worker, Some("ffmpeg-error-lost")),
        ("no output generated", "the generator failed inside, often for lack of GPU memory", Worker, Some("engine-error-lost")),
        ("travelnooutputgenerated", "the generator failed inside, often for lack of GPU memory", Worker, Some("engine-error-lost")),
        ("generation timeout", "more than 1800 s, loading included", Worker, Some("fixed-time-limit")),
        ("processing timeout", "more than its time limit, loading included", Worker, Some("fixed-time-limit")),
        ("task status became none", "its queue lost the task when the worker started anew", Worker, None),
        ("list index out of range", "the list of overlaps was one short, as with a continued video", Worker, Some("stitch-needs-overlap")),
        ("frame extraction failed for one or more segments", "a segment was broken, or came down only in part", Worker, Some("segment-left-out")),
        ("simple ffmpeg concatenation failed", "all overlaps were zero, and it had no way to stitch without", Worker, Some("stitch-needs-overlap")),
        ("local variable 'path' referenced before assignment", "a name that its code used before giving it a value", Worker, None),
        ("cascaded failed from related task", "another task failed first: look at that one", Worker, Some("parent-error-overwritten")),
        ("num_phases must be 2 or 3", "the phase_config is invalid", Task, Some("phases-unchecked")),
        ("sum to", "the phase_config's steps do not add up", Task, Some("phases-unchecked")),
        ("phase configs, got", "the phase_config is invalid", Task, Some("phases-unchecked")),
        ("resolution string must be in widthxheight format", "the resolution is none", Task, None),
        ("end anchor index", "there are fewer images than segments and one", Task, None),
        ("requires guide video but creation failed", "its guide failed, or an image model was taken for VACE", Worker, Some("taken-for-vace")),
        ("at most", "a LoRA has weights for more phases than the run", Task, Some("weights-for-first-lora")),
    ]
};

/// Why the worker failed, where its words are known.
pub(super) fn diagnosis(error: &str) -> Option<Diagnosis> {
    let error = error.to_lowercase();
    let (_, cause, blame, name) = TEXTS.iter().find(|(words, ..)| error.contains(words))?;
    Some(Diagnosis { cause, blame: *blame, fault: name.map(by_name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_that_is_named_is_in_the_table_once() {
        let mut names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), KNOWN.len());
        for (_, _, _, name) in TEXTS {
            name.map(by_name);
        }
    }

    #[test]
    fn the_workers_own_words_lead_to_their_cause() {
        for (error, id, blame) in [
            (
                "Failed to create guide/mask videos: Failed to create guide video: Guide video creation returned None or file doesn't exist",
                "ffmpeg-error-lost",
                Blame::Worker,
            ),
            (
                "Travel segment 78cd: Generation failed: 'NoneType' object has no attribute 'get'",
                "preset-looked-up-by-empty-name",
                Blame::Worker,
            ),
            ("Cascaded failed from related task 78cd8678", "parent-error-overwritten", Blame::Worker),
            (
                "Unexpected error in join_clips handler: 'NoneType' object is not subscriptable",
                "null-as-value",
                Blame::Worker,
            ),
            ("Task 1: num_phases must be 2 or 3, got 1", "phases-unchecked", Blame::Task),
        ] {
            let found = diagnosis(error).unwrap();
            assert_eq!((found.fault.unwrap().name, found.blame), (id, blame), "{error}");
        }
        assert_eq!(diagnosis("the cat sat on the keyboard"), None);
    }
}
