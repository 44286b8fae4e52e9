//! What the causal convolutions of a video network remember between two chunks of a video.

use tch::{Device, Kind, Tensor};

/// One place per convolution, handed out in the order in which a chunk meets them.
#[derive(Debug, Default)]
pub(super) struct CausalCache(Vec<Option<Tensor>>);

impl CausalCache {
    /// For one chunk: the first of a video is its first frame alone.
    pub(super) fn turn(&mut self) -> Turn<'_> {
        Turn { opening: self.0.is_empty(), tails: &mut self.0, next: 0 }
    }

    /// The same memory a second time. It costs nothing until one of the two goes on: tails are replaced, not changed.
    pub(super) fn share(&self) -> Self {
        Self(self.0.iter().map(|tail| tail.as_ref().map(Tensor::shallow_clone)).collect())
    }
}

/// The way of one chunk past all the tails.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    tails: &'a mut Vec<Option<Tensor>>,
    opening: bool,
    next: usize,
}

impl Turn<'_> {
    /// Whether this chunk is the video's first frame, for which nothing is remembered.
    pub(super) fn opening(&self) -> bool {
        self.opening
    }

    pub(super) fn next(&mut self) -> &mut Option<Tensor> {
        if self.opening {
            self.tails.push(None);
        }
        self.next += 1;
        &mut self.tails[self.next - 1]
    }

    /// Writes a chunk of `size` [T, H, W, C] behind the `past` frames before it and remembers the new last ones.
    /// Returns [past + T, H, W, C]; what came before the video is zero.
    ///
    /// `write` fills the chunk's place, so that nothing is made first and copied then.
    pub(super) fn follow(
        &mut self,
        past: i64,
        size: [i64; 4],
        place: (Kind, Device),
        write: impl FnOnce(Tensor),
    ) -> Tensor {
        let [frames, height, width, channels] = size;
        let joined = Tensor::empty([past + frames, height, width, channels], place);
        let tail = self.next();
        let kept = tail.take();
        let known = kept.as_ref().map_or(0, |kept| kept.size()[0]);
        if known < past {
            let _ = joined.narrow(0, 0, past - known).zero_();
        }
        if let Some(kept) = kept {
            joined.narrow(0, past - known, known).copy_(&kept);
        }
        write(joined.narrow(0, past, frames));
        *tail = Some(joined.narrow(0, frames, past).copy());
        joined
    }
}
