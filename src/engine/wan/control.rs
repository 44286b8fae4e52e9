//! What VACE is shown: the guide as latents, what is known apart from what is to change, and the mask packed beside them.
//!
//! After `prepare_video_latents` and `prepare_masks` of diffusers 0.42.1, `pipelines/wan/pipeline_wan_vace.py`. Masks here
//! are whole frames and whole latents, as plan.json has them.

use std::ops::Range;

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    job::{GuideHead, SlotKind},
    video::Size,
};

use super::{
    pixels,
    vae::{Encoder, Pixels, Prefix, VaeError, Way},
};

/// Pixels of a latent's side: as many channels of the mask.
const SIDE: i64 = 8;

/// A guide on its way to the model.
#[derive(Debug)]
pub(crate) struct Guide<'a> {
    pub(crate) head: &'a GuideHead,
    /// 8-bit RGB.
    pub(crate) frames: &'a [Vec<u8>],
}

/// One of the two videos that a guide becomes.
struct Half<'a> {
    guide: &'a Guide<'a>,
    /// Whether it holds the frames that are to change, or those that stay.
    reactive: bool,
    device: Device,
}

impl Pixels for Half<'_> {
    fn sides(&self) -> [i64; 3] {
        let Size { width, height } = self.guide.head.size;
        [self.guide.frames.len() as i64, height.into(), width.into()]
    }

    fn read(&self, frames: Range<i64>) -> Tensor {
        let head = self.guide.head;
        let frame = |index: i64| {
            let index = index as usize;
            let is_shown = head.slots[index] != SlotKind::Fill && (head.mask[index] > 0.5) == self.reactive;
            match is_shown {
                true => pixels::shown(&self.guide.frames[index], head.size, self.device),
                false => pixels::nothing(head.size, self.device),
            }
        };
        Tensor::cat(&frames.map(frame).collect::<Vec<_>>(), 2)
    }
}

/// [1, 2·16 + 64, T, H/8, W/8]: latents of what stays, of what changes, and the mask.
pub(crate) fn control(
    encoder: &Encoder,
    guide: &Guide<'_>,
    way: &Way,
    mut prefix: Option<&mut Prefix>,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Tensor, VaeError> {
    let mut halves = vec![];
    for (number, reactive) in [false, true].into_iter().enumerate() {
        let half = Half { guide, reactive, device };
        let mut each = |done: usize, of: usize| progress(number * of + done, 2 * of);
        halves.push(encoder.encode(&half, way, prefix.as_deref_mut(), &mut each)?);
    }
    let (_, _, _, height, width) = halves[0].size5().expect("latents [1, C, T, H, W]");
    let latents = Tensor::from_slice(&guide.head.latent_mask).to_kind(Kind::Float).to_device(device);
    let mask = latents.reshape([1, 1, -1, 1, 1]).expand([1, SIDE * SIDE, -1, height, width], false);
    Ok(Tensor::cat(&[&halves[0], &halves[1], &mask], 1))
}
