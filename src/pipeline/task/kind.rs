//! The types of task that the hosted worker knows.

use crate::pipeline::words::words;

words! {
    Kind {
        JoinClips = "join_clips",
        JoinSegment = "join_clips_segment",
        JoinOrchestrator = "join_clips_orchestrator",
        JoinStitch = "join_final_stitch",
        Inpaint = "inpaint_frames",
        EditVideo = "edit_video_orchestrator",
        TravelOrchestrator = "travel_orchestrator",
        TravelSegment = "travel_segment",
        IndividualSegment = "individual_travel_segment",
        TravelStitch = "travel_stitch",
    }
}
