//! What a model is shown: the guide as latents, what is known apart from what is to change, and a mask.
//!
//! For VACE after `prepare_video_latents` and `prepare_masks` of diffusers 0.42.1, `pipelines/wan/pipeline_wan_vace.py`; for
//! image-to-video after `prepare_latents` in `pipeline_wan_i2v.py` there. Masks here are of whole frames and whole latents, as
//! plan.json has them. Reference images keep their order, as `wan/vace.py` of Wan 2.1 9737cba has it; diffusers turns it around.

use std::ops::Range;

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    job::{GuideHead, SlotKind},
    types::video::Size,
    weights::Conditioning,
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
    /// What things look like, beside the video.
    pub(crate) references: &'a [Vec<u8>],
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

/// VACE: [1, 2·16 + 64, R + T, H/8, W/8], latents of what stays, of what changes, and the mask; first those of R reference
/// images. Image-to-video: [1, 4 + 16, T, H/8, W/8], the mask, frame by frame, and latents of what stays.
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
            let video = Tensor::cat(&[stays, changes, &masked(mask, SIDE * SIDE)], 1);
            let mut parts = vec![];
            for picture in guide.references {
                parts.push(reference(&pixels::shown(picture, guide.head.size, device), encode)?);
            }
            parts.push(video);
            Tensor::cat(&parts, 2)
        }
        [stays] => Tensor::cat(&[&masked(frame_mask(&guide.head.mask), FRAMES), stays], 1),
        _ => unreachable!("one half or two"),
    })
}

/// What a reference image, [1, 3, 1, H, W], becomes: [1, 2·16 + 64, 1, H/8, W/8]. Nothing of it is to change.
fn reference(image: &Tensor, encode: &Encode<'_>) -> Result<Tensor, VaeError> {
    let latent = encode.encoder.encode(image, encode.way, None, &mut |_, _| {})?;
    let channels = latent.size()[1] + SIDE * SIDE;
    Ok(latent.constant_pad_nd([0, 0, 0, 0, 0, 0, 0, channels]))
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
    use std::{collections::HashMap, path::PathBuf, rc::Rc};

    use wanctl::pipeline::weights::{Checkpoint, ModelKind};

    use super::*;
    use crate::engine::{torch, wan::vae, weights::Weights};

    fn fixture(name: &str) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/wan", name].iter().collect()
    }

    fn tensors(name: &str) -> HashMap<String, Tensor> {
        Tensor::read_safetensors(fixture(name)).unwrap().into_iter().collect()
    }

    fn encoder() -> Encoder {
        let checkpoint = Checkpoint::open(&[fixture("tiny/vae")]).unwrap();
        let ModelKind::Vae(facts) = checkpoint.what().unwrap() else { panic!("no VAE") };
        let weights = Weights::of(Rc::new(checkpoint), Device::Cpu, Kind::Float);
        Encoder::load(&weights, &vae::Config::of(&facts)).unwrap()
    }

    /// Latents to 5e-5 of their deviation, which is what f32 sums in another order differ by; the mask exactly.
    #[track_caller]
    fn check(found: &Tensor, wanted: &Tensor) {
        assert_eq!(found.size(), wanted.size());
        let far = (found.narrow(1, 0, 32) - wanted.narrow(1, 0, 32)).abs().max().double_value(&[]);
        assert!(far / wanted.narrow(1, 0, 32).std(false).double_value(&[]) < 5e-5, "{far}");
        assert_eq!(found.narrow(1, 32, 64), wanted.narrow(1, 32, 64));
    }

    #[test]
    fn reference_images_become_what_diffusers_makes_of_them() {
        let (encoder, fixture) = (encoder(), tensors("loop_vace.safetensors"));
        let encode = Encode { encoder: &encoder, way: &Way::default(), device: Device::Cpu };
        torch::stage("testing", || {
            let images = fixture["in.references"].to_kind(Kind::Float).split(1, 0);
            let one = |image: &Tensor| reference(&image.unsqueeze(2), &encode).unwrap();
            // diffusers turns their order around.
            let found: Vec<Tensor> = images.iter().rev().map(one).collect();
            check(&Tensor::cat(&found, 2), &fixture["mid.control_references_reversed"]);
        })
        .unwrap();
    }

    #[test]
    fn a_mask_between_keep_and_make_is_that_of_diffusers() {
        let (encoder, fixture) = (encoder(), tensors("control.safetensors"));
        let mask: Vec<f32> = Vec::try_from(&fixture["in.soft"]).unwrap();
        let clip = tensors("join.safetensors")["in.a"].narrow(0, 0, mask.len() as i64);
        let frames: Vec<Vec<u8>> =
            clip.split(1, 0).iter().map(|frame| Vec::try_from(frame.flatten(0, -1)).unwrap()).collect();
        // The references' nearest sampling of nine frames for three latents: of frames 1, 4 and 7.
        let latent_mask = vec![mask[1], mask[4], mask[7]];
        let slots = vec![SlotKind::Keep; mask.len()];
        let head = GuideHead { size: Size::new(48, 32), slots, mask, latent_mask };
        let guide = Guide { head: &head, frames: &frames, references: &[] };
        let encode = Encode { encoder: &encoder, way: &Way::default(), device: Device::Cpu };
        torch::stage("testing", || {
            let found = control(Conditioning::Vace, &guide, &encode, None, &mut |_, _| {}).unwrap();
            check(&found, &fixture["mid.soft"]);
        })
        .unwrap();
    }

    #[test]
    fn a_picture_of_another_clip_is_shown_among_what_is_to_change() {
        let (size, light) = (Size::new(16, 16), vec![250; 768]);
        let shown = |slot, mask| {
            let head = GuideHead { size, slots: vec![slot], mask: vec![mask], latent_mask: vec![mask] };
            let guide = Guide { head: &head, frames: std::slice::from_ref(&light), references: &[] };
            [false, true].map(|reactive| {
                Half { guide: &guide, reactive, device: Device::Cpu }.read(0..1).max().double_value(&[]) > 0.9
            })
        };
        assert_eq!(shown(SlotKind::Structure, 1.0), [false, true]);
        assert_eq!(shown(SlotKind::Hint, 1.0), [false, true]);
        assert_eq!(shown(SlotKind::Fill, 1.0), [false, false]);
        assert_eq!(shown(SlotKind::Keep, 0.0), [true, false]);
    }

    #[test]
    fn a_start_image_fills_its_latent_and_an_end_image_is_the_last_channel_of_the_last() {
        let mask = [&[0.0][..], &[1.0; 7], &[0.0]].concat();
        let packed = frame_mask(&mask);
        assert_eq!(packed.size(), [1, 4, 3, 1, 1]);
        let rows: Vec<Vec<f32>> = Vec::try_from(packed.view([4, 3])).unwrap();
        assert_eq!(rows, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]);
    }
}
