//! Flags that only a journey through images understands.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use wanctl::pipeline::{
    options::{
        Each, JourneyPaths, Options, SeedMode,
        story::{Story, StoryError},
    },
    plan::{Curve, Lengths, Round, Treatment},
    system::file_names,
};

use super::args::{self, ShapeArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct TravelArgs {
    /// A travel as YAML: images, prompts, frames, seeds and LoRAs of each segment
    #[arg(long, value_name = "FILE", value_parser = args::file(), conflicts_with = "task", help_heading = "Travel")]
    pub(crate) story: Option<PathBuf>,

    /// Frames of each segment, both its images included [default: 81]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32), allow_negative_numbers = true, help_heading = "Travel")]
    frames: Option<u32>,

    /// Frames of the previous segment given as context; a multiple of 4 [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32), allow_negative_numbers = true, help_heading = "Travel")]
    overlap: Option<u32>,

    /// How a length is rounded that is not 4n+1 [default: down]
    #[arg(long, value_name = "WHERE", help_heading = "Travel")]
    round: Option<Round>,

    /// A clip to continue from; the film begins with it
    #[arg(long = "continue", value_name = "CLIP", value_parser = args::file(), help_heading = "Travel")]
    continued: Option<PathBuf>,

    /// Opacity of the previous segment's frames over grey, 0 to 1 [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Travel")]
    strength: Option<f64>,

    /// Desaturation of the previous segment's frames, 0 to 1 [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Travel")]
    desaturate: Option<f64>,

    /// Brightness added to the previous segment's frames, -1 to 1 [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Travel")]
    brightness: Option<f64>,

    /// Whether the lengths of segments and overlaps are rounded to the model's latents of 4 frames [default: rounded]
    #[arg(long, value_name = "HOW", help_heading = "Travel")]
    lengths: Option<Lengths>,

    /// How segments that overlap cross-fade in the film [default: even]
    #[arg(long, value_name = "CURVE", help_heading = "Travel")]
    curve: Option<Curve>,

    /// A clip whose frames guide those of the film, one by one from its start: as they are (raw), or as edges
    #[arg(long, value_name = "CLIP[,raw|edges]", help_heading = "Travel")]
    structure: Option<Structure>,

    /// Seeds of the segments [default: same]
    #[arg(long, value_name = "MODE", help_heading = "Wan")]
    seed_mode: Option<SeedMode>,
}

/// What was typed of a journey, and the story under it.
pub(crate) struct Told {
    pub(crate) typed: Options,
    pub(crate) story: Option<Story>,
    pub(crate) paths: JourneyPaths,
}

impl TravelArgs {
    /// What was typed of these, for these images; those of the story where there are none.
    pub(crate) fn told(&self, images: &[PathBuf], shape: &ShapeArgs) -> Result<Told, StoryError> {
        let Self {
            story,
            frames,
            overlap,
            round,
            continued,
            strength,
            desaturate,
            brightness,
            lengths,
            curve,
            structure,
            seed_mode,
        } = self;
        let story = story.as_deref().map(Story::read).transpose()?;
        let mut paths = story.as_ref().map_or_else(JourneyPaths::default, |story| story.paths.clone());
        if !images.is_empty() {
            paths.images = images.to_vec();
        }
        if let Some(clip) = continued {
            paths.continued = Some(clip.clone());
        }
        if let Some(Structure { clip, .. }) = structure {
            paths.structure = vec![clip.clone()];
        }
        let whole = |number: u32| number as usize;
        let typed = shape.typed(Options {
            frames: frames.map(whole).map(Each::All),
            overlap: overlap.map(whole).map(Each::All),
            round: *round,
            strength: *strength,
            desaturate: *desaturate,
            brightness: *brightness,
            lengths: *lengths,
            curve: *curve,
            treatment: structure.as_ref().map(|structure| structure.treatment),
            seed_mode: *seed_mode,
            ..Options::default()
        });
        Ok(Told { typed, story, paths })
    }

    /// The first of these that was typed.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let Self {
            story,
            frames,
            overlap,
            round,
            continued,
            strength,
            desaturate,
            brightness,
            lengths,
            curve,
            structure,
            seed_mode,
        } = self;
        let given = [
            (story.is_some(), "--story"),
            (frames.is_some(), "--frames"),
            (overlap.is_some(), "--overlap"),
            (round.is_some(), "--round"),
            (continued.is_some(), "--continue"),
            (strength.is_some(), "--strength"),
            (desaturate.is_some(), "--desaturate"),
            (brightness.is_some(), "--brightness"),
            (lengths.is_some(), "--lengths"),
            (curve.is_some(), "--curve"),
            (structure.is_some(), "--structure"),
            (seed_mode.is_some(), "--seed-mode"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }
}

/// `CLIP`, `CLIP,raw` or `CLIP,edges`.
#[derive(Debug, Clone)]
struct Structure {
    clip: PathBuf,
    treatment: Treatment,
}

impl FromStr for Structure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (clip, word) = match text.rsplit_once(',') {
            // A name may hold a comma.
            Some((clip, word)) if !word.contains(['.', '/']) => (clip, Some(word)),
            _ => (text, None),
        };
        let treatment = match word {
            None => Treatment::Raw,
            Some(word) => word.parse().map_err(|_| not_done(word))?,
        };
        if clip.is_empty() {
            return Err("wanted a clip, and how it is shown: CLIP, CLIP,raw or CLIP,edges".into());
        }
        let clip = file_names::typed(Path::new(clip)).map_err(|lookalikes| lookalikes.to_string())?;
        Ok(Self { clip, treatment })
    }
}

/// What the hosted worker had besides, and what stands in for it.
fn not_done(word: &str) -> String {
    let instead = match word {
        "flow" => "flow pictures lose how fast things move; use raw, which shows the motion itself",
        "depth" | "uni3c" => "it takes a network that is not here; use raw, or edges for the shapes alone",
        "canny" | "scribble" => "use edges",
        _ => "wanted raw or edges",
    };
    format!("a structure clip is not shown as `{word}`: {instead}")
}
