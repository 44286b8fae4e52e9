//! Flags that only a journey through images understands.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use wanctl::pipeline::{
    options::{
        CommonOptions, JourneyPaths, Options, TravelOptions, existing_file, flags_said,
        story::{Story, StoryError},
    },
    plan::Treatment,
    system::file_names,
};

#[derive(clap::Args, Debug)]
pub(crate) struct TravelArgs {
    /// A travel as YAML: images, prompts, frames, seeds and LoRAs of each segment
    #[arg(long, value_name = "FILE", value_parser = existing_file(), conflicts_with = "task", help_heading = "Travel")]
    pub(crate) story: Option<PathBuf>,

    /// A clip to continue from; the film begins with it
    #[arg(long = "continue", value_name = "CLIP", value_parser = existing_file(), help_heading = "Travel")]
    continued: Option<PathBuf>,

    /// A clip whose frames guide those of the film, one by one from its start: as they are (raw), or as edges
    #[arg(long, value_name = "CLIP[,raw|edges]", help_heading = "Travel")]
    structure: Option<Structure>,

    #[command(flatten)]
    options: TravelOptions,
}

/// What was typed of a journey, and the story under it.
pub(crate) struct Told {
    pub(crate) typed: Options,
    pub(crate) story: Option<Story>,
    pub(crate) paths: JourneyPaths,
}

impl TravelArgs {
    /// What was typed of these, for these images; those of the story where there are none.
    pub(crate) fn told(&self, images: &[PathBuf], common: &CommonOptions) -> Result<Told, StoryError> {
        let Self { story, continued, structure, options } = self;
        let story = story.as_deref().map(Story::read).transpose()?;
        let mut paths = story.as_ref().map_or_else(JourneyPaths::default, |story| story.paths.clone());
        if !images.is_empty() {
            paths.images = images.to_vec();
        }
        if let Some(clip) = continued {
            paths.continued = Some(clip.clone());
        }
        let mut travel = options.clone();
        if let Some(Structure { clip, treatment }) = structure {
            paths.structure = vec![clip.clone()];
            travel.treatment = Some(*treatment);
        }
        let typed = Options { common: common.clone(), travel, ..Options::default() };
        Ok(Told { typed, story, paths })
    }

    /// The first of these that was typed.
    pub(crate) fn first(&self) -> Option<String> {
        let Self { story, continued, structure, options } = self;
        let files =
            [(story.is_some(), "--story"), (continued.is_some(), "--continue"), (structure.is_some(), "--structure")];
        let file = files.into_iter().find_map(|(given, option)| given.then(|| option.to_owned()));
        file.or_else(|| flags_said(options).into_iter().map(|(flag, _)| flag).next())
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
