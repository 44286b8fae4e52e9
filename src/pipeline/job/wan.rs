//! What a job asks of a Wan model.

use clap::ValueEnum;
use std::path::PathBuf;
use strum::{Display, EnumString};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::pipeline::{
    job::schedule::{Expert, Solver, Step},
    weights::{CheckpointError, Fit, ModelFiles},
};

/// What a Wan model is asked, and with which weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wan {
    pub models: ModelFiles,
    /// Laid over the transformer; where several change a tensor, they add.
    pub loras: Vec<LoraUse>,
    pub prompt: String,
    pub negative_prompt: String,
    pub solver: Solver,
    pub steps: Vec<Step>,
    pub seed: u64,
    pub noise: Noise,
    pub dtype: Dtype,
    pub vae_tile: VaeTile,
    pub offload: Offload,
    /// How strongly the guide holds the model; 1 is as it was trained.
    pub control_scale: f64,
    /// None: plain guidance.
    pub cfg_zero: Option<CfgZero>,
}

/// A LoRA, and how strong it is at every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraUse {
    pub file: PathBuf,
    pub strengths: Vec<f64>,
}

/// Guidance as CFG-Zero* has it (arXiv 2503.18886): the negative prompt's velocity is scaled to meet the prompt's best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CfgZero {
    /// In so many of the first steps nothing moves, and no network is asked.
    pub zero_steps: usize,
}

/// How strong a LoRA is in the steps of one expert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strength {
    /// 0 in all of them: it need not be there.
    None,
    Constant(f64),
    Changing,
}

impl Wan {
    /// `None` where it has not one strength for each step.
    pub fn strength(&self, lora: &LoraUse, expert: Expert) -> Option<Strength> {
        if lora.strengths.len() != self.steps.len() {
            return None;
        }
        let each = self.steps.iter().zip(&lora.strengths);
        let mut own = each.filter(|(step, _)| step.expert == expert).map(|(_, strength)| *strength);
        let first = own.next().unwrap_or(0.0);
        Some(match own.all(|strength| strength == first) {
            true if first == 0.0 => Strength::None,
            true => Strength::Constant(first),
            false => Strength::Changing,
        })
    }

    /// Holds every LoRA against the transformer, by its header alone.
    pub fn check_loras(&self) -> Result<(), CheckpointError> {
        for lora in &self.loras {
            let (_, fit) = Fit::open(&lora.file, &self.models.transformer)?;
            let changes = |expert| self.strength(lora, expert) == Some(Strength::Changing);
            if changes(Expert::High) || changes(Expert::Low) {
                fit.varies(&lora.file)?;
            }
        }
        Ok(())
    }
}

/// In which numbers the networks compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Dtype {
    /// bf16 with CUDA, f32 on the CPU
    Auto,
    Bf16,
    F16,
    F32,
    /// The transformer blocks' weights in 8 bits with a scale for each row, the rest as with auto; products in 8 bits too
    /// where the GPU has them (compute capability 8.9)
    Fp8,
}

/// Where noise is drawn from the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Noise {
    /// The same noise on every machine
    Cpu,
    /// As programs that draw noise on the GPU; another GPU may draw other noise
    Device,
}

/// Where the transformer's layers are while others of them work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Offload {
    /// On the device if they fit, else blocks
    Auto,
    /// All layers stay on the device
    None,
    /// Layers are loaded one or two at a time, from the host's memory or the weights file
    Blocks,
}

/// Whether the VAE sees the picture in parts, which saves memory and changes the picture a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", remote = "Self")]
pub enum VaeTile {
    /// In parts where the whole does not fit.
    Auto,
    Off,
    /// In parts of so many pixels.
    Pixels(u32),
}

impl Serialize for VaeTile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// From a word or a number as on the command line, or as it is written.
impl<'de> Deserialize<'de> for VaeTile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "wanted auto, off, or a multiple of 32 from 64 to 4096")]
        enum Either {
            Pixels(u32),
            Word(String),
            Written(#[serde(with = "VaeTile")] VaeTile),
        }
        let word = match Either::deserialize(deserializer)? {
            Either::Pixels(pixels) => pixels.to_string(),
            Either::Word(word) => word,
            Either::Written(tile) => return Ok(tile),
        };
        word.parse().map_err(Error::custom)
    }
}

impl std::str::FromStr for VaeTile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => match text.parse() {
                Ok(pixels @ 64..=4096) if pixels % 32 == 0 => Ok(Self::Pixels(pixels)),
                _ => Err(format!("`{text}` is no tile, wanted auto, off, or a multiple of 32 from 64 to 4096 pixels")),
            },
        }
    }
}

/// The parts of the engine's work that are counted by themselves: those of a Wan model in order, then those of the
/// interpolation network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The prompts are read.
    Text,
    /// The guide becomes latents.
    Encode,
    /// A network is brought to the device.
    Load,
    /// Noise becomes latents, step by step.
    Denoise,
    /// Latents become frames.
    Decode,
    /// How the clips move is measured.
    Motion,
    /// Frames are drawn from it.
    Frames,
}

impl Part {
    /// As a word for people and for events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "prompt",
            Self::Encode => "encode",
            Self::Load => "load",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
            Self::Motion => "motion",
            Self::Frames => "frames",
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype as Stored, TensorView};

    use super::*;
    use crate::pipeline::{job::schedule::Step, weights::Transformer};

    /// Two steps of the high expert and two of the low one, with a LoRA of these strengths.
    fn asked(file: &std::path::Path, strengths: &[f64]) -> Wan {
        let transformer = Transformer {
            dim: 128,
            heads: 1,
            head_dim: 128,
            layers: 1,
            ffn: 8,
            in_channels: 16,
            out_channels: 16,
            text_dim: 4,
            freq_dim: 4,
            vace: None,
            image: None,
        };
        let models = ModelFiles {
            high: vec![],
            low: vec![],
            vae: vec![],
            text: vec![],
            tokenizer: "tokenizer.json".into(),
            boundary: None,
            flow_shift: None,
            transformer,
        };
        let step = |expert| Step { sigma: 1.0, next: 0.5, timestep: 999.0, expert, guidance: 1.0 };
        Wan {
            models,
            loras: vec![LoraUse { file: file.into(), strengths: strengths.into() }],
            prompt: String::new(),
            negative_prompt: String::new(),
            solver: Solver::Euler,
            steps: [Expert::High, Expert::High, Expert::Low, Expert::Low].map(step).into(),
            seed: 0,
            noise: Noise::Cpu,
            dtype: Dtype::Auto,
            vae_tile: VaeTile::Auto,
            offload: Offload::Auto,
            control_scale: 1.0,
            cfg_zero: None,
        }
    }

    #[test]
    fn a_lora_is_absent_constant_or_changing_in_the_steps_of_an_expert() {
        use Strength::{Changing, Constant, None as Absent};
        for (strengths, wanted) in [
            (&[1.2, 1.2, 0.0, 0.0][..], [Some(Constant(1.2)), Some(Absent)]),
            (&[0.0, -1.0, 0.5, 0.5], [Some(Changing), Some(Constant(0.5))]),
            (&[0.0, 0.0, 1.0, 0.0], [Some(Absent), Some(Changing)]),
            (&[1.0], [None, None]),
        ] {
            let wan = asked("lora".as_ref(), strengths);
            let found = [Expert::High, Expert::Low].map(|expert| wan.strength(&wan.loras[0], expert));
            assert_eq!(found, wanted, "{strengths:?}");
        }
    }

    #[test]
    fn what_a_lora_cannot_do_is_said_from_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, shape: &[usize]| {
            let bytes = vec![0; 2 * shape.iter().product::<usize>()];
            let view = TensorView::new(Stored::F16, shape.into(), &bytes).unwrap();
            let path = folder.path().join("lora.safetensors");
            std::fs::write(&path, safetensors::serialize([(name, view)], None).unwrap()).unwrap();
            path
        };
        let norm = write("diffusion_model.blocks.0.norm3.diff", &[128]);
        asked(&norm, &[1.0, 1.0, 0.0, 0.0]).check_loras().unwrap();
        for strengths in [[1.0, 0.5, 1.0, 1.0], [1.0, 1.0, 0.5, 1.0]] {
            let error = asked(&norm, &strengths).check_loras().unwrap_err().to_string();
            assert!(error.contains("cannot change its strength") && error.contains("norm3.diff"), "{error}");
        }
        let wrong = write("diffusion_model.blocks.0.ffn.0.diff", &[8, 64]);
        let error = asked(&wrong, &[1.0; 4]).check_loras().unwrap_err().to_string();
        assert!(error.contains("has shape [8, 64], expected [8, 128]"), "{error}");
    }
}
