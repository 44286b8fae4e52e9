//! Colours of images that say which ones they mean: brought to sRGB, which films have.

use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, ProfileText, Transform8BitExecutor, TransformOptions};

/// The way from an image's colours to sRGB.
#[derive(Clone)]
pub(super) struct Colours {
    /// As the profile calls itself.
    pub(super) name: String,
    way: Arc<Transform8BitExecutor>,
}

impl Colours {
    /// None where they are sRGB's already, and where no sense can be made of the profile: then viewers take sRGB too.
    pub(super) fn of_profile(profile: &[u8]) -> Option<Self> {
        let profile = ColorProfile::new_from_slice(profile).ok()?;
        if profile.color_space != DataColorSpace::Rgb {
            return None;
        }
        let srgb = ColorProfile::new_srgb();
        let way = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
        let colours = Self { name: name(&profile), way };
        // Many programs write sRGB's own profile with other roundings.
        const ROUNDING: u8 = 3;
        let steps = || (0..=255).step_by(17);
        let all: Vec<u8> =
            steps().flat_map(|r| steps().flat_map(move |g| steps().flat_map(move |b| [r, g, b]))).collect();
        let brought = colours.brought(&all);
        all.iter().zip(&brought).any(|(from, to)| from.abs_diff(*to) > ROUNDING).then_some(colours)
    }

    pub(super) fn brought(&self, rgb: &[u8]) -> Vec<u8> {
        let mut brought = vec![0; rgb.len()];
        self.way.transform(rgb, &mut brought).expect("both are 8-bit RGB of one length");
        brought
    }
}

fn name(profile: &ColorProfile) -> String {
    let told = match &profile.description {
        Some(ProfileText::PlainString(text)) => Some(text),
        Some(ProfileText::Localizable(texts)) => texts.first().map(|text| &text.value),
        Some(ProfileText::Description(text)) => Some(&text.ascii_string),
        None => None,
    };
    let printable = |text: &String| text.chars().filter(|letter| !letter.is_control()).collect::<String>();
    told.map(printable).filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "a profile without a name".into())
}
