//! What of the inputs does not reach the film as it is.

use std::path::PathBuf;

use super::{Film, Input, plain};
use crate::pipeline::{
    media::{Clip, DynamicRange, Sampling, Still, Timing, UNDER},
    types::{progress::Warning, video::Size},
};

impl Film {
    /// `asked` is the film's size before 4:2:0 was thought of.
    pub(super) fn warnings(&self, all: &[Input], asked: Size) -> Vec<Warning> {
        let size = self.size;
        let odd = format!("4:2:0 video cannot hold {asked}, so the film is {size}; --lossless keeps all of it");
        let odd = (size != asked).then(|| warning("odd_size", None, odd));
        let stills: Vec<&Still> = all
            .iter()
            .filter_map(|input| match input {
                Input::Still(still) => Some(still),
                Input::Clip { .. } => None,
            })
            .collect();
        let of_clips = all.iter().flat_map(|input| match input {
            Input::Clip { clip, sampling } => remarks(clip, sampling, self, asked),
            Input::Still(_) => vec![],
        });
        odd.into_iter().chain(of_clips).chain(remarks_on_stills(&stills, self, asked)).collect()
    }
}

/// What of a clip does not reach the film as it is.
fn remarks(clip: &Clip, sampling: &Sampling, film: &Film, asked: Size) -> Vec<Warning> {
    let (name, path) = (clip.name(), Some(clip.path.clone()));
    let mut remarks = vec![];
    let mut remark = |code, message| remarks.push(warning(code, path.clone(), message));
    if let Some(damage) = &clip.damage {
        let words = "lacks parts, as recordings do; what its decoder shows in their place was taken";
        remark("damage", format!("{name} {words} (`{damage}`)"));
    }
    if clip.picture.is_tone_mapped() {
        let from = if clip.picture.dynamic_range == DynamicRange::Pq { "PQ" } else { "HLG" };
        remark("tone_mapped", format!("{name} is HDR ({from}) and was tone-mapped to BT.709"));
    }
    if clip.transparent {
        let [red, green, blue] = UNDER;
        remark(
            "transparent",
            format!("{name} is transparent in places and was laid over white (#{red:02x}{green:02x}{blue:02x})"),
        );
    }
    if clip.timing == Timing::Variable {
        let rate = plain(film.fps);
        remark(
            "variable_rate",
            format!("{name} has a variable frame rate and was resampled to a constant {rate} fps by its timestamps"),
        );
    } else if matches!(sampling, Sampling::Resampled(_)) {
        remark("resampled", format!("{name} runs at {} fps and was resampled to {}", plain(clip.fps), plain(film.fps)));
    }
    if clip.picture.size != asked {
        remark("resized", format!("{name} is {} and was fitted to {}", clip.picture.size, film.size));
    }
    if clip.picture.bits > 8 {
        remark("depth", format!("{name} has {} bits a sample, the film has 8", clip.picture.bits));
    }
    if clip.picture.interlaced {
        remark(
            "interlaced",
            format!("{name} is interlaced and was taken as it is; deinterlace it first for a clean result"),
        );
    }
    if let (Some(decoded), Some(promised)) = (clip.counts.decoded, clip.counts.container)
        && decoded != promised
        && clip.counts.hidden.is_none()
    {
        remark("count", format!("{name} says it has {promised} frames, {decoded} were counted by decoding"));
    }
    if let Some(left_out) = clip.left_out() {
        remark("tracks", format!("{name}: {left_out}"));
    }
    remarks
}

/// One for all images: what is to say of one is often to say of most.
fn remarks_on_stills(stills: &[&Still], film: &Film, asked: Size) -> Vec<Warning> {
    let remark = |code, of: Vec<&&Still>, says: String| {
        let first = of.first()?;
        let names = match of[1..] {
            [] => first.name(),
            [second] => format!("{} and {}", first.name(), second.name()),
            _ => format!("{} and {} other images", first.name(), of.len() - 1),
        };
        Some(warning(code, Some(first.path.clone()), format!("{names}: {says}")))
    };
    let of = |applies: &dyn Fn(&Still) -> bool| stills.iter().filter(|still| applies(still)).collect::<Vec<_>>();
    let [red, green, blue] = UNDER;
    let remarks = [
        remark("resized", of(&|still| still.size != asked), format!("not {asked}, fitted to {}", film.size)),
        remark("depth", of(&|still| still.bits > 8), "more than 8 bits a sample, the film has 8".into()),
        remark("tone_mapped", of(&|still| still.is_tone_mapped()), "HDR, tone-mapped to BT.709".into()),
        remark("colours", of(&|still| still.colours.is_some()), "colours of another profile, brought to sRGB".into()),
        remark(
            "transparent",
            of(&|still| still.transparent),
            format!("transparent in places, laid over white (#{red:02x}{green:02x}{blue:02x})"),
        ),
    ];
    remarks.into_iter().flatten().collect()
}

fn warning(code: &'static str, file: Option<PathBuf>, message: String) -> Warning {
    Warning { code, file, message }
}
