//! Films hold what they were made by: each is made again from itself or from its run's folder.

use std::{fs, path::Path};

use super::harness::Room;

#[test]
#[ignore = "slow: four films"]
fn a_film_holds_what_it_was_made_by_and_is_made_again() {
    let room = Room::new();
    room.real_pair();
    let words = "join a.mp4 b.mp4 --gap 10 --context 5 --mode replace --blend 3 --fps 20 --lossless --keep --json";
    let first = room.run(words).good().event("result");
    let film = |name: &str| room.frames(name, "rgb24", (160, 90));
    // Nothing is said but the film's name, and where the new one goes.
    room.run("join --task a_join_b.mkv -o again.mkv").good();
    assert!(film("again.mkv") == film("a_join_b.mkv"));
    let run = Path::new(first["run_folder"].as_str().unwrap()).join("run.json");
    room.run(&format!("join --task {} -o third.mkv", run.display())).good();
    assert!(film("third.mkv") == film("a_join_b.mkv"));
    // The new film tells it again, also after it has gone elsewhere with its clips.
    fs::create_dir(room.path("elsewhere")).unwrap();
    for name in ["a.mp4", "b.mp4", "again.mkv"] {
        fs::rename(room.path(name), room.path("elsewhere").join(name)).unwrap();
    }
    room.run("join --task elsewhere/again.mkv -o fourth.mkv").good();
    assert!(film("fourth.mkv") == film("a_join_b.mkv"));
}

#[test]
fn an_mp4_holds_its_settings_too_and_inspect_reads_run_json() {
    let room = Room::new();
    room.real_pair();
    let result = room.run("join a.mp4 b.mp4 --gap 12 --crf 20 --keep --json").good().event("result");
    room.run("join --task a_join_b.mp4 -o again.mp4").good();
    assert!(room.frames("again.mp4", "yuv420p", (160, 90)) == room.frames("a_join_b.mp4", "yuv420p", (160, 90)));
    let film = room.run("inspect again.mp4").good();
    assert!(film.stdout.contains("made by   wanctl; its settings are inside"), "{}", film.stdout);
    let run = Path::new(result["run_folder"].as_str().unwrap()).join("run.json");
    let shown = room.run(&format!("inspect {}", run.display())).good();
    for words in ["a run of wanctl", "26 frames, 25 fps, 160x90", "verdict   no input problem found"] {
        assert!(shown.stdout.contains(words), "{words} in {}", shown.stdout);
    }
}

#[test]
fn the_x264_preset_is_the_encoders_and_a_film_keeps_its_own() {
    let room = Room::new();
    room.real_pair();
    // x264 writes its settings into the stream; each preset has a `subme` of its own.
    let subme = |name: &str| {
        let bytes = fs::read(room.path(name)).unwrap();
        let at = bytes.windows(6).position(|word| word == b"subme=").expect("x264's settings");
        char::from(bytes[at + 6])
    };
    let join = "join a.mp4 b.mp4 --engine dissolve --gap 4 -o";
    room.run(&format!("{join} default.mp4")).good();
    room.run(&format!("{join} medium.mp4 --x264-preset medium")).good();
    room.run(&format!("{join} fast.mp4 --x264-preset ultrafast")).good();
    assert_eq!(["default.mp4", "medium.mp4", "fast.mp4"].map(subme), ['7', '7', '0']);
    room.run("join --task fast.mp4 -o again.mp4").good();
    room.run("join --task fast.mp4 --x264-preset slow -o slow.mp4").good();
    assert_eq!(["again.mp4", "slow.mp4"].map(subme), ['0', '8']);
    // Another codec has no preset of x264, whatever the film had.
    room.run("join --task fast.mp4 --codec h265 -o other.mp4").good();
    // A film of another codec takes no preset without h264.
    room.run("join --task other.mp4 --x264-preset slow -o wrong.mp4").fails(2).says("the codec is h265");
}

#[test]
#[ignore = "slow: two films"]
fn no_name_is_too_strange_for_a_films_note() {
    let room = Room::new();
    room.real_pair();
    let strange = "a=b;c#d\\e\n\"ü.mp4";
    fs::rename(room.path("a.mp4"), room.path(strange)).unwrap();
    for film in ["film.mp4", "film.mkv"] {
        room.wanctl(&["join", strange, "b.mp4", "--gap", "4", "-o", film]).good();
        let run = room.wanctl(&["join", "--task", film, "--dry-run", "--json"]).good();
        let found = run.event("plan")["plan"]["inputs"][0]["path"].as_str().unwrap().to_owned();
        assert!(found.ends_with(strange), "{found:?}");
    }
}

#[cfg(feature = "torch")]
#[test]
#[ignore = "slow: a network makes two seams"]
fn a_film_by_the_network_is_made_again_frame_by_frame() {
    let room = Room::new();
    room.real_pair();
    room.run("join a.mp4 b.mp4 --engine rife --gap 4 --lossless").good();
    room.run("join --task a_join_b.mkv -o again.mkv").good();
    assert!(room.frames("again.mkv", "rgb24", (160, 90)) == room.frames("a_join_b.mkv", "rgb24", (160, 90)));
}

#[test]
fn files_without_settings_are_refused() {
    let room = Room::new();
    room.real_pair();
    for (task, words) in [
        ("a.mp4", "a.mp4 has no settings of wanctl in it"),
        ("gone.json", "cannot read the task gone.json"),
        ("text.txt", "text.txt has no settings of wanctl in it"),
    ] {
        fs::write(room.path("text.txt"), "no film").unwrap();
        room.run(&format!("join --task {task}")).fails(3).says(words);
    }
}
