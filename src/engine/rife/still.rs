//! What stands still in both clips stands still between them: bars, titles, a background before a fixed camera.
//!
//! The network sees hundredths of a pixel of motion there, and halving adds them up to a flicker.

use tch::Tensor;

use super::canvas::Still;

/// Levels by which the frames of a clip may differ where nothing moves.
const SAME: f64 = 2.0;
/// Levels by which a made frame may differ there: more is something that comes through in between.
const FLICKER: f64 = 4.0;

/// The pixels of a seam that do not change.
#[derive(Debug)]
pub(super) struct Stillness {
    /// [1, 1, H, W] at the film's size.
    mask: Tensor,
    /// How they look.
    picture: Tensor,
}

impl Stillness {
    /// Of both clips' frames next to the seam, those at the seam first.
    pub(super) fn of(before: &[Still], after: &[Still]) -> Self {
        let (a, b) = (&before[0].full, &after[0].full);
        let others =
            before[1..].iter().map(|still| (a, &still.full)).chain(after[1..].iter().map(|still| (b, &still.full)));
        let mask = others.fold(within(a, b, SAME), |mask, (seam, other)| mask.logical_and(&within(seam, other, SAME)));
        Self { mask, picture: (a + b) / 2.0 }
    }

    /// `picture`, its flicker taken out.
    pub(super) fn kept(&self, picture: &Tensor) -> Tensor {
        self.picture.where_self(&self.mask.logical_and(&within(picture, &self.picture, FLICKER)), picture)
    }
}

/// Where no colour of the two differs by more than so many levels: [1, 1, H, W].
fn within(a: &Tensor, b: &Tensor, levels: f64) -> Tensor {
    (a - b).abs().amax([1_i64].as_slice(), true).le(levels / 255.0 + 1e-6)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn flicker_goes_and_what_comes_through_stays() {
        let grey = |level: f64| Tensor::full([1, 3, 1, 4], level / 255.0, (Kind::Float, Device::Cpu));
        let still = |x: Tensor| Still { flow: x.shallow_clone(), full: x };
        let moving = grey(100.0);
        let _ = moving.narrow(3, 3, 1).fill_(0.5);
        let stillness = Stillness::of(&[still(grey(100.0)), still(moving)], &[still(grey(102.0))]);
        let made = Tensor::from_slice(&[101.0_f32, 103.0, 130.0, 103.0]).view([1, 1, 1, 4]).expand([1, 3, 1, 4], false)
            / 255.0;
        let kept = Vec::<f32>::try_from((stillness.kept(&made) * 255.0).select(1, 0).reshape([-1])).unwrap();
        assert_eq!(kept.iter().map(|level| level.round()).collect::<Vec<_>>(), [101.0, 101.0, 130.0, 103.0]);
    }
}
