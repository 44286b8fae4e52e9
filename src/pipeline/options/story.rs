//! A story: a journey written down by hand, in YAML, as one layer of settings and the files it passes through.
//!
//! ```yaml
//! images:                 # in order; what is said beside an image is about the segment that starts there
//!   - gate.png
//!   - image: garden.png
//!     prompt: slowly along the hedge
//!     frames: 49
//!   - house.png
//! prompt: morning light   # of every segment that has none of its own
//! overlap: 8
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::{Each, JOURNEY_FRAMES, JourneyPaths, Layer, LoraAsk, Options, Prompts, Source, fields::read_with_options};
use crate::pipeline::{
    system::{
        file_names::{self, Lookalikes, RENAME},
        yaml::{self, FromText, YamlError},
    },
    types::error::{ErrorCode, ErrorDetails, Reportable},
};

/// A story, its paths made whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    pub path: PathBuf,
    pub paths: JourneyPaths,
    pub values: Options,
    pub preset: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    #[error("the story {} {error}", path.display())]
    File { path: PathBuf, error: YamlError },
    #[error("the story {} tells its segments twice: beside its images and in a list of their own", path.display())]
    Twice { path: PathBuf },
    #[error(transparent)]
    Lookalikes(#[from] Lookalikes),
}

impl Reportable for StoryError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Input
    }

    fn details(&self) -> ErrorDetails {
        let (path, found, help) = match self {
            Self::File { path, error } => {
                let help = match error {
                    YamlError::Read(_) => "check the path and its permissions",
                    YamlError::Text(_) => "an editor's \"Save as\" has the encoding UTF-8",
                    YamlError::Large => "a story is a short text",
                    YamlError::Wrong { .. } => "examples/story.yaml shows everything that one can say",
                };
                (path, None, help)
            }
            Self::Twice { path } => (
                path,
                Some("images with prompts and the like, and `segments`".into()),
                "say it beside the image where the segment starts, or in `segments`",
            ),
            Self::Lookalikes(Lookalikes { paths }) => {
                return ErrorDetails {
                    file: paths.first().cloned(),
                    wanted: Some("one file of that name".into()),
                    help: Some(RENAME.into()),
                    ..ErrorDetails::default()
                };
            }
        };
        ErrorDetails {
            file: Some(path.clone()),
            wanted: Some("a story in YAML: images, and what each segment shows".into()),
            found,
            help: Some(help.into()),
            ..ErrorDetails::default()
        }
    }
}

/// What a story says besides options, which it says of all segments.
#[derive(Debug, Deserialize)]
struct Written {
    #[serde(default)]
    images: Vec<Stop>,
    #[serde(default)]
    segments: Vec<Leg>,
    #[serde(rename = "continue")]
    continued: Option<PathBuf>,
    #[serde(default)]
    references: Vec<PathBuf>,
    structure: Option<PathBuf>,
    preset: Option<String>,
}

const KEYS: &[&str] = &["images", "segments", "continue", "references", "structure", "preset"];

/// What is said of one segment.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Leg {
    prompt: Option<String>,
    negative_prompt: Option<String>,
    frames: Option<usize>,
    seed: Option<u64>,
    loras: Option<Vec<LoraAsk>>,
}

/// An image, alone or with the segment that starts there.
#[derive(Debug)]
struct Stop {
    image: PathBuf,
    segment: Option<Leg>,
}

impl FromText for Stop {
    const WANTED: &str = "the path of an image, or `image` and what is said of the segment that starts there";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self { image: text.into(), segment: None })
    }
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Mapping {
            image: PathBuf,
            prompt: Option<String>,
            negative_prompt: Option<String>,
            frames: Option<usize>,
            seed: Option<u64>,
            loras: Option<Vec<LoraAsk>>,
        }
        yaml::text_or_map(deserializer, |Mapping { image, prompt, negative_prompt, frames, seed, loras }| {
            let says = prompt.is_some() || negative_prompt.is_some() || frames.is_some() || seed.is_some();
            let segment = (says || loras.is_some()).then_some(Leg { prompt, negative_prompt, frames, seed, loras });
            Self { image, segment }
        })
    }
}

impl Story {
    /// Whether a YAML file is meant as one: it says what a journey goes through, of which a preset says nothing.
    pub fn is_meant(path: &Path) -> bool {
        yaml::is_named_so(path)
            && yaml::keys(path).iter().any(|key| ["images", "segments", "continue"].contains(&key.as_str()))
    }

    pub fn read(path: &Path) -> Result<Self, StoryError> {
        let text = yaml::text_of(path);
        let read = text.and_then(|text| read_with_options(&text, KEYS));
        let (written, mut values): (Written, Options) =
            read.map_err(|error| StoryError::File { path: path.to_owned(), error })?;
        let Written { images, segments, continued, references, structure, preset } = written;
        let home = path.parent().unwrap_or(Path::new(""));
        let here = |file: PathBuf| file_names::written(&home.join(file));
        let (images, beside): (Vec<PathBuf>, Vec<Option<Leg>>) =
            images.into_iter().map(|Stop { image, segment }| (image, segment)).unzip();
        let told = beside.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if told > 0 && !segments.is_empty() {
            return Err(StoryError::Twice { path: path.to_owned() });
        }
        let between = images.len() - usize::from(values.common.looped != Some(true) && !images.is_empty());
        let legs: Vec<Leg> = match told {
            0 => segments,
            // What is said beside an image is of the segment after it; a clip that is gone on from comes before them all.
            told => {
                let first = usize::from(continued.is_some());
                let beside = beside.into_iter().take(told.max(between));
                (0..first).map(|_| None).chain(beside).map(Option::unwrap_or_default).collect()
            }
        };
        let placed = |loras: Vec<LoraAsk>| {
            let place = |LoraAsk { file, weights }: LoraAsk| {
                let own = here(file.clone())?;
                // Others are looked for by their names where weights lie.
                Ok(LoraAsk { file: if own.is_file() { own } else { file }, weights })
            };
            loras.into_iter().map(place).collect::<Result<Vec<_>, Lookalikes>>()
        };
        values.wan.loras = values.wan.loras.map(placed).transpose()?;
        if !legs.is_empty() {
            values.travel.segment_count = Some(legs.len());
            if legs.iter().any(|leg| leg.prompt.is_some()) {
                let common = match values.wan.prompts.take() {
                    Some(Prompts::One(prompt)) => prompt,
                    _ => String::new(),
                };
                let own = |leg: &Leg| leg.prompt.clone().unwrap_or_else(|| common.clone());
                values.wan.prompts = Some(Prompts::Each(legs.iter().map(own).collect()));
            }
            if legs.iter().any(|leg| leg.frames.is_some()) {
                let common = values.travel.frames.take().unwrap_or(Each::All(JOURNEY_FRAMES));
                values.travel.frames = Some(match common.of(legs.len()) {
                    Ok(common) => {
                        let own = |(leg, common): (&Leg, usize)| leg.frames.unwrap_or(common);
                        Each::Each(legs.iter().zip(common).map(own).collect())
                    }
                    // As many lengths as there are no segments: refused where the segments are counted.
                    Err(_) => common,
                });
            }
            values.wan.negative_prompts = said(&legs, |leg| leg.negative_prompt.clone());
            values.wan.seeds = said(&legs, |leg| leg.seed);
            if legs.iter().any(|leg| leg.loras.is_some()) {
                let own = legs.into_iter().map(|leg| leg.loras.map(placed).transpose());
                values.wan.segment_loras = Some(own.collect::<Result<_, _>>()?);
            }
        }
        let paths = JourneyPaths {
            images: images.into_iter().map(here).collect::<Result<_, _>>()?,
            continued: continued.map(here).transpose()?,
            structure: structure.into_iter().map(here).collect::<Result<_, _>>()?,
            references: references.into_iter().map(here).collect::<Result<_, _>>()?,
        };
        Ok(Self { path: path.to_owned(), paths, values, preset })
    }

    pub fn layer(&self) -> Layer {
        Layer { from: Source::Story(self.path.clone()), values: self.values.clone() }
    }
}

/// Of single segments; nothing where nothing is said of any.
fn said<T>(legs: &[Leg], own: impl Fn(&Leg) -> Option<T>) -> Option<Vec<Option<T>>> {
    Some(legs.iter().map(own).collect()).filter(|said: &Vec<Option<T>>| said.iter().any(Option::is_some))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(text: &str) -> Result<Story, StoryError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("story.yaml");
        std::fs::write(&path, text).unwrap();
        Story::read(&path).map(|mut story| {
            let within = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().to_owned();
            story.paths.images = story.paths.images.iter().map(within).collect();
            story
        })
    }

    #[test]
    fn what_is_said_beside_an_image_is_of_the_segment_that_starts_there() {
        let beside = "images: [a.png, {image: b.png, prompt: hedge, frames: 49, seed: 3}, c.png]\nprompt: light\n";
        let apart =
            "images: [a.png, b.png, c.png]\nprompt: light\nsegments: [{}, {prompt: hedge, frames: 49, seed: 3}]\n";
        for text in [beside, apart] {
            let Story { paths, values, .. } = story(text).unwrap();
            assert_eq!(paths.images, ["a.png", "b.png", "c.png"].map(PathBuf::from));
            assert_eq!(values.travel.segment_count, Some(2));
            assert_eq!(values.wan.prompts, Some(Prompts::Each(vec!["light".into(), "hedge".into()])));
            assert_eq!(values.travel.frames, Some(Each::Each(vec![81, 49])));
            assert_eq!(values.wan.seeds, Some(vec![None, Some(3)]));
        }
        // Beside the last image stands one more segment, or with a loop the one that leads back.
        let last = "images: [a.png, {image: b.png, prompt: on}]\n";
        assert_eq!(story(last).unwrap().values.travel.segment_count, Some(2));
        assert_eq!(story(&format!("{last}loop: true\n")).unwrap().values.travel.segment_count, Some(2));
        let after = story(&format!("{last}continue: c.mp4\n")).unwrap().values;
        assert_eq!(after.wan.prompts, Some(Prompts::Each(vec![String::new(), String::new(), "on".into()])));
        let first = story("images: [{image: a.png, prompt: on}, b.png, c.png]").unwrap().values;
        assert_eq!(first.wan.prompts, Some(Prompts::Each(vec!["on".into(), String::new()])));
        assert_eq!(story("images: [a.png]").unwrap().values, Options::default());
    }

    #[test]
    fn the_example_is_a_story() {
        let Story { paths, values, .. } = story(include_str!("../../../examples/story.yaml")).unwrap();
        assert_eq!((paths.images.len(), paths.references.len(), values.travel.segment_count), (4, 1, Some(3)));
        assert_eq!(values.travel.frames, Some(Each::Each(vec![81, 49, 81])));
        assert_eq!(values.wan.segment_loras.unwrap()[2].as_ref().unwrap().len(), 1);
    }

    #[test]
    fn the_story_of_the_manual_is_one() {
        let page = include_str!("../../../docs/travel.md");
        let mut told = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let Story { paths, values, .. } = story(told.find(|text| text.starts_with("images:")).unwrap()).unwrap();
        // A clip that is gone on from makes one segment more.
        assert_eq!((paths.images.len(), values.travel.segment_count), (4, Some(4)));
    }

    #[test]
    fn values_are_written_as_they_are_typed_on_the_command_line() {
        let text =
            "images: [a.png]\nfps: 30000/1001\nsize: 832x480\nloras: [a=1;0, {file: b, weights: 0.5}]\nfit: pad\n";
        let values = story(text).unwrap().values;
        assert_eq!((values.common.fps, values.common.size), ("30000/1001".parse().ok(), "832x480".parse().ok()));
        let loras = values.wan.loras.unwrap();
        assert_eq!(loras, ["a=1;0".parse().unwrap(), "b=0.5".parse().unwrap()]);
        assert_eq!(story("fps: 24\n").unwrap().values.common.fps, "24".parse().ok());
        assert_eq!(story("fps: 23.5\n").unwrap().values.common.fps, "23.5".parse().ok());
    }

    #[test]
    fn what_is_wrong_in_a_story_is_told_with_its_place_and_the_nearest_word() {
        for (text, words) in [
            ("image: [a.png]", "unknown field `image`"),
            ("image: [a.png]", "did you mean `images`?"),
            ("images: [{image: a.png, promt: x}]", "did you mean `prompt`?"),
            ("images: [{prompt: x}]", "missing field `image`"),
            ("images: [[a.png]]", "the path of an image"),
            ("segments: [{frame: 3}]", "did you mean `frames`?"),
            ("size: big", "`big` is no size"),
            ("seed_mode: random", "unknown variant `random`"),
            ("a: &a [*a]", "recursion limit"),
            ("images: &a [*a]", "recursion limit"),
            ("images: [{image: a.png, prompt: x}]\nsegments: [{prompt: y}]", "tells its segments twice"),
        ] {
            let error = story(text).unwrap_err();
            assert!(error.to_string().contains(words), "{text}: {error}");
            assert_eq!(error.code(), ErrorCode::Input);
            assert!(error.details().help.is_some());
        }
        let nine = |of: &str| format!("[{}]", [of; 9].join(", "));
        let mut bomb = format!("a: &a {}\n", nine("lol"));
        for (this, last) in "bcdefghij".chars().zip("abcdefghi".chars()) {
            bomb += &format!("{this}: &{this} {}\n", nine(&format!("*{last}")));
        }
        assert!(story(&bomb).unwrap_err().to_string().contains("more than 20000 values"));
        assert!(Story::read("gone.yaml".as_ref()).unwrap_err().to_string().contains("cannot be read"));
    }
}
