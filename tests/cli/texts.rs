//! Text that people write, as Windows saves it, and names with accents, as macOS stores them.

use std::fs;

use crate::harness::{Room, Run};

/// A text in the encodings that editors and shells save, by name.
fn encodings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let crlf = text.replace('\n', "\r\n");
    let utf16 =
        |unit: fn(u16) -> [u8; 2]| "\u{feff}".encode_utf16().chain(crlf.encode_utf16()).flat_map(unit).collect();
    vec![
        ("a byte order mark", format!("\u{feff}{text}").into_bytes()),
        ("a byte order mark and CRLF", format!("\u{feff}{crlf}").into_bytes()),
        ("UTF-16, low byte first", utf16(u16::to_le_bytes)),
        ("UTF-16, high byte first", utf16(u16::to_be_bytes)),
    ]
}

fn run(room: &Room, words: &str) -> Run {
    room.wanctl(&words.split_whitespace().collect::<Vec<_>>())
}

fn room() -> Room {
    let room = Room::new();
    for clip in ["a.mp4", "b.mp4"] {
        room.clip(clip, 20, "24", "64x36");
    }
    room.stills(&["a.png", "b.png"]);
    room
}

const STORY: &str = "images:\n  - a.png\n  - b.png\nframes: 9\nengine: dissolve\nprompt: café\n";
const TASK: &str = r#"{"task_type": "join_clips", "params": {"starting_video_path": "a.mp4", "ending_video_path": "b.mp4",
"gap_frame_count": 8, "context_frame_count": 4, "prompt": "café", "model": "lightning_baseline_2_2_2"}}
"#;

#[test]
fn stories_tasks_and_presets_are_read_in_every_encoding_that_windows_saves() {
    let room = room();
    let plan = |words: &str| run(&room, words).good().event("plan")["plan"].clone();
    fs::write(room.path("story.yaml"), STORY).unwrap();
    fs::write(room.path("task.json"), TASK).unwrap();
    let travel = "travel --story story.yaml --dry-run --json";
    let (story, task) = (plan(travel), plan("guide --task task.json --dry-run --json"));
    for ((name, story_text), (_, task_text)) in encodings(STORY).into_iter().zip(encodings(TASK)) {
        fs::write(room.path("story.yaml"), story_text).unwrap();
        assert_eq!(plan(travel), story, "{name}");
        assert_eq!(run(&room, "inspect story.yaml --json").good().event("story")["plan"]["sure"], true, "{name}");
        fs::write(room.path("task.json"), task_text).unwrap();
        assert_eq!(plan("guide --task task.json --dry-run --json"), task, "{name}");
        assert_eq!(run(&room, "inspect task.json --json").good().event("task")["plan"]["sure"], true, "{name}");
    }
    for (name, text) in encodings("name: mine\nengine: dissolve\ngap: 6\n") {
        fs::write(room.path("mine.yaml"), text).unwrap();
        let plan = plan("join a.mp4 b.mp4 --preset mine.yaml --engine dissolve --dry-run --json");
        assert_eq!(plan["seams"][0]["requested"]["gap"], 6, "{name}");
        assert_eq!(run(&room, "inspect mine.yaml --json").good().event("preset")["name"], "mine", "{name}");
    }
}

#[test]
fn text_in_another_encoding_is_refused_with_what_to_do() {
    let room = room();
    let latin: Vec<u8> = STORY.chars().map(|letter| letter as u8).collect();
    let unmarked: Vec<u8> = STORY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (text, says) in [(latin, "is not UTF-8 text: byte"), (unmarked, "looks like UTF-16 text")] {
        fs::write(room.path("story.yaml"), text).unwrap();
        run(&room, "travel --story story.yaml").fails(3).says(says).says("save it as UTF-8");
        assert!(!room.path("runs").exists());
    }
    let unmarked: Vec<u8> = TASK.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(room.path("task.json"), unmarked).unwrap();
    run(&room, "join --task task.json").fails(3).says("looks like UTF-16 text");
}

/// One letter, and a letter with its accent: the same name to a reader.
const ONE: &str = "caf\u{e9}";
const TWO: &str = "cafe\u{301}";

#[test]
fn a_name_with_an_accent_is_found_however_it_is_stored() {
    for (stored, written) in [(ONE, TWO), (TWO, ONE)] {
        let room = room();
        fs::create_dir(room.path("assets")).unwrap();
        fs::copy(room.path("a.mp4"), room.path(format!("assets/{stored}.mp4"))).unwrap();
        fs::copy(room.path("a.png"), room.path(format!("{stored}.png"))).unwrap();
        fs::copy(room.path("a.mp4"), room.path(format!("{stored}.mp4"))).unwrap();
        let escaped = match written {
            ONE => "caf%C3%A9",
            _ => "cafe%CC%81",
        };
        for address in
            [format!("https://host.invalid/{written}.mp4"), format!("https://host.invalid/{escaped}.mp4?x=1")]
        {
            fs::write(room.path("task.json"), TASK.replace("\"a.mp4\"", &format!("\"{address}\""))).unwrap();
            run(&room, "guide --task task.json --assets assets --map b.mp4=b.mp4 --dry-run").good();
            let map = format!(
                "https://host.invalid/{stored}.mp4{}={written}.mp4",
                if address.contains('?') { "?x=1" } else { "" }
            );
            room.wanctl(&["guide", "--task", "task.json", "--map", &map, "--dry-run"]).good();
        }
        fs::write(room.path("task.json"), TASK.replace("\"a.mp4\"", &format!("\"{written}.mp4\""))).unwrap();
        run(&room, "guide --task task.json --dry-run").good();
        fs::write(room.path("story.yaml"), STORY.replace("a.png", &format!("{written}.png"))).unwrap();
        run(&room, "travel --story story.yaml --dry-run").good();
        // What is typed, too.
        let clip = format!("{written}.mp4");
        room.wanctl(&["join", &clip, "b.mp4", "--dry-run"]).good();
        room.wanctl(&["inspect", &clip]).good();
        room.wanctl(&["travel", "a.png", "--continue", &clip, "--dry-run"]).good();
        let presets = room.path(".config/wanctl/presets");
        fs::create_dir_all(&presets).unwrap();
        fs::write(presets.join(format!("{stored}.yaml")), "name: mine\nengine: dissolve\ngap: 6\n").unwrap();
        room.wanctl(&["join", "a.mp4", "b.mp4", "--preset", written, "--dry-run"]).good();
    }
}

#[test]
fn two_names_that_read_alike_are_told_and_none_is_taken() {
    let room = room();
    for form in [ONE, TWO] {
        fs::copy(room.path("a.mp4"), room.path(format!("{form}.mp4"))).unwrap();
        fs::copy(room.path("a.png"), room.path(format!("{form}.png"))).unwrap();
    }
    for form in [ONE, TWO] {
        let address = format!("https://host.invalid/{form}.mp4");
        fs::write(room.path("task.json"), TASK.replace("\"a.mp4\"", &format!("\"{address}\""))).unwrap();
        let refused = run(&room, "guide --task task.json --assets . --map b.mp4=b.mp4").fails(3);
        refused.says("2 files that differ only in how their accented letters are stored").says(r"cafe\u{301}.mp4");
        fs::write(room.path("story.yaml"), STORY.replace("a.png", &format!("{form}.png"))).unwrap();
        run(&room, "travel --story story.yaml").fails(3).says("2 files that differ only").says("rename or remove");
        // What was typed is the very file.
        room.wanctl(&["join", &format!("{form}.mp4"), "b.mp4", "--dry-run"]).good();
    }
    assert!(!room.path("runs").exists());
}
