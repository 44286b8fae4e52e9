//! The names that models have in our code, from whatever a file calls them.
//!
//! Files come in three namings: the original repositories' (Comfy's is that one, with or without a prefix), diffusers'
//! and Hugging Face's. Transformer and VAE go by diffusers' names here, the encoders by Hugging Face's.

mod clip;
mod text;
mod transformer;
mod vae;

use serde::{Deserialize, Serialize};

pub(super) use text::{FIRST_NAME as WORDS, SECOND_NAME as WORDS_AGAIN};
pub(super) use transformer::{canonical as transformer_name, modules as transformer_modules};

/// What a file's tensors are a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    Transformer,
    Vae,
    TextEncoder,
    ClipVision,
    Lora,
}

/// Where a stored tensor goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Whole(String),
    /// Without the sides of one in front.
    Flat(String),
    /// Several of ours, one above the other in its rows.
    Rows([String; 3]),
    /// Nothing of what wanctl computes reads it.
    Unused,
}

/// Beginnings that say only that the file holds a model.
pub(super) const PREFIXES: &[&str] = &["model.diffusion_model.", "diffusion_model."];

impl Family {
    const MODELS: [Self; 4] = [Self::Transformer, Self::Vae, Self::TextEncoder, Self::ClipVision];

    /// The family that knows most of the names; ties and `None` are no family of ours.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let counts = Self::MODELS.map(|family| names.clone().filter(|name| family.knows(name)).count());
        let most = counts.into_iter().max().filter(|most| *most > 0)?;
        let mut best = Self::MODELS.into_iter().zip(counts).filter(|(_, count)| *count == most);
        best.next().filter(|_| best.next().is_none()).map(|(family, _)| family)
    }

    /// By its name in our code; a name that nobody knows stays as it is.
    pub(super) fn target(self, name: &str) -> Target {
        match self {
            Self::Transformer => transformer::target(name),
            Self::Vae => Target::Whole(vae::canonical(name)),
            Self::TextEncoder => text::target(name),
            Self::ClipVision => clip::target(name),
            Self::Lora => Target::Whole(name.to_owned()),
        }
    }

    fn knows(self, name: &str) -> bool {
        match (self, self.target(name)) {
            (_, Target::Unused) => false,
            (_, Target::Rows(_) | Target::Flat(_)) => true,
            (Self::Transformer, Target::Whole(name)) => transformer::knows(&name),
            (Self::Vae, Target::Whole(name)) => vae::knows(&name),
            (Self::TextEncoder, Target::Whole(name)) => text::knows(&name),
            (Self::ClipVision, Target::Whole(name)) => clip::knows(&name),
            (Self::Lora, _) => false,
        }
    }
}

/// Whether `name` is a tensor of a transformer, in our names.
pub(super) fn is_transformer_tensor(name: &str) -> bool {
    transformer::knows(name)
}

/// Their name and ours. An entry that ends with a dot is a beginning, another is the whole name.
type Table = &'static [(&'static str, &'static str)];

fn renamed(table: Table, name: &str) -> Option<String> {
    table.iter().find_map(|(theirs, ours)| match name.strip_prefix(theirs)? {
        "" => Some((*ours).to_owned()),
        rest if theirs.ends_with('.') => Some(format!("{ours}{rest}")),
        _ => None,
    })
}

/// Whether the table has `name` on our side.
fn known(table: Table, name: &str) -> bool {
    table.iter().any(|(_, ours)| name == *ours || ours.ends_with('.') && name.starts_with(ours))
}

/// `blocks.3.rest` after `blocks.`: the number as it stands, and the rest.
fn numbered(name: &str) -> Option<(&str, &str)> {
    let (number, rest) = name.split_once('.')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some((number, rest))
}

#[cfg(test)]
pub(super) mod tests;
