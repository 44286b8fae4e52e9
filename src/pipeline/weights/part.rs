//! The parts of a model.

/// What a model cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Transformer,
    /// The base that a module is laid over.
    Base,
    High,
    Low,
    Vae,
    Text,
    Tokenizer,
}

impl Part {
    /// As a message has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformer => "the transformer",
            Self::Base => "the transformer that the VACE module belongs to",
            Self::High => "the high-noise expert",
            Self::Low => "the low-noise expert",
            Self::Vae => "the VAE",
            Self::Text => "the text encoder",
            Self::Tokenizer => "the tokenizer",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Transformer => "give a transformer with --model FILE, or a model's folder",
            Self::Base => "give the text-to-video model as well, --model FILE",
            Self::High => "give the other expert with --model high=FILE",
            Self::Low => "give the other expert with --model low=FILE",
            Self::Vae => "give it with --model vae=FILE",
            Self::Text => "give umT5-XXL with --model text=FILE",
            Self::Tokenizer => {
                "give the tokenizer.json of umT5 with --model tokenizer=FILE (google/umt5-xxl/ or tokenizer/ in Wan's repositories)"
            }
        }
    }
}
