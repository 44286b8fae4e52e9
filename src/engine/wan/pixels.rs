//! Between 8-bit frames and what the networks see of them: -1 to 1, and 0 where nothing is shown.

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::types::video::Size;

/// [1, 3, 1, H, W] of one frame, in the order of operations that diffusers has (`VaeImageProcessor`), so that the bits are
/// the same.
pub(crate) fn shown(rgb: &[u8], size: Size, device: Device) -> Tensor {
    let frame = Tensor::from_slice(rgb).to_device(device).reshape([i64::from(size.height), i64::from(size.width), 3]);
    let unit = frame.to_kind(Kind::Float) / 255.0;
    (unit * 2.0 - 1.0).permute([2, 0, 1]).unsqueeze(0).unsqueeze(2)
}

/// [1, 3, 1, H, W] of a frame that shows nothing.
pub(crate) fn nothing(size: Size, device: Device) -> Tensor {
    Tensor::zeros([1, 3, 1, i64::from(size.height), i64::from(size.width)], (Kind::Float, device))
}

/// 8-bit RGB of every frame of `pixels` [1, 3, F, H, W]; what is out of range is cut.
pub(crate) fn frames(pixels: &Tensor) -> Vec<Vec<u8>> {
    let unit = (pixels * 0.5 + 0.5).clamp(0.0, 1.0);
    let levels = (unit * 255.0).round().to_kind(Kind::Uint8);
    let frames = levels.squeeze_dim(0).permute([1, 2, 3, 0]).contiguous().to_device(Device::Cpu); // [F, H, W, 3]
    let each = frames.split(1, 0).into_iter();
    each.map(|frame| {
        let mut rgb = vec![0; frame.numel()];
        frame.copy_data_u8(&mut rgb, frame.numel());
        rgb
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_comes_back_and_mid_grey_lies_between_two() {
        let size = Size::new(16, 16);
        let rgb: Vec<u8> = (0..size.rgb_bytes()).map(|at| (at % 256) as u8).collect();
        assert_eq!(frames(&shown(&rgb, size, Device::Cpu)), [rgb]);
        assert_eq!(frames(&nothing(size, Device::Cpu))[0][0], 128);
    }
}
