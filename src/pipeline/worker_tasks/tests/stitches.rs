//! Tasks that put pieces together.

use std::fs;

use serde_json::{Value, json};

use super::{ids, read};
use crate::pipeline::{
    plan::Curve,
    worker_tasks::{Assets, Command, Stitch, Task, TaskError, Work},
};

fn stitch_of(task: Result<Task, TaskError>) -> Stitch {
    match task.unwrap().work {
        Work::Stitch(stitch) => stitch,
        other => panic!("{other:?}"),
    }
}

fn join(transitions: Value) -> Value {
    json!({ "task_type": "join_final_stitch", "params": {
        "clip_list": [{"url": "a.mp4"}, {"url": "b.mp4"}], "transition_task_ids": transitions, "blend_frames": 8 } })
}

#[test]
fn pieces_and_overlaps_must_fit_together() {
    let found = stitch_of(read(&join(json!(["t1"]))));
    let curve = Curve::Sharpened(0.3);
    assert_eq!(found, Stitch { by: Command::Join, cuts: vec![[0, 0]; 3], overlaps: vec![8, 8], curve });
    assert!(read(&join(json!([]))).unwrap_err().to_string().contains("1 transitions between 2 clips, found []"));
    let travel = |overlaps: Value, before: Option<&str>| {
        read(&json!({ "task_type": "travel_stitch", "params": { "num_total_segments_generated": 3,
            "frame_overlap_settings_expanded": overlaps, "crossfade_sharp_amt": 0.5,
            "initial_continued_video_path": before } }))
    };
    let found = stitch_of(travel(json!([8, 4]), None));
    let curve = Curve::Sharpened(0.5);
    assert_eq!(found, Stitch { by: Command::Travel, cuts: vec![[0, 0]; 3], overlaps: vec![8, 4], curve });
    let found = stitch_of(travel(json!([8, 4]), Some("before.mp4")));
    assert_eq!((found.cuts.len(), found.overlaps), (4, vec![8, 8, 4]));
    assert!(travel(json!([8]), None).unwrap_err().to_string().contains("2 overlaps between 3 segments"));
    assert!(ids(&travel(json!([0, 0]), None).unwrap()).contains(&"stitch-needs-overlap"));
}

#[test]
fn a_transitions_own_record_says_how_the_clips_beside_it_are_cut() {
    let room = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = room.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let record = json!({ "transition_url": "https://x.invalid/t%201.mp4?k=v", "transition_index": 0, "gap_from_clip1": 8,
        "gap_from_clip2": 9, "context_from_clip1": 5, "context_from_clip2": 6, "blend_frames": 4 });
    let film = put("t 1.mp4", "x");
    for text in [record.to_string(), json!({ "id": "t1", "output_location": record.to_string() }).to_string()] {
        let record = put("record.json", &text);
        let mut task = read(&join(json!(["t1"]))).unwrap();
        let maps = ["a.mp4", "b.mp4", "t1"].map(|name| {
            let file = if name == "t1" { record.clone() } else { put(name, "x") };
            format!("{name}={}", file.display()).parse().unwrap()
        });
        task.place(&Assets::new(maps.into(), None).unwrap()).unwrap();
        let pieces: Vec<_> = task.pieces().collect();
        assert_eq!(pieces, [room.path().join("a.mp4"), film.clone(), room.path().join("b.mp4")]);
        let Work::Stitch(stitch) = task.work else { panic!() };
        assert_eq!((stitch.cuts, stitch.overlaps), (vec![[0, 8], [0, 0], [9, 0]], vec![5, 6]));
    }
    let mut task = read(&join(json!(["t1"]))).unwrap();
    let broken = put("broken.json", "{}");
    let maps = vec![format!("t1={}", broken.display()).parse().unwrap()];
    let error = task.place(&Assets::new(maps, None).unwrap()).unwrap_err().to_string();
    assert!(error.contains("broken.json is no JSON") && error.contains("transition_url"), "{error}");
}
