//! The two sizes of a bridge: the film's own, and the one at which motion is looked for.

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::types::video::Size;

use super::{
    network::Sight,
    sample::{Read, displaced, shrunk, sides, stretched},
};

/// Flows are looked for in pictures no longer than this; the pictures themselves are always read at their own size.
const FLOW_SIDE: f64 = 640.0;
/// The width at which the algorithm's limits in pixels were found.
const TUNED_SIDE: f64 = 320.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    /// Height and width of the film.
    pub full: (i64, i64),
    /// Height and width of flows.
    pub flow: (i64, i64),
    /// What one pixel of a 320 wide picture is in pixels of `flow`; never less than one.
    pub unit: f64,
    pub device: Device,
}

/// A frame at both sizes: [1, 3, H, W], 0 to 1.
#[derive(Debug)]
pub(super) struct Still {
    pub full: Tensor,
    pub flow: Tensor,
}

impl Still {
    pub(super) fn shallow_clone(&self) -> Self {
        Self { full: self.full.shallow_clone(), flow: self.flow.shallow_clone() }
    }
}

impl Canvas {
    pub(super) fn new(size: Size, device: Device) -> Self {
        let (height, width) = (i64::from(size.height), i64::from(size.width));
        let long = height.max(width) as f64;
        let factor = (FLOW_SIDE / long).min(1.0);
        let side = |side: i64| ((side as f64 * factor).round() as i64).max(1);
        let unit = (long * factor / TUNED_SIDE).max(1.0);
        Self { full: (height, width), flow: (side(height), side(width)), unit, device }
    }

    /// An 8-bit RGB frame.
    pub(super) fn still(&self, rgb: &[u8]) -> Still {
        let (height, width) = self.full;
        assert_eq!(rgb.len() as i64, height * width * 3, "bytes of a frame of {width}x{height}");
        let bytes = Tensor::from_slice(rgb).to_device(self.device).view([1, height, width, 3]);
        self.both(bytes.permute([0, 3, 1, 2]).to_kind(Kind::Float).contiguous() / 255.0)
    }

    pub(super) fn both(&self, full: Tensor) -> Still {
        Still { flow: shrunk(&full, self.flow), full }
    }

    /// Flow in its own pixels, at the film's size and in the film's pixels.
    pub(super) fn enlarged(&self, flow: &Tensor) -> Tensor {
        if self.full == self.flow {
            return flow.shallow_clone();
        }
        let factors = [self.full.1 as f32 / self.flow.1 as f32, self.full.0 as f32 / self.flow.0 as f32];
        stretched(flow, self.full) * Tensor::from_slice(&factors).to_device(self.device).view([1, 2, 1, 1])
    }

    /// The frame `still`, its pixels fetched from p + `flow`(p), half sharp: a frame is read up to five times over, and
    /// bicubic reading alone makes its noise louder each time, bilinear alone blurs it.
    pub(super) fn drawn(&self, still: &Still, flow: &Tensor) -> Tensor {
        let flow = self.enlarged(flow);
        let (sharp, soft) =
            (displaced(&still.full, &flow, Read::Bicubic), displaced(&still.full, &flow, Read::Bilinear));
        ((sharp + soft) / 2.0).clamp(0.0, 1.0)
    }

    /// The frame that the network sees between `a` and `b`: [1, 3, H, W] at the film's size.
    pub(super) fn merged(&self, sight: &Sight, a: &Still, b: &Still) -> Tensor {
        let Sight { to_a, to_b, mask } = sight;
        let large = Sight { to_a: self.enlarged(to_a), to_b: self.enlarged(to_b), mask: stretched(mask, self.full) };
        large.picture(&a.full, &b.full)
    }
}

/// 8-bit RGB, row by row, of [1, 3, H, W].
pub(super) fn rgb(picture: &Tensor) -> Vec<u8> {
    let (height, width) = sides(picture);
    let bytes = (picture.clamp(0.0, 1.0) * 255.0).round().to_kind(Kind::Uint8);
    let bytes = bytes.permute([0, 2, 3, 1]).contiguous().to_device(Device::Cpu);
    let mut rgb = vec![0; (height * width * 3) as usize];
    bytes.copy_data(&mut rgb, bytes.numel());
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_width_and_flows_are_640_long_at_most() {
        let canvas = |width, height| Canvas::new(Size::new(width, height), Device::Cpu);
        for (size, flow, unit) in [
            (canvas(160, 90), (90, 160), 1.0),
            (canvas(480, 270), (270, 480), 1.5),
            (canvas(1280, 720), (360, 640), 2.0),
            (canvas(720, 1280), (640, 360), 2.0),
            (canvas(8000, 10), (1, 640), 2.0),
            (canvas(1, 1), (1, 1), 1.0),
        ] {
            assert_eq!((size.flow, size.unit), (flow, unit));
        }
    }

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let canvas = Canvas::new(Size::new(3, 2), Device::Cpu);
        let frame: Vec<u8> = (0..18).map(|value| value * 14).collect();
        assert_eq!(rgb(&canvas.still(&frame).full), frame);
    }

    #[test]
    fn flow_of_a_small_picture_moves_a_large_one_alike() {
        let canvas = Canvas::new(Size::new(1280, 720), Device::Cpu);
        let flow =
            canvas.enlarged(&Tensor::from_slice(&[1.5_f32, -2.0]).view([1, 2, 1, 1]).expand([1, 2, 360, 640], false));
        assert_eq!(flow.size(), [1, 2, 720, 1280]);
        assert_eq!((flow.double_value(&[0, 0, 9, 9]), flow.double_value(&[0, 1, 9, 9])), (3.0, -4.0));
    }
}
