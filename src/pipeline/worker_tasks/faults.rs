//! Known faults of the hosted worker that tasks come from, by the numbers of its behavioural specification: what it did
//! with such a task, and what is done here.

use jiff::civil::date;
use serde::Serialize;

use super::{envelope::Row, kind::Kind};
use crate::pipeline::{
    media::Clip,
    options::{Era, Options, Seed},
    plan::{self, FramePlan, Latent, Mask, MaskRule, Mode, Seam},
};

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KnownFault {
    pub id: &'static str,
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

const fn known(id: &'static str, there: &'static str, here: &'static str) -> KnownFault {
    KnownFault { id, there, here }
}

#[rustfmt::skip]
const KNOWN: &[KnownFault] = &[
    known("P-01", "whatever stopped ffmpeg (a time limit, an odd size, no memory) came back as nothing, without its words",
        "the error holds ffmpeg's command and words; odd sizes are even for H.264 and whole with --lossless"),
    known("P-03", "the parent's error was overwritten by the name of the child that failed", "errors keep their causes"),
    known("P-06", "the generator printed its own errors and went on, so that an older film or nothing was taken for the result",
        "the engine's errors are errors, and a film is decoded and counted"),
    known("P-09", "a download that failed was told as a missing file", "nothing is fetched; --map and --assets say where files lie"),
    known("P-10", "before the start it looked a model up by an empty name and used what was not there",
        "a preset is resolved once, and its absence is an error with the nearest names"),
    known("P-12", "time limits were fixed and counted in naps, loading included", "one --timeout, and children that stand still are ended"),
    known("P-13", "segments that could not be read were left out of the film", "a film with a hole is refused"),
    known("P-14", "segments without overlap could not be stitched, nor could those after a continued video", "plain joints are joints"),
    known("P-20", "frames were counted by the container, trimmed by that count, and decoded to another", "one count, by packets and where they disagree by decoding"),
    known("P-21", "structure guidance was painted where the mask then made all grey", "not painted under a mask"),
    known("P-23", "guidance was taken one frame after another, and stood earlier than it should", "every frame by its place in the film"),
    known("P-24", "three timelines of different length were used side by side", "one timeline, that of the film"),
    known("P-25", "lengths were rounded by two rules, 80 frames to 77 or 81", "one rule, and what is used is printed"),
    known("P-26", "with a short clip it removed other frames than it made", "what is removed equals what is made"),
    known("P-29", "the last stitch cut the original files by places in resampled ones", "places are those of the frames that were shown"),
    known("P-31", "a context of 0 showed the whole clip", "a context has at least one frame"),
    known("P-32", "the length was not brought to 4n+1, and the end of the context was cut off", "contexts grow until it is 4n+1"),
    known("P-33", "overlaps were made even, and those of 2 modulo 4 cost two frames a segment", "what is used is printed"),
    known("P-34", "latents that hold frames to make were marked as known, so the end of the gap stays grey (reference mask rule)",
        "the same with --mask-rule reference; --mask-rule exact marks only what is wholly known"),
    known("P-35", "the overlap was looked for where the longer, unrounded segment would have had it", "the file's own count"),
    known("P-36", "portions became shorter by up to 3 frames each, and the sound ran away", "contexts grow, portions keep their length"),
    known("P-39", "rates within 0.5 of the asked one were taken for it", "rates are exact, and clips are resampled by their timestamps"),
    known("P-40", "more than 129 frames were made in windows, without a word", "refused"),
    known("P-50", "frames went through up to five lossy encodes", "one encode"),
    known("P-56", "the picture was stretched to a grid of 16", "the nearest grid, cropped, and scaled back"),
    known("P-57", "images were stretched to the film's shape", "cropped, or as --fit says"),
    known("P-59", "the strength of flow guidance changed nothing", "said instead of done"),
    known("P-60", "brightness had another sign for the guide than for the film, and between versions", "+ is brighter"),
    known("P-61", "starting from given frames ran all steps at full noise over a blend", "not done"),
    known("P-62", "the preset's LoRAs were gone, and without a phase_config few undistilled steps were left", "told; name LoRAs with --lora, or another --preset"),
    known("P-63", "all segments had the same seed", "the same for a task"),
    known("P-64", "the clips' sound was dropped", "kept, or as --audio says"),
    known("P-70", "a null counted as a value", "a null is absent"),
    known("P-71", "a 0 counted as absent", "a 0 is a value"),
    known("P-72", "models with `lightning` in their name were taken for VACE", "what a model is comes from its weights"),
    known("P-73", "the switch came after the last phase, so the low-noise expert was never asked", "refused"),
    known("P-74", "steps and phases of different number passed", "refused"),
    known("P-75", "weights between commas reached only the first LoRA", "every LoRA has its own"),
    known("P-76", "LoRAs as a list, or as a map for travel, were not understood", "both shapes are read"),
    known("P-78", "only the first line of a prompt was used", "the lines are one prompt"),
    known("P-81", "every segment carried the whole film's payload, copies of which could disagree", "the first place counts, and conflicts are listed"),
];

pub(super) fn by_id(id: &str) -> KnownFault {
    *KNOWN.iter().find(|known| known.id == id).expect("faults are named by ids in the table")
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
        met.extend(["P-50", "P-64"]);
    }
    let distilled = preset.is_some_and(|preset| preset.contains("lightning"));
    if distilled && !has_phase_config && values.loras.is_none() && era != Era::Oct25 {
        met.push("P-62");
    }
    if era == Era::V1 && values.loras.as_ref().is_some_and(|loras| loras.len() > 1) {
        met.push("P-75");
    }
    // Between the look-up's beginning and its repair.
    let broken = date(2026, 2, 13)..date(2026, 3, 1);
    let segment = matches!(row.kind, Kind::TravelSegment | Kind::IndividualSegment);
    if segment && row.day().is_some_and(|day| broken.contains(&day)) {
        met.push("P-10");
    }
    if segment && values.seed == Some(Seed::Fixed(0)) {
        met.push("P-71");
    }
    met
}

/// What it would have met in these clips, planned like this.
pub fn of_plan(era: Era, plan: &FramePlan, clips: &[Clip]) -> Vec<KnownFault> {
    let mut met = std::collections::BTreeSet::new();
    let sizes: Vec<_> = clips.iter().map(|clip| clip.picture.size).collect();
    if era != Era::V2 && sizes.iter().any(|size| *size != size.even()) {
        met.insert("P-01");
    }
    if clips.iter().any(|clip| clip.counts.container.is_some_and(|count| count != clip.frames)) {
        met.insert("P-20");
    }
    if clips.iter().any(|clip| clip.fps != plan.fps && (clip.fps.as_f64() - plan.fps.as_f64()).abs() <= 0.5) {
        met.insert("P-39");
    }
    if sizes.iter().any(|size| size.width % 16 != 0 || size.height % 16 != 0) {
        met.insert("P-56");
    }
    for Seam { range, mode, used, requested, slots, .. } in &plan.seams {
        if *mode == Mode::Replace
            && range.is_none()
            && used.context.iter().any(|context| *context < requested.context[0])
        {
            met.insert("P-26");
        }
        if slots.len() > 129 {
            met.insert("P-40");
        }
        let picked = plan::latents(slots, MaskRule::Reference);
        let unknown = |latent: &Latent| slots[latent.frames.clone()].iter().any(|slot| !slot.is_known());
        if picked.iter().any(|latent| latent.mask == Mask::Keep && unknown(latent)) {
            met.insert("P-34");
        }
        // Images that the mask said nothing of.
        let unsaid = |latent: &Latent| {
            latent.mask != Mask::Keep && slots[latent.frames.clone()].iter().any(|slot| slot.is_known())
        };
        if plan.journey.is_some() && plan.mask_rule == MaskRule::Reference && picked.iter().any(unsaid) {
            met.insert("P-34");
        }
    }
    met.into_iter().map(by_id).collect()
}

/// What an error of the worker says (`words`, in lower case), why, whose fault, and which one.
#[rustfmt::skip]
const TEXTS: &[(&str, &str, Blame, Option<&str>)] = {
    use Blame::{Task, Worker};
    &[
        ("guide video creation returned none", "its frame writer gave up: a limit of 60 s, an odd width or height, no frame rate, or no memory", Worker, Some("P-01")),
        ("mask video creation returned none", "its frame writer gave up: a limit of 60 s, an odd width or height, no frame rate, or no memory", Worker, Some("P-01")),
        ("'nonetype' object has no attribute 'get'", "it looked the model up by an empty name; nothing in the task is wrong", Worker, Some("P-10")),
        ("'nonetype' object is not subscriptable", "the task's resolution is null, which it took for a value", Worker, Some("P-70")),
        ("videos too short for requested gap", "the clips have fewer frames than the gap replaces", Task, None),
        ("too short for replace mode", "a clip has fewer frames than the gap replaces", Task, None),
        ("could not detect frame count", "the container has no count, or the clip is broken", Worker, Some("P-20")),
        ("video not found: http", "a download failed", Worker, Some("P-09")),
        ("failed to ensure", "ffmpeg failed to change the rate, and its words were lost", Worker, Some("P-01")),
        ("no output generated", "the generator failed inside, often for lack of GPU memory", Worker, Some("P-06")),
        ("travelnooutputgenerated", "the generator failed inside, often for lack of GPU memory", Worker, Some("P-06")),
        ("generation timeout", "more than 1800 s, loading included", Worker, Some("P-12")),
        ("processing timeout", "more than its time limit, loading included", Worker, Some("P-12")),
        ("task status became none", "its queue lost the task when the worker started anew", Worker, None),
        ("list index out of range", "the list of overlaps was one short, as with a continued video", Worker, Some("P-14")),
        ("frame extraction failed for one or more segments", "a segment was broken, or came down only in part", Worker, Some("P-13")),
        ("simple ffmpeg concatenation failed", "all overlaps were zero, and it had no way to stitch without", Worker, Some("P-14")),
        ("local variable 'path' referenced before assignment", "a name that its code used before giving it a value", Worker, None),
        ("cascaded failed from related task", "another task failed first: look at that one", Worker, Some("P-03")),
        ("num_phases must be 2 or 3", "the phase_config is invalid", Task, Some("P-74")),
        ("sum to", "the phase_config's steps do not add up", Task, Some("P-74")),
        ("phase configs, got", "the phase_config is invalid", Task, Some("P-74")),
        ("resolution string must be in widthxheight format", "the resolution is none", Task, None),
        ("end anchor index", "there are fewer images than segments and one", Task, None),
        ("requires guide video but creation failed", "its guide failed, or an image model was taken for VACE", Worker, Some("P-72")),
        ("at most", "a LoRA has weights for more phases than the run", Task, Some("P-75")),
    ]
};

/// Why the worker failed, where its words are known.
pub(super) fn diagnosis(error: &str) -> Option<Diagnosis> {
    let error = error.to_lowercase();
    let (_, cause, blame, id) = TEXTS.iter().find(|(words, ..)| error.contains(words))?;
    Some(Diagnosis { cause, blame: *blame, fault: id.map(by_id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_that_is_named_is_in_the_table_once_and_in_order() {
        assert!(KNOWN.is_sorted_by(|a, b| a.id < b.id));
        for (_, _, _, id) in TEXTS {
            id.map(by_id);
        }
    }

    #[test]
    fn the_workers_own_words_lead_to_their_cause() {
        for (error, id, blame) in [
            (
                "Failed to create guide/mask videos: Failed to create guide video: Guide video creation returned None or file doesn't exist",
                "P-01",
                Blame::Worker,
            ),
            ("Travel segment 78cd: Generation failed: 'NoneType' object has no attribute 'get'", "P-10", Blame::Worker),
            ("Cascaded failed from related task 78cd8678", "P-03", Blame::Worker),
            ("Unexpected error in join_clips handler: 'NoneType' object is not subscriptable", "P-70", Blame::Worker),
            ("Task 1: num_phases must be 2 or 3, got 1", "P-74", Blame::Task),
        ] {
            let found = diagnosis(error).unwrap();
            assert_eq!((found.fault.unwrap().id, found.blame), (id, blame), "{error}");
        }
        assert_eq!(diagnosis("the cat sat on the keyboard"), None);
    }
}
