//! An ffmpeg or ffprobe that is missing or fails in every way, and runs that take longer than they may.

use std::{fs, process::Command, thread};

use crate::{
    harness::Room,
    refusals::{FAST, failure, join_words, manifest, room},
};

#[test]
fn a_missing_ffmpeg_or_ffprobe_is_named_with_how_to_get_it() {
    for (tool, variable) in [("ffmpeg", "WANCTL_FFMPEG"), ("ffprobe", "WANCTL_FFPROBE")] {
        let room = room();
        fs::write(room.path("plain"), "#!/bin/sh\n").unwrap();
        let plain = room.path("plain");
        for (program, found) in [("/nowhere/tool", "No such file"), (plain.to_str().unwrap(), "Permission denied")] {
            let mut command = room.command(&join_words(&FAST));
            command.env(variable, program);
            let refusal = room.refused(command, 7).with("message", &format!("{tool} cannot be started as `{program}`"));
            refusal.with("found", found).with("wanted", variable).with("help", "install ffmpeg");
        }
        let mut command = room.command(&join_words(&FAST));
        command.env("PATH", room.path("."));
        room.refused(command, 7).with("message", "ffprobe cannot be started").with("wanted", "on the PATH");
    }
}

/// What a join asks of ffmpeg.
const CALLS: [&str; 4] = ["sound", "decode", "encode", "verify"];

/// An ffmpeg that does `instead` in one of its calls.
fn odd_ffmpeg(room: &Room, call: &str, instead: &str) -> String {
    // The encoder is given the sound's name too, but not as its last word.
    let kind = "case \"$*\" in *sound.m4a) kind=sound;; *pipe:0*) kind=encode;; *'-f null'*) kind=verify;; \
                *' pipe:1') kind=decode;; *) kind=other;; esac";
    room.script(
        &format!("{call}.sh"),
        &format!("{kind}\nif [ $kind = {call} ]; then {instead}; fi\nexec ffmpeg \"$@\""),
    )
}

/// One join for each call of ffmpeg that does `instead`, all at once; nothing is left by any.
fn in_every_call(room: &Room, instead: &str, check: impl Fn(&str, Command) + Sync) {
    let scripts = CALLS.map(|call| (call, odd_ffmpeg(room, call, instead)));
    let before = room.files();
    thread::scope(|scope| {
        for (call, script) in &scripts {
            let check = &check;
            scope.spawn(move || {
                let mut command = room.command(&join_words(&FAST));
                command.env("WANCTL_FFMPEG", script);
                check(call, command);
            });
        }
    });
    assert_eq!(room.files(), before);
    assert_eq!(room.runs().len(), CALLS.len());
    assert!(room.runs().iter().all(|run| manifest(run)["outcome"] == "failed"));
    room.assert_no_children();
}

#[test]
fn an_ffmpeg_that_fails_is_reported_with_its_words_whatever_it_was_doing() {
    let room = room();
    in_every_call(&room, "echo 'the moon is wrong' >&2; exit 1", |call, mut command| {
        let refusal = failure(&command.output().unwrap(), 7).with("message", "ffmpeg failed while ");
        let refusal = refusal.with("message", "exit status 1").with("stderr", "the moon is wrong");
        refusal.with("command", &format!("{call}.sh")).with("help", "by hand");
    });
}

#[test]
fn an_ffmpeg_that_hangs_is_ended_when_the_patience_is_over() {
    let room = room().with("WANCTL_TEST_PATIENCE_MS", "1500");
    in_every_call(&room, "exec sleep 300", |call, mut command| {
        let refusal = failure(&command.output().unwrap(), 10).with("message", "ffmpeg showed no progress for 1.5 s");
        refusal.with("command", &format!("{call}.sh")).with("help", "-vv");
    });
    let sleeper = room.script("sleeper.sh", "exec sleep 300");
    let mut command = room.command(&join_words(&FAST));
    command.env("WANCTL_FFPROBE", &sleeper);
    room.refused(command, 10)
        .with("message", "ffprobe showed no progress for 1.5 s while reading")
        .with("stage", "probe");
}

#[test]
fn an_ffmpeg_that_hangs_is_ended_when_the_time_is_over() {
    let room = room();
    let sleeper = room.script("sleeper.sh", "exec sleep 300");
    // Long enough for all that comes before it, also where four tests share a core.
    let mut command = room.command(&join_words(&[&FAST[..], &["--timeout", "4s"]].concat()));
    command.env("WANCTL_FFMPEG", sleeper);
    let refusal = room.refused(command, 10).with("message", "the time limit of 4 s ran out");
    refusal.with("help", "allow more with --timeout").with("stage", "sound");
}

#[test]
fn a_time_limit_shorter_than_the_run_ends_it() {
    let room = room();
    for time in ["1ms", "150ms"] {
        room.refuses(&[&FAST[..], &["--timeout", time]].concat(), 10).with("message", "the time limit of 0.");
    }
    room.joins(&[&FAST[..], &["--timeout", "10m"]].concat()).good();
}

#[test]
fn an_ffmpeg_that_dies_in_the_middle_is_reported_with_its_signal() {
    let room = room();
    in_every_call(&room, "head -c 20000 > /dev/null; kill -9 $$", |call, mut command| {
        let refusal = failure(&command.output().unwrap(), 7).with("message", "ffmpeg failed while ");
        refusal.with("message", "killed by signal 9").with("command", &format!("{call}.sh"));
    });
}

#[test]
fn an_encoder_that_writes_too_few_frames_is_found_out() {
    // The last word is the output; everything before it stays.
    let all_but_last = "for last do :; done; set -- \"$@\"; n=$#; i=1; while [ $i -lt $n ]; do w=$1; shift; \
                        set -- \"$@\" \"$w\"; i=$((i+1)); done; shift";
    let cases = [
        // It says so.
        ("ffmpeg \"$@\" -frames:v 5 \"$last\"; code=$?; cat > /dev/null; exit $code", "took 5 of 44 frames"),
        // It stops reading and calls that a success.
        ("head -c 3456 > /dev/null; exit 0", "ffmpeg"),
        // It says that all is well, and the file is whole but short.
        (
            "ffmpeg \"$@\" \"$last\" && ffmpeg -v error -y -i \"$last\" -frames:v 5 -c copy short.mp4 && \
             mv short.mp4 \"${last#file:}\"; exit",
            "its frames do not add up",
        ),
        // Or cut off.
        ("ffmpeg \"$@\" \"$last\"; truncate -s -3000 \"${last#file:}\"; exit", "ffmpeg failed while decoding the film"),
    ];
    let room = room();
    for (number, (how, message)) in cases.iter().enumerate() {
        let instead = format!("{all_but_last}; {how}");
        let script = odd_ffmpeg(&room, "encode", &instead);
        let mut command = room.command(&join_words(&FAST));
        command.env("WANCTL_FFMPEG", script);
        let refusal = room.refused(command, 7).with("message", message);
        match number {
            0 => drop(refusal.with("wanted", "44 frames").with("found", "5 frames").with("stage", "film")),
            2 => drop(refusal.with("wanted", "44 frames").with("found", "5 frames decode").with("stage", "verify")),
            _ => {}
        }
    }
}

#[test]
fn a_decoder_that_gives_too_few_frames_is_found_out() {
    let room = room();
    let script = odd_ffmpeg(&room, "decode", "ffmpeg \"$@\" | head -c 40000; exit 0");
    let mut command = room.command(&join_words(&FAST));
    command.env("WANCTL_FFMPEG", script);
    let refusal =
        room.refused(command, 3).with("message", "a.mp4 has 20 frames by its index, but the decoder gives none");
    assert_eq!(refusal.frame(), 40_000 / (64 * 36 * 3 / 2));
}

#[test]
fn an_ffprobe_that_fails_or_talks_nonsense_is_reported() {
    let room = room();
    let cases = [
        ("echo 'the moon is wrong' >&2; exit 1", "exit status 1"),
        ("echo 'four { score'", "its report cannot be understood"),
        ("yes '{\"packets\":' | head -c 3000000", "its report cannot be understood"),
        ("true", "its report cannot be understood"),
        ("kill -11 $$", "killed by signal 11"),
        ("ffprobe \"$@\" | head -c 500", "its report cannot be understood"),
    ];
    for (body, message) in cases {
        let script = room.script("probe.sh", body);
        let mut command = room.command(&join_words(&FAST));
        command.env("WANCTL_FFPROBE", script);
        let refusal = room.refused(command, 7).with("message", "ffprobe failed while reading a.mp4");
        refusal.with("message", message).with("stage", "probe").with("command", "probe.sh").with("help", "by hand");
    }
}
