//! What a model is shown: the guide as latents, what is known apart from what is to change, and a mask.
//!
//! For VACE after `prepare_video_latents` and `prepare_masks` of diffusers 0.42.1, `pipelines/wan/pipeline_wan_vace.py`; for
//! image-to-video after `prepare_latents` in `pipeline_wan_i2v.py` there. Masks here are whole frames and whole latents, as
//! plan.json has them.

use std::ops::Range;

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    checkpoint::Conditioning,
    job::{GuideHead, SlotKind},
    video::Size,
};

use super::{
    pixels,
    vae::{Encoder, Pixels, Prefix, VaeError, Way},
};

/// Pixels of a latent's side: as many channels of the mask.
const SIDE: i64 = 8;
/// Frames of a latent after the first.
const FRAMES: i64 = 4;

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

/// How a guide is encoded.
pub(crate) struct Encode<'a> {
    pub(crate) encoder: &'a Encoder,
    pub(crate) way: &'a Way,
    pub(crate) device: Device,
}

/// VACE: [1, 2·16 + 64, T, H/8, W/8], latents of what stays, of what changes, and the mask. Image-to-video:
/// [1, 4 + 16, T, H/8, W/8], the mask, frame by frame, and latents of what stays.
pub(crate) fn control(
    conditioning: Conditioning,
    guide: &Guide<'_>,
    encode: &Encode<'_>,
    mut prefix: Option<&mut Prefix>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Tensor, VaeError> {
    let &Encode { encoder, way, device } = encode;
    let wanted: &[bool] = match conditioning {
        Conditioning::Vace => &[false, true],
        Conditioning::Images => &[false],
    };
    let mut halves = vec![];
    for (number, &reactive) in wanted.iter().enumerate() {
        let half = Half { guide, reactive, device };
        let mut each = |done: usize, of: usize| progress(number * of + done, wanted.len() * of);
        halves.push(encoder.encode(&half, way, prefix.as_deref_mut(), &mut each)?);
    }
    let (_, _, _, height, width) = halves[0].size5().expect("latents [1, C, T, H, W]");
    let masked = |mask: Tensor, channels: i64| mask.to_device(device).expand([1, channels, -1, height, width], false);
    Ok(match &halves[..] {
        [stays, changes] => {
            let mask = Tensor::from_slice(&guide.head.latent_mask).to_kind(Kind::Float).reshape([1, 1, -1, 1, 1]);
            Tensor::cat(&[stays, changes, &masked(mask, SIDE * SIDE)], 1)
        }
        [stays] => Tensor::cat(&[&masked(frame_mask(&guide.head.mask), FRAMES), stays], 1),
        _ => unreachable!("one half or two"),
    })
}

/// 1 where a frame is given, the four frames of a latent as its channels; the first latent has one frame, four times:
/// [1, 4, T, 1, 1].
fn frame_mask(mask: &[f32]) -> Tensor {
    let first = std::iter::repeat_n(&mask[0], FRAMES as usize - 1);
    let given: Vec<f32> = first.chain(mask).map(|generate| if *generate > 0.5 { 0.0 } else { 1.0 }).collect();
    Tensor::from_slice(&given).view([1, -1, FRAMES]).transpose(1, 2).unsqueeze(-1).unsqueeze(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_image_fills_its_latent_and_an_end_image_is_the_last_channel_of_the_last() {
        let mask = [&[0.0][..], &[1.0; 7], &[0.0]].concat();
        let packed = frame_mask(&mask);
        assert_eq!(packed.size(), [1, 4, 3, 1, 1]);
        let rows: Vec<Vec<f32>> = Vec::try_from(packed.view([4, 3])).unwrap();
        assert_eq!(rows, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]);
    }
}
