//! The types of task that the hosted worker knows.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[value(rename_all = "snake")]
pub enum Kind {
    JoinClips,
    #[serde(rename = "join_clips_segment")]
    #[strum(serialize = "join_clips_segment")]
    #[value(name = "join_clips_segment")]
    JoinSegment,
    #[serde(rename = "join_clips_orchestrator")]
    #[strum(serialize = "join_clips_orchestrator")]
    #[value(name = "join_clips_orchestrator")]
    JoinOrchestrator,
    #[serde(rename = "join_final_stitch")]
    #[strum(serialize = "join_final_stitch")]
    #[value(name = "join_final_stitch")]
    JoinStitch,
    #[serde(rename = "inpaint_frames")]
    #[strum(serialize = "inpaint_frames")]
    #[value(name = "inpaint_frames")]
    Inpaint,
    #[serde(rename = "edit_video_orchestrator")]
    #[strum(serialize = "edit_video_orchestrator")]
    #[value(name = "edit_video_orchestrator")]
    EditVideo,
    TravelOrchestrator,
    TravelSegment,
    #[serde(rename = "individual_travel_segment")]
    #[strum(serialize = "individual_travel_segment")]
    #[value(name = "individual_travel_segment")]
    IndividualSegment,
    TravelStitch,
}
