//! Standard and high dynamic range: which there are.

use serde::Serialize;

/// What the samples of a picture stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DynamicRange {
    Standard,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
    /// Dolby Vision whose base layer no other display can show.
    DolbyVision,
    /// Something says HDR, and nothing says by which curve.
    Untagged,
}

/// A Dolby Vision configuration record (dvcC or dvvC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DolbyVision {
    pub profile: u32,
    /// `dv_bl_signal_compatibility_id`: what the base layer is for displays without Dolby Vision.
    pub compatibility: u32,
}

impl DolbyVision {
    /// The base layer by the tables of Dolby Vision Profiles and Levels and of ETSI GS CCM 001 (compatibility 1 HDR10, 2
    /// SDR, 4 HLG, 6 the HDR10 of Blu-ray). Profile 7 is always over the HDR10 of Blu-ray, 4 and 9 over SDR.
    pub(super) fn base(self) -> DynamicRange {
        match (self.profile, self.compatibility) {
            (5, _) => DynamicRange::DolbyVision,
            (7, _) | (_, 1 | 6) => DynamicRange::Pq,
            (4 | 9, _) | (_, 2) => DynamicRange::Standard,
            (_, 4) => DynamicRange::Hlg,
            _ => DynamicRange::DolbyVision,
        }
    }
}
