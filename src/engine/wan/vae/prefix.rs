//! What a video's constant beginning encodes to, kept for the next video that begins so.
//!
//! A video to fill in is grey for as long as the clip before the seam is shown. Latents of such a beginning depend only
//! on its colour and on the sides of the picture, and so does what the encoder remembers of it.

use std::ops::Range;

use tch::Tensor;

use super::causal_cache::CausalCache;

/// Beginnings met so far. For large pictures it is large, since it holds what the encoder remembers after each of them:
/// let it go with the encoder.
#[derive(Debug, Default)]
pub(crate) struct Prefix(Vec<(Key, Made)>);

/// Beginnings with the same key differ in length only.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Key {
    value: f64,
    /// Of the picture, in pixels.
    sides: (i64, i64),
    /// Other chunks mean other rounding.
    chunk: i64,
}

/// The chunks with which a video begins that are all of one value.
#[derive(Debug)]
pub(super) struct Beginning {
    key: Key,
    /// Of each of these chunks, in latent frames.
    ends: Vec<i64>,
}

impl Beginning {
    /// `read` gives the pixels [1, 3, f, H, W] of a chunk.
    pub(super) fn of(read: &dyn Fn(&Range<i64>) -> Tensor, chunks: &[Range<i64>]) -> Option<Self> {
        let first = read(chunks.first()?);
        let sides = (first.size()[3], first.size()[4]);
        let value = constant(&first)?;
        let alike = chunks[1..].iter().take_while(|chunk| constant(&read(chunk)) == Some(value));
        let ends = chunks[..1].iter().chain(alike).map(|chunk| chunk.end).collect();
        let chunk = chunks.get(1).map_or(1, |chunk| chunk.end - chunk.start);
        Some(Self { key: Key { value, sides, chunk }, ends })
    }
}

/// How far an encoder has come.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Latent frames.
    pub frames: i64,
    /// Each [T, h, w, Z].
    pub latents: Vec<Tensor>,
    pub tails: CausalCache,
}

impl Made {
    fn share(&self) -> Self {
        let latents = self.latents.iter().map(Tensor::shallow_clone).collect();
        Self { frames: self.frames, latents, tails: self.tails.share() }
    }
}

impl Prefix {
    pub(super) fn known(&self, beginning: &Beginning) -> Option<Made> {
        let fits = |(key, made): &&(Key, Made)| *key == beginning.key && beginning.ends.contains(&made.frames);
        self.0.iter().find(fits).map(|(_, made)| made.share())
    }

    /// Keeps what was made if it is the whole `beginning`, in place of a longer one: this one serves both.
    pub(super) fn keep(&mut self, beginning: &Beginning, made: &Made) {
        if beginning.ends.last() == Some(&made.frames) {
            self.0.retain(|(key, _)| *key != beginning.key);
            self.0.push((beginning.key, made.share()));
        }
    }
}

/// The one value of all pixels.
fn constant(pixels: &Tensor) -> Option<f64> {
    let (least, most) = pixels.aminmax(None, false);
    let (least, most) = (least.double_value(&[]), most.double_value(&[]));
    (least == most).then_some(least)
}
