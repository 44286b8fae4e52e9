//! Every option as it is requested: flags, presets, stories, tasks and recorded runs all say these, by the same names.
//!
//! A field's name is its key in YAML and JSON; its `arg` attribute is its flag, and what has none stands only in files.
//! Absent and null are the same; 0 is a value.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value};

use super::{
    Audio, Devices, Each, EngineChoice, FrameRange, Guidance, Length, LoraAsk, Prompts, Seed, SeedMode,
    SegmentSampling, StructureUse,
};
use crate::pipeline::{
    job::{
        Dtype, Noise, Offload, VaeTile,
        schedule::{Grid, Phase, Solver},
    },
    media::{Codec, Fit, TrackChoice, X264Preset},
    plan::{Align, Curve, Lengths, MaskRule, Mode, Round, Tone, Treatment},
    system::{
        file_names,
        yaml::{self, YamlError},
    },
    types::video::{Fps, Size},
    weights::{Published, Wanted},
};

/// What one source requests of the plan, the model and its sampling.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    pub common: CommonOptions,
    pub join: JoinOptions,
    pub travel: TravelOptions,
    pub wan: WanOptions,
}

/// Of every film.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommonOptions {
    /// How requested lengths meet the model's latents of 4 frames [default: latent]
    #[arg(long, help_heading = "Plan")]
    pub align: Option<Align>,

    /// When the model's mask keeps a latent [default: exact with --align latent, reference with exact]
    #[arg(long, help_heading = "Plan")]
    pub mask_rule: Option<MaskRule>,

    /// Also go on from the last one to the first; a single clip becomes a seamless loop
    #[arg(long = "loop", num_args = 0, default_missing_value = "true", help_heading = "Plan")]
    #[serde(rename = "loop", alias = "looped")]
    pub looped: Option<bool>,

    /// Frames per second of the result, such as 24 or 30000/1001 [default: the first clip's, of images 16]
    #[arg(long, value_name = "R", allow_hyphen_values = true, help_heading = "Film")]
    pub fps: Option<Fps>,

    /// Size of the result [default: the first clip's or image's]
    #[arg(long, value_name = "WxH", allow_hyphen_values = true, help_heading = "Film")]
    pub size: Option<Size>,

    /// The size in which a model generates frames, on its grid of 16; unsaid, the nearest one to the film's.
    #[arg(skip)]
    pub made_size: Option<Size>,

    /// How clips and images of another shape are fitted to that size [default: crop]
    #[arg(long, help_heading = "Film")]
    pub fit: Option<Fit>,

    /// Audio track of each clip: 1 is the first audio track of a file
    /// [default: the one that the file marks as default, else the first]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..).map(usize::from), allow_negative_numbers = true, help_heading = "Film")]
    pub audio_track: Option<usize>,

    /// Video track of each clip: 1 is the first video track of a file, covers not counted
    /// [default: the one that the file marks as default, else the first]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..).map(usize::from), allow_negative_numbers = true, help_heading = "Film")]
    pub video_track: Option<usize>,

    /// Bring clips and images in HDR (PQ, HLG) to BT.709; without it they are refused
    #[arg(long, num_args = 0, default_missing_value = "true", help_heading = "Film")]
    pub tone_map: Option<bool>,

    /// What generates the frames between clips or images [default: auto]
    #[arg(long, help_heading = "Engine")]
    pub engine: Option<EngineChoice>,
}

/// Of a join of clips.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinOptions {
    /// Frames (or seconds, 0.5s) of each clip shown to the engine at each seam
    /// [default: 8, with an image-to-video model 1]
    #[arg(long, value_name = "N|Ns", allow_hyphen_values = true, help_heading = "Plan")]
    pub context: Option<Length>,

    /// Frames (or seconds) to generate at each seam [default: 53, with --mode replace 16]
    #[arg(long, value_name = "N|Ns", allow_hyphen_values = true, help_heading = "Plan")]
    pub gap: Option<Length>,

    /// Where the generated frames go [default: insert]
    #[arg(long, help_heading = "Plan")]
    pub mode: Option<Mode>,

    /// Frames at each end of the generated frames that cross-fade with the clip's own [default: 0, with --engine wan 4]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).map(usize::from), help_heading = "Plan")]
    pub blend: Option<usize>,

    /// Generate frames A to B (B excluded) of one clip anew; length and sound stay; may be repeated, in order
    #[arg(long = "range", value_name = "A..B", allow_hyphen_values = true, help_heading = "Plan")]
    pub ranges: Option<Vec<FrameRange>>,

    /// Pin a frame at one and two thirds of the gap
    #[arg(long, num_args = 0, default_missing_value = "true", help_heading = "Plan")]
    pub anchors: Option<bool>,
}

/// Of a travel through images.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TravelOptions {
    /// How many segments there are, where the images do not say it.
    #[arg(skip)]
    pub segment_count: Option<usize>,

    /// Frames of each segment, both its images included [default: 81]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).map(|frames| Each::All(frames as usize)), allow_negative_numbers = true, help_heading = "Travel")]
    pub frames: Option<Each<usize>>,

    /// Frames of the previous segment given as context; a multiple of 4 [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).map(|frames| Each::All(frames as usize)), allow_negative_numbers = true, help_heading = "Travel")]
    pub overlap: Option<Each<usize>>,

    /// How a length is rounded that is not 4n+1 [default: down]
    #[arg(long, value_name = "WHERE", help_heading = "Travel")]
    pub round: Option<Round>,

    /// Whether the lengths of segments and overlaps are rounded to the model's latents of 4 frames [default: rounded]
    #[arg(long, value_name = "HOW", help_heading = "Travel")]
    pub lengths: Option<Lengths>,

    /// Opacity of the previous segment's frames over grey, 0 to 1 [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Travel")]
    pub strength: Option<f64>,

    /// Desaturation of the previous segment's frames, 0 to 1 [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Travel")]
    pub desaturate: Option<f64>,

    /// Brightness added to the previous segment's frames, -1 to 1 [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Travel")]
    pub brightness: Option<f64>,

    /// How segments that overlap cross-fade in the film [default: even]
    #[arg(long, value_name = "CURVE", help_heading = "Travel")]
    pub curve: Option<Curve>,

    /// Saturation and brightness of the frames generated after the first segment.
    #[arg(skip)]
    pub later: Option<Tone>,

    /// Whether the clip that the travel continues from stays out of the film.
    #[arg(skip)]
    pub apart: Option<bool>,

    /// Where structure clips guide the film; unsaid, each from its start frame by frame.
    #[arg(skip)]
    pub structure_use: Option<Vec<StructureUse>>,

    /// How structure clips are shown to the model.
    #[arg(skip)]
    pub treatment: Option<Treatment>,

    /// Seeds of the segments [default: same]
    #[arg(long, value_name = "MODE", help_heading = "Wan")]
    pub seed_mode: Option<SeedMode>,
}

/// Of a Wan model, its weights and its sampling.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WanOptions {
    /// Weights: a folder as published, or a file; high=, low=, vae=, text= and tokenizer= before a path say what it is
    #[arg(long, value_name = "PATH", help_heading = "Wan")]
    pub model: Option<Vec<Wanted>>,

    /// The model's files by the names they were published under; a part that `model` names goes before one of these.
    #[arg(skip)]
    pub model_files: Option<Published>,

    /// A LoRA and its weight, or one for each phase: PATH=1;0; may be repeated, and takes the place of the preset's
    #[arg(long = "lora", value_name = "PATH=W[;W...]", help_heading = "Wan")]
    pub loras: Option<Vec<LoraAsk>>,

    /// Of single segments, in place of `loras`, and of those that their own sampling says.
    #[arg(skip)]
    pub segment_loras: Option<Vec<Option<Vec<LoraAsk>>>>,

    /// Of single segments, in place of `phases`, `shift` and `solver`.
    #[arg(skip)]
    pub segment_sampling: Option<Vec<Option<SegmentSampling>>>,

    /// What the generated frames show
    #[arg(long = "prompt", value_name = "TEXT", help_heading = "Wan")]
    #[serde(alias = "prompt")]
    pub prompts: Option<Prompts>,

    /// What they do not show; needs a guidance above 1
    #[arg(long, value_name = "TEXT", help_heading = "Wan")]
    pub negative_prompt: Option<String>,

    /// Of single segments, in place of `negative_prompt`.
    #[arg(skip)]
    pub negative_prompts: Option<Vec<Option<String>>>,

    /// Which expert does how many steps, with which guidance. A source that says them hides what those below it say of
    /// steps, guidance and thresholds.
    #[arg(skip)]
    pub phases: Option<Vec<Phase>>,

    /// Denoising steps [default: the preset's, else 50, of two experts 40]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000).map(usize::from), allow_negative_numbers = true, help_heading = "Wan")]
    pub steps: Option<usize>,

    /// Guidance scale (CFG); one value, or one for each phase
    /// [default: the preset's, else 5, of two experts 3.5]
    #[arg(long, value_name = "G[;G...]", allow_hyphen_values = true, help_heading = "Wan")]
    pub guidance: Option<Guidance>,

    /// Timesteps, 0 to 1000, at which the next phase begins: for steps of which the phases do not say whose they are.
    #[arg(skip)]
    pub thresholds: Option<Vec<f64>>,

    /// Timestep shift; higher values spend more steps at high noise [default: the preset's, else the model folder's own, else 5, of two experts 8]
    #[arg(long, value_name = "S", value_parser = shift, allow_hyphen_values = true, help_heading = "Wan")]
    pub shift: Option<f64>,

    /// Solver of the denoising steps [default: the preset's, else unipc]
    #[arg(long, value_name = "SOLVER", help_heading = "Wan")]
    pub solver: Option<Solver>,

    /// Noise schedule: whose timesteps and sigmas
    /// [default: the preset's, else diffusers]
    #[arg(long, value_name = "GRID", help_heading = "Wan")]
    pub grid: Option<Grid>,

    /// The same seed makes the same frames; -1 is random [default: random]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(-1..).try_map(Seed::try_from), allow_hyphen_values = true, help_heading = "Wan")]
    pub seed: Option<Seed>,

    /// Of single segments, whatever the seed mode.
    #[arg(skip)]
    pub seeds: Option<Vec<Option<u64>>>,

    /// Number type of weights and computation [default: auto]
    #[arg(long, value_name = "DTYPE", help_heading = "Wan")]
    pub dtype: Option<Dtype>,

    /// Where noise is drawn from the seed [default: cpu]
    #[arg(long, value_name = "cpu|device", help_heading = "Wan")]
    pub noise: Option<Noise>,

    /// In how many of the first steps nothing moves, with guidance that is scaled after them (CFG-Zero*); 0 is plain
    /// guidance.
    #[arg(skip)]
    pub cfg_zero_steps: Option<usize>,

    /// How strongly the guide holds the model; 1 is as it was trained.
    #[arg(skip)]
    pub control_scale: Option<f64>,

    /// Tile size of the VAE in pixels: auto, off, or a number [default: auto]
    #[arg(long, value_name = "TILE", help_heading = "Wan")]
    pub vae_tile: Option<VaeTile>,

    /// Where the model's layers wait while others compute [default: auto]
    #[arg(long, value_name = "WHERE", help_heading = "Wan")]
    pub offload: Option<Offload>,
}

/// Of the finished file alone.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilmOptions {
    /// [default: h264]
    #[arg(long, help_heading = "Film", help = "Video codec [default: h264]")]
    pub codec: Option<Codec>,

    /// Quality of the encode, lower is better and larger [default: 14]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Film")]
    pub crf: Option<u32>,

    /// x264 preset, slower is smaller; with --codec h264 only [default: medium]
    #[arg(long, value_name = "PRESET", help_heading = "Film")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x264_preset: Option<X264Preset>,

    /// FFV1 RGB in mkv: decoded frames equal the frames computed, byte for byte
    #[arg(long, num_args = 0, default_missing_value = "true", help_heading = "Film")]
    pub lossless: Option<bool>,

    /// Keep the clips' sound, mute it, or take it from a file [default: keep]
    #[arg(long, value_name = "keep|mute|FILE", value_parser = audio(), help_heading = "Film")]
    pub audio: Option<Audio>,
}

/// Of how the engine works: a run can be gone on with under other ones.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Where the engine computes: auto, cpu, cuda, cuda:N, or several GPUs that work at once: cuda:N,N
    /// [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Engine")]
    pub device: Option<Devices>,

    /// Threads of the engine [default: one for every core, shared among --jobs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024).map(usize::from), allow_negative_numbers = true, help_heading = "Engine")]
    pub threads: Option<usize>,

    /// Engines that work at once on the CPU, each with the model in memory [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64).map(usize::from), allow_negative_numbers = true, help_heading = "Engine")]
    pub jobs: Option<usize>,
}

/// A file that is there under this name, in whichever Unicode form it is stored.
pub fn existing_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| file_names::typed(&path))
}

fn audio() -> impl TypedValueParser<Value = Audio> {
    existing_file().map(|audio| match audio.to_str() {
        Some("keep") => Audio::Keep,
        Some("mute") => Audio::Mute,
        _ => Audio::File(audio),
    })
}

fn shift(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| (0.01..=100.0).contains(value));
    value.ok_or_else(|| format!("`{text}` is no shift, wanted a number from 0.01 to 100"))
}

/// Names that options had in runs recorded by version 1.
const OLD_NAMES: [(&str, &str); 3] =
    [("segments", "segment_count"), ("structure", "structure_use"), ("published", "model_files")];

/// Names of options that YAML and older recorded runs have besides.
const ALIASES: [&str; 2] = ["looped", "prompt"];

/// The fields of a group that say something, by their names.
fn said(group: &impl Serialize) -> impl Iterator<Item = (String, Value)> {
    fields(group).filter(|(_, value)| !value.is_null())
}

fn fields(group: &impl Serialize) -> impl Iterator<Item = (String, Value)> {
    let value = serde_json::to_value(group).expect("an option has only string keys");
    let Value::Object(fields) = value else { unreachable!("a group of options is a structure") };
    fields.into_iter()
}

/// Of these, from the lowest to the highest: of each option what the highest says that says something.
pub(super) fn merged<'a, G: Serialize + DeserializeOwned + 'a>(groups: impl IntoIterator<Item = &'a G>) -> G {
    let all: Map<String, Value> = groups.into_iter().flat_map(|group| said(group)).collect();
    serde_json::from_value(Value::Object(all)).expect("options are read as they are written")
}

/// The flags of the options in a group that say something, with the headings under which help lists them.
pub fn flags_said<G: clap::Args + Serialize>(group: &G) -> Vec<(String, String)> {
    let command = G::augment_args(clap::Command::new("options"));
    let flag = |(name, _): (String, Value)| {
        let is_it = |arg: &&clap::Arg| arg.get_id() == name.as_str() || arg.get_long() == Some(&name);
        let arg = command.get_arguments().find(is_it)?;
        Some((format!("--{}", arg.get_long()?), arg.get_help_heading().unwrap_or_default().to_owned()))
    };
    said(group).filter_map(flag).collect()
}

impl Options {
    /// The names of all options, as YAML and JSON have them.
    pub fn names() -> Vec<String> {
        let Self { common, join, travel, wan } = Self::default();
        let all = fields(&common).chain(fields(&join)).chain(fields(&travel)).chain(fields(&wan));
        all.map(|(name, _)| name).chain(ALIASES.map(str::to_owned)).collect()
    }

    /// Everything that is said, by its name.
    pub fn said(&self) -> Map<String, Value> {
        let Self { common, join, travel, wan } = self;
        said(common).chain(said(join)).chain(said(travel)).chain(said(wan)).collect()
    }

    /// Reads every group with `read`, which takes of a text what the group has fields for.
    pub(super) fn of_groups<E>(read: &impl GroupReader<Error = E>) -> Result<Self, E> {
        Ok(Self { common: read.group()?, join: read.group()?, travel: read.group()?, wan: read.group()? })
    }

    /// The flags among these of what only a Wan model heeds.
    pub fn wan_flags(&self) -> Vec<String> {
        let flags = flags_said(&self.wan).into_iter().chain(flags_said(&self.travel));
        let flags = flags.filter(|(_, heading)| heading == "Wan").map(|(flag, _)| flag);
        let of_file = matches!(self.wan.prompts, Some(Prompts::File(_)));
        flags.map(|flag| if of_file && flag == "--prompt" { "--prompts".into() } else { flag }).collect()
    }

    /// The tracks that are requested of each clip.
    pub fn tracks(&self) -> TrackChoice {
        TrackChoice { video: self.common.video_track, audio: self.common.audio_track }
    }
}

/// Where the groups of options are read from, each by itself.
pub(super) trait GroupReader {
    type Error;
    fn group<G: DeserializeOwned>(&self) -> Result<G, Self::Error>;
}

impl GroupReader for Map<String, Value> {
    type Error = serde_json::Error;

    fn group<G: DeserializeOwned>(&self) -> Result<G, serde_json::Error> {
        G::deserialize(self)
    }
}

impl GroupReader for &str {
    type Error = YamlError;

    fn group<G: DeserializeOwned>(&self) -> Result<G, YamlError> {
        yaml::read(self)
    }
}

/// A YAML text that says options and, under `keys`, more. Each is read by itself, since serde's `flatten` would lose the
/// lines of what is wrong.
pub(super) fn read_with_options<T: DeserializeOwned>(text: &str, keys: &[&str]) -> Result<(T, Options), YamlError> {
    let names: Vec<String> = keys.iter().map(ToString::to_string).chain(Options::names()).collect();
    yaml::check_keys(text, |key| (!names.iter().any(|name| name == key)).then(|| unknown_field(key, &names)))?;
    Ok((yaml::read(text)?, Options::of_groups(&text)?))
}

impl From<CommonOptions> for Options {
    fn from(common: CommonOptions) -> Self {
        Self { common, ..Self::default() }
    }
}

impl From<JoinOptions> for Options {
    fn from(join: JoinOptions) -> Self {
        Self { join, ..Self::default() }
    }
}

impl From<WanOptions> for Options {
    fn from(wan: WanOptions) -> Self {
        Self { wan, ..Self::default() }
    }
}

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.said().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Map::deserialize(deserializer)?;
        for (old, name) in OLD_NAMES {
            if let Some(value) = map.remove(old) {
                map.insert(name.into(), value);
            }
        }
        let names = Self::names();
        if let Some(unknown) = map.keys().find(|key| !names.contains(key)) {
            return Err(D::Error::custom(unknown_field(unknown, &names)));
        }
        Self::of_groups(&map).map_err(D::Error::custom)
    }
}

/// In serde's words.
pub(super) fn unknown_field(found: &str, known: &[String]) -> String {
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("unknown field `{found}`, expected one of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn command() -> Command {
        let command = CommonOptions::augment_args(Command::new("wanctl").no_binary_name(true));
        WanOptions::augment_args(TravelOptions::augment_args(JoinOptions::augment_args(command)))
    }

    fn typed(words: &str) -> Options {
        let found = command().try_get_matches_from(words.split(' ')).unwrap();
        Options {
            common: CommonOptions::from_arg_matches(&found).unwrap(),
            join: JoinOptions::from_arg_matches(&found).unwrap(),
            travel: TravelOptions::from_arg_matches(&found).unwrap(),
            wan: WanOptions::from_arg_matches(&found).unwrap(),
        }
    }

    /// Every flag that there is, with a value.
    const ALL: &str = "--align exact --mask-rule reference --loop --fps 30000/1001 --size 902x508 --fit pad --audio-track 2 \
        --video-track 1 --tone-map --engine wan --context 9 --gap 0.5s --mode replace --blend 3 --range 2..5 --range 7..9 \
        --anchors --frames 49 --overlap 8 --round up --lengths unrounded --strength 0.5 --desaturate 0.25 \
        --brightness -0.5 --curve sharpened --seed-mode hash --model high=a.safetensors --model vae=b.safetensors \
        --lora c.safetensors=1;0 --prompt fox --negative-prompt dog --steps 6 --guidance 3.5;1 --shift 5 --solver lcm \
        --grid wan2gp --seed 0 --dtype bf16 --noise device --vae-tile 256 --offload blocks";

    #[test]
    fn every_option_has_one_name_and_every_flag_is_one_of_them() {
        let Options { common, join, travel, wan } = Options::default();
        let names: Vec<String> =
            [fields(&common).collect::<Vec<_>>(), fields(&join).collect(), fields(&travel).collect()]
                .into_iter()
                .chain([fields(&wan).collect()])
                .flat_map(|fields| fields.into_iter().map(|(name, _)| name))
                .collect();
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        for arg in command().get_arguments() {
            let long = arg.get_long().unwrap().to_owned();
            assert!(names.contains(&arg.get_id().to_string()) || names.contains(&long), "--{long}");
            assert!(ALL.split(' ').any(|word| word == format!("--{long}")), "--{long} is not in the test");
        }
    }

    #[test]
    fn what_is_typed_is_the_same_in_json_and_in_yaml_and_is_known_by_its_flags() {
        let options = typed(ALL);
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&json).unwrap(), options, "{json}");
        // JSON is YAML.
        let (_, read): (serde::de::IgnoredAny, Options) = read_with_options(&json, &[]).unwrap();
        assert_eq!(read, options);
        let flags = [
            flags_said(&options.common),
            flags_said(&options.join),
            flags_said(&options.travel),
            flags_said(&options.wan),
        ];
        let found: BTreeSet<String> = flags.concat().into_iter().map(|(flag, _)| flag).collect();
        let wanted: BTreeSet<String> =
            ALL.split(' ').filter(|word| word.starts_with("--")).map(str::to_owned).collect();
        assert_eq!(found, wanted);
        assert!(flags_said(&WanOptions::default()).is_empty());
    }

    #[test]
    fn the_flags_of_a_wan_model_are_those_under_its_heading() {
        assert_eq!(typed("--gap 8 --seed-mode hash --steps 4 --fps 24").wan_flags(), ["--steps", "--seed-mode"]);
        let mut options = typed("--prompt fox");
        assert_eq!(options.wan_flags(), ["--prompt"]);
        options.wan.prompts = Some(Prompts::File("prompts.txt".into()));
        assert_eq!(options.wan_flags(), ["--prompts"]);
    }

    #[test]
    fn people_may_write_an_option_in_its_short_form() {
        let text = "size: 902x508\nfps: 23.976\nloop: true\nprompt: a fox\nguidance: [3, 1]\nframes: [49, 81]\ncurve: sharpened\nvae_tile: 256\n\
                    loras: [style.safetensors=0.8, {file: fast.safetensors, weights: 1;0}]\n";
        let (_, options): (serde::de::IgnoredAny, Options) = read_with_options(text, &[]).unwrap();
        assert_eq!((options.common.size, options.common.looped), (Some(Size::new(902, 508)), Some(true)));
        assert_eq!(options.common.fps, "24000/1001".parse().ok());
        assert_eq!(options.wan.prompts, Some(Prompts::One("a fox".into())));
        assert_eq!(options.wan.guidance, Some(Guidance::Each(vec![3.0, 1.0])));
        assert_eq!(options.travel.frames, Some(Each::Each(vec![49, 81])));
        assert_eq!(options.travel.curve, Some(Curve::Sharpened(Curve::SHARPENING)));
        assert_eq!(options.wan.vae_tile, Some(VaeTile::Pixels(256)));
        assert_eq!(options.wan.loras.unwrap().len(), 2);
        for (text, words) in [
            ("siz: 902x508\n", "unknown field `siz`"),
            ("steps: many\n", "line 1"),
            ("gap: 8\nsize: 90x\n", "`90x` is no size"),
            ("loras: [style.safetensors]\n", "wanted a path, `=` and a weight"),
            ("fps: [24]\n", "wanted a rate such as 24 or 30000/1001"),
            ("guidance: high\n", "wanted a number, or one for each phase"),
            ("curve: cubic\n", "`cubic` is no curve"),
            ("vae_tile: 100\n", "`100` is no tile"),
        ] {
            let read: Result<(serde::de::IgnoredAny, Options), _> = read_with_options(text, &[]);
            let problem = read.map(drop).unwrap_err().to_string();
            assert!(problem.contains(words), "{text} {problem}");
        }
    }
}
