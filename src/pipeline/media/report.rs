//! What ffprobe says, as its JSON has it: only the fields that are used.

use serde::Deserialize;

use super::hdr::DolbyVision;

#[derive(Deserialize)]
pub(super) struct Report {
    #[serde(default)]
    pub(super) packets: Vec<Packet>,
    #[serde(default)]
    pub(super) streams: Vec<Stream>,
    pub(super) format: Option<Format>,
}

#[derive(Deserialize)]
pub(super) struct Packet {
    #[serde(default)]
    pub(super) stream_index: usize,
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    pub(super) duration: Option<i64>,
    #[serde(default)]
    pub(super) flags: Flags,
}

/// `K` for a key frame, `D` for a packet that is not shown. No string: a long clip has a hundred thousand packets.
#[derive(Default, Clone, Copy)]
pub(super) struct Flags {
    pub(super) key: bool,
    pub(super) discard: bool,
}

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Ok(Self { key: text.contains('K'), discard: text.contains('D') })
    }
}

#[derive(Deserialize)]
pub(super) struct Format {
    pub(super) format_name: String,
    pub(super) start_time: Option<String>,
    #[serde(default)]
    pub(super) tags: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
pub(super) struct Stream {
    pub(super) index: usize,
    #[serde(default)]
    pub(super) codec_type: String,
    pub(super) codec_name: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) pix_fmt: Option<String>,
    #[serde(default)]
    pub(super) width: u32,
    #[serde(default)]
    pub(super) height: u32,
    pub(super) sample_aspect_ratio: Option<String>,
    pub(super) field_order: Option<String>,
    pub(super) color_range: Option<String>,
    pub(super) color_space: Option<String>,
    pub(super) color_transfer: Option<String>,
    pub(super) color_primaries: Option<String>,
    pub(super) r_frame_rate: Option<String>,
    pub(super) avg_frame_rate: Option<String>,
    pub(super) time_base: Option<String>,
    pub(super) start_pts: Option<i64>,
    pub(super) duration_ts: Option<i64>,
    pub(super) nb_frames: Option<String>,
    pub(super) sample_rate: Option<String>,
    #[serde(default)]
    pub(super) channels: u32,
    pub(super) channel_layout: Option<String>,
    #[serde(default)]
    pub(super) disposition: Disposition,
    #[serde(default)]
    pub(super) tags: Tags,
    #[serde(default)]
    pub(super) side_data_list: Vec<SideData>,
}

#[derive(Deserialize, Default)]
pub(super) struct Disposition {
    #[serde(default)]
    pub(super) default: u8,
    #[serde(default)]
    pub(super) attached_pic: u8,
    #[serde(default)]
    pub(super) timed_thumbnails: u8,
    #[serde(default)]
    pub(super) comment: u8,
    #[serde(default)]
    pub(super) dub: u8,
    #[serde(default)]
    pub(super) lyrics: u8,
    #[serde(default)]
    pub(super) karaoke: u8,
    #[serde(default)]
    pub(super) hearing_impaired: u8,
    #[serde(default)]
    pub(super) visual_impaired: u8,
    #[serde(default)]
    pub(super) clean_effects: u8,
    #[serde(default)]
    pub(super) descriptions: u8,
    #[serde(default)]
    pub(super) dependent: u8,
}

#[derive(Deserialize, Default)]
pub(super) struct Tags {
    pub(super) rotate: Option<String>,
    pub(super) alpha_mode: Option<String>,
    pub(super) language: Option<String>,
    pub(super) title: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SideData {
    #[serde(default, rename = "side_data_type")]
    pub(super) kind: String,
    pub(super) rotation: Option<f64>,
    dv_profile: Option<u32>,
    #[serde(default)]
    dv_bl_signal_compatibility_id: u32,
}

impl SideData {
    pub(super) fn dolby_vision(&self) -> Option<DolbyVision> {
        let compatibility = self.dv_bl_signal_compatibility_id;
        self.dv_profile.map(|profile| DolbyVision { profile, compatibility })
    }

    /// Whether only HDR has such data (SMPTE ST 2086, CTA-861.3, ST 2094-40, Dolby Vision).
    pub(super) fn is_hdr(&self) -> bool {
        ["Mastering display", "Content light level", "HDR Dynamic Metadata", "Dolby Vision"]
            .iter()
            .any(|kind| self.kind.contains(kind))
    }
}

#[derive(Deserialize)]
pub(super) struct FrameReport {
    #[serde(default)]
    pub(super) frames: Vec<DecodedFrame>,
}

#[derive(Deserialize)]
pub(super) struct DecodedFrame {
    #[serde(default)]
    pub(super) side_data_list: Vec<SideData>,
}
