//! Options that mean nothing, contradict each other, or ask for more than there is.

use crate::refusals::{join_words, room};

#[test]
fn numbers_that_mean_nothing_are_refused_before_any_work() {
    let room = room();
    let numbers = ["0", "-1", "", "x", "1e3", "nan", "inf", " 8", "8 ", "99999999999999999999", "0x10", "--"];
    let cases: [(&str, &[&str]); 7] = [
        ("--context", &["0s", "-1s", "-0.5s", "1.5", "s", "8f", "100001", "3601s", "0.0000000001s", "٣"]),
        ("--gap", &["0s", "-1s", "-0.5s", "1.5", "s", "8f", "100001", "3601s", "auto!", "--loop"]),
        ("--blend", &["1.5", "1s", "65536"]),
        ("--fps", &["0/1", "1/0", "-24/1", "24/-1", "30000/", "/1001", "1001", "0.01", "24fps", "1/3/5"]),
        ("--size", &["64", "64x", "x36", "0x36", "64x0", "1x1", "-64x36", "64x36x2", "20000x20000", "6.4x36", "64*36"]),
        ("--crf", &["1.5", "4294967296", "64", "52"]),
        ("--timeout", &["0s", "-5s", "5 parsecs", "s", "18446744073709551616s"]),
    ];
    for (option, values) in cases {
        // 0 is the best quality, and no blend.
        let zero_is_fine = ["--crf", "--blend"].contains(&option);
        let numbers = numbers.iter().filter(|&&number| !(zero_is_fine && number == "0"));
        for value in numbers.chain(values) {
            let commands: &[&str] = if option == "--crf" { &["join"] } else { &["join", "guide"] };
            for command in commands {
                let words = [command, "a.mp4", "b.mp4", "--json", option, value];
                let refusal = room.refuses_at_once(&words, 2).with("stage", "settings");
                refusal.with("message", option);
            }
        }
    }
}

#[test]
fn an_unknown_value_is_refused_with_the_values_that_there_are() {
    let room = room();
    for (command, option, values) in [
        ("join", "--mode", "insert, replace"),
        ("join", "--align", "latent, exact"),
        ("join", "--mask-rule", "exact, reference"),
        ("join", "--fit", "crop, pad, stretch"),
        ("join", "--engine", "auto, wan, rife, dissolve"),
        ("join", "--codec", "h264, h265, av1, ffv1"),
        ("join", "--era", "oct25, v1, v2"),
        ("join", "--solver", "euler, unipc, dpm++, lcm"),
        ("join", "--grid", "wan2gp, diffusers, official, distill"),
        ("join", "--dtype", "auto, bf16, f16, f32, fp8"),
        ("join", "--noise", "cpu, device"),
        ("join", "--offload", "auto, none, blocks"),
        ("travel", "--round", "down, up, nearest"),
        ("travel", "--seed-mode", "same, increment, hash"),
    ] {
        let run = room.wanctl(&[command, "a.mp4", "b.mp4", option, "?"]).fails(2);
        run.says(&format!("[possible values: {values}]"));
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_before_any_work() {
    let room = room();
    let cases: [(&[&str], &str); 18] = [
        (&["--lossless", "--codec", "h264"], "h264 cannot be lossless"),
        (&["--lossless", "--crf", "3"], "no --crf"),
        (&["--codec", "ffv1", "--crf", "3"], "no --crf"),
        (&["--crf", "52"], "--crf 52 is out of range for h264"),
        (&["--codec", "av1", "--crf", "64"], "--crf"),
        (
            &["--codec", "h265", "--x264-preset", "slow"],
            "--x264-preset goes with the codec h264, and the codec is h265",
        ),
        (&["--codec", "av1", "--x264-preset", "slow"], "and the codec is av1"),
        (&["--codec", "ffv1", "--x264-preset", "slow"], "and the codec is ffv1"),
        (&["--lossless", "--x264-preset", "slow"], "and the codec is ffv1"),
        (&["--x264-preset", "quick"], "'quick' for '--x264-preset"),
        (&["--lossless", "-o", "film.mp4"], "`.mp4` contradicts the codec ffv1"),
        (&["--codec", "ffv1", "-o", "film.mov"], "`.mov` contradicts the codec ffv1"),
        (&["-o", "film.avi"], "`.avi` contradicts the codec h264"),
        (&["-o", "film"], "(none) contradicts the codec h264"),
        (&["--transition", "made.gif"], "`.gif` contradicts the codec h264"),
        (&["-q", "-v"], "cannot be used with"),
        (&["--mode", "sideways"], "sideways"),
        (&["--no-such-option"], "--no-such-option"),
    ];
    for (options, message) in cases {
        let words = [&["join", "a.mp4", "b.mp4", "--json"], options].concat();
        room.refuses_at_once(&words, 2).with("message", message).with("stage", "settings");
    }
    for option in ["-o", "--transition", "--audio", "--work-dir"] {
        room.refuses_at_once(&["join", "a.mp4", "b.mp4", "--json", option, ""], 2).with("message", option);
    }
    room.refuses_at_once(&["join", "a.mp4", "", "--json"], 2).with("message", "CLIP");
}

#[test]
fn one_clip_is_no_join_unless_it_loops() {
    let room = room();
    let refusal = room.refuses_at_once(&join_words(&["a.mp4"]), 2);
    let refusal = refusal.with("message", "a join needs two clips or more, got 1").with("wanted", "2 clips");
    refusal.with("found", "1 clip").with("help", "--loop");
    room.refuses_at_once(&join_words(&[]), 2).with("message", "required arguments");
    room.joins(&["a.mp4", "--loop", "--gap", "4"]).good();
}

/// Found only when the clips' rate is known, and yet a wrong option: no run folder stays.
#[test]
fn more_frames_than_the_model_takes_are_refused_with_both_numbers() {
    let room = room();
    for gap in ["129", "100000", "3600s"] {
        let refusal = room
            .refuses_at_once(&join_words(&["a.mp4", "b.mp4", "--gap", gap]), 2)
            .with("wanted", "129 frames or less");
        refusal.with("message", "more than the 129").with("help", "lower --gap or --context");
    }
    let refusal = room
        .refuses_at_once(&join_words(&["a.mp4", "b.mp4", "--blend", "9"]), 2)
        .with("message", "a blend of 9 is longer");
    refusal.with("help", "lower --blend");
    let refusal = room
        .refuses_at_once(&join_words(&["a.mp4", "b.mp4", "--gap", "8", "--anchors"]), 2)
        .with("message", "anchors need a gap");
    refusal.with("found", "a used gap of 8");
}
