//! Options that mean nothing, outputs that cannot be, disks that are full, and an ffmpeg that fails in every way.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use crate::{
    harness::Room,
    refusals::{can, failure, join_words, manifest},
};

const FAST: [&str; 4] = ["a.mp4", "b.mp4", "--gap", "4"];

/// A room with a.mp4 and b.mp4, which join to 44 frames with a gap of 4.
fn room() -> Room {
    let room = Room::new();
    room.clip("a.mp4", 20, "24", "64x36");
    fs::copy(room.path("a.mp4"), room.path("b.mp4")).unwrap();
    room
}

#[test]
fn an_existing_output_is_refused_before_any_work_and_replaced_when_asked() {
    let room = room();
    fs::write(room.path("film.mp4"), "precious").unwrap();
    for words in [&FAST[..], &["nothing.mp4", "b.mp4"]] {
        let refusal = room.refuses_at_once(&join_words(words), 8).with("message", "film.mp4 exists already");
        refusal.with("file", "film.mp4").with("help", "--overwrite");
    }
    symlink("nowhere", room.path("link.mp4")).unwrap();
    let words = ["join", "a.mp4", "b.mp4", "-o", "link.mp4", "--json"];
    room.refuses_at_once(&words, 8).with("message", "link.mp4 exists already");
    let words = ["join", "a.mp4", "b.mp4", "-o", "new.mp4", "--transition", "film.mp4", "--json"];
    room.refuses_at_once(&words, 8).with("message", "film.mp4 exists already");
    // A run that fails leaves what it would have replaced.
    room.refuses(&["a.mp4", "nothing.mp4", "--overwrite"], 3);
    assert_eq!(fs::read(room.path("film.mp4")).unwrap(), b"precious");
    room.joins(&[&FAST[..], &["--overwrite"]].concat()).good();
    assert_ne!(fs::read(room.path("film.mp4")).unwrap(), b"precious");
}

#[test]
fn an_output_that_is_an_input_is_refused_also_through_links_and_with_overwrite() {
    let room = room();
    symlink("a.mp4", room.path("link.mp4")).unwrap();
    fs::create_dir(room.path("folder")).unwrap();
    let before = fs::read(room.path("a.mp4")).unwrap();
    for output in ["a.mp4", "./a.mp4", "folder/../a.mp4", "link.mp4"] {
        for overwrite in [None, Some("--overwrite")] {
            let mut words = vec!["join", "a.mp4", "b.mp4", "-o", output, "--json"];
            words.extend(overwrite);
            let refusal = room.refuses_at_once(&words, 2).with("message", &format!("{output} is one of the inputs"));
            refusal.with("file", output).with("help", "another name");
        }
    }
    let cases = [
        ["link.mp4", "b.mp4", "-o", "a.mp4", "--audio", "keep"],
        ["a.mp4", "b.mp4", "-o", "film.mp4", "--transition", "b.mp4"],
        ["b.mp4", "b.mp4", "-o", "a.mp4", "--audio", "a.mp4"],
    ];
    for case in cases {
        let words = [&["join", "--overwrite", "--json"], &case[..]].concat();
        room.refuses_at_once(&words, 2).with("message", "is one of the inputs");
    }
    let words = ["join", "a.mp4", "b.mp4", "-o", "film.mp4", "--transition", "./film.mp4", "--overwrite", "--json"];
    room.refuses_at_once(&words, 2).with("message", "is the name of two outputs");
    assert_eq!(fs::read(room.path("a.mp4")).unwrap(), before);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_any_work() {
    let room = room();
    fs::create_dir(room.path("folder.mp4")).unwrap();
    let mut cases = vec![
        ("nowhere/film.mp4", "the folder nowhere does not exist", "make the folder first"),
        ("a.mp4/film.mp4", "the folder a.mp4 does not exist", "make the folder first"),
        ("folder.mp4", "folder.mp4 is a folder", "a file's name"),
        ("/proc/film.mp4", "cannot write in /proc", "write elsewhere"),
    ];
    // The tests may run as root, whom no permission stops; an immutable folder does.
    fs::create_dir(room.path("locked")).unwrap();
    let chattr = |flag: &str| format!("chattr {flag} '{}'", room.path("locked").display());
    let locked = can("make a folder immutable", &chattr("+i"));
    if locked {
        cases.push(("locked/film.mp4", "cannot write in locked", "write elsewhere"));
    }
    for (output, message, help) in cases {
        let words = ["join", "a.mp4", "b.mp4", "-o", output, "--json", "--overwrite"];
        room.refuses_at_once(&words, 8).with("message", message).with("help", help).with("stage", "settings");
    }
    if locked {
        assert!(can("make it mutable again", &chattr("-i")));
    }
}

#[test]
fn a_guides_folder_is_replaced_only_where_all_of_it_is_a_guides() {
    let room = room();
    fs::create_dir(room.path("films")).unwrap();
    fs::write(room.path("films/precious.mp4"), "precious").unwrap();
    let words = ["guide", "a.mp4", "b.mp4", "--gap", "4", "-o", "films", "--overwrite", "--json"];
    let refusal = room.refuses_at_once(&words, 8).with("message", "films holds precious.mp4");
    refusal.with("file", "films").with("help", "another name");
    assert!(room.path("films/precious.mp4").is_file());
    for overwrite in [None, Some("--overwrite")] {
        let mut words = vec!["guide", "a.mp4", "b.mp4", "--gap", "4", "-o", "guide"];
        words.extend(overwrite);
        room.wanctl(&words).good();
    }
    assert_eq!(room.files(), ["a.mp4", "b.mp4", "films", "guide"]);
}

/// The same words under a shell that does something first.
fn under(room: &Room, shell: &str, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")]);
    let wanctl = room.command(words);
    command.arg(wanctl.get_program()).args(wanctl.get_args()).current_dir(room.path(".")).env_clear();
    command.envs(wanctl.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    command
}

#[test]
fn a_file_size_limit_ends_the_run_like_a_full_disk() {
    let room = room();
    room.ffmpeg("-f lavfi -i testsrc2=size=160x90:rate=24 -frames:v 20 -c:v libx264 -pix_fmt yuv420p big.mp4");
    let words = join_words(&["big.mp4", "a.mp4", "--gap", "4", "--crf", "1"]);
    // In blocks of 512 bytes: the film, then the sound.
    let film = room.refused(under(&room, "ulimit -f 100", &words), 8).with("message", "no space left in ");
    film.with("message", "while encoding the film").with("stage", "film").with("help", "-o").with("command", "ffmpeg");
    let sound = room.refused(under(&room, "ulimit -f 16", &words), 8).with("message", "while making the sound");
    sound.with("help", "--work-dir").with("file", room.runs()[0].parent().unwrap().to_str().unwrap());
    // So small that the run folder itself cannot be written.
    for blocks in [0, 1] {
        let output = under(&room, &format!("ulimit -f {blocks}"), &words).output().unwrap();
        failure(&output, 8).with("message", "run.json").with("help", "--work-dir");
        assert_eq!(room.files(), ["a.mp4", "b.mp4", "big.mp4"]);
    }
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left_on_it() {
    if !can("mount a small disk", "unshare -m sh -c 'mount -t tmpfs -o size=64k none /mnt'") {
        return;
    }
    let room = room();
    fs::create_dir(room.path("small")).unwrap();
    // A mount of its own that ends with the shell, which tells what stands on it at last.
    let on_small_disk = |fill: usize, words: &[&str]| -> (Output, String) {
        let line = format!(
            "mount -t tmpfs -o size=256k none small || exit 99; head -c {fill}k /dev/zero > small/full; \"$0\" \"$@\"; \
             code=$?; ls -A small > left; exit $code"
        );
        let wanctl = room.command(words);
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &line]).arg(wanctl.get_program()).args(wanctl.get_args());
        command.current_dir(room.path(".")).env_clear();
        command.envs(wanctl.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.output().unwrap();
        (output, fs::read_to_string(room.path("left")).unwrap())
    };
    let (output, left) =
        on_small_disk(248, &["join", "a.mp4", "b.mp4", "--gap", "4", "-o", "small/film.mp4", "--json"]);
    let refusal = failure(&output, 8).with("message", "no space left in ").with("message", "/small while encoding");
    refusal.with("stderr", "No space left on device").with("help", "free some space").with("file", "/small");
    assert_eq!(left, "full\n");
    // The run's folder is what does not fit.
    for fill in [256, 248] {
        let words = join_words(&["a.mp4", "b.mp4", "--gap", "4", "--work-dir", "small/runs"]);
        let (output, _) = on_small_disk(fill, &words);
        failure(&output, 8).with("help", "--work-dir");
    }
    assert_eq!(room.files(), ["a.mp4", "b.mp4", "left", "small"]);
}

#[test]
fn a_run_folder_that_cannot_be_made_is_refused_with_the_option_that_names_another() {
    let room = room();
    for folder in ["/proc/runs", "a.mp4/runs", "a.mp4"] {
        let words = join_words(&["a.mp4", "b.mp4", "--work-dir", folder]);
        let refusal = room.refuses_at_once(&words, 8).with("message", "cannot write the run folder");
        refusal.with("file", folder).with("help", "--work-dir");
    }
    let room = room.with("WANCTL_WORK_DIR", "/proc/runs");
    let output = room.command(&join_words(&FAST)).output().unwrap();
    failure(&output, 8).with("file", "/proc/runs");
    assert_eq!(room.files(), ["a.mp4", "b.mp4"]);
}

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
    // The encoder is given the sound's name too, and every call but the decoder's reports to pipe:1.
    let kind = "case \"$*\" in *pipe:0*) kind=encode;; *'-f null'*) kind=verify;; *sound.m4a) kind=sound;; \
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
fn options_that_contradict_each_other_are_refused_before_any_work() {
    let room = room();
    let cases: [(&[&str], &str); 13] = [
        (&["--lossless", "--codec", "h264"], "h264 cannot be lossless"),
        (&["--lossless", "--crf", "3"], "no --crf"),
        (&["--codec", "ffv1", "--crf", "3"], "no --crf"),
        (&["--crf", "52"], "--crf 52 is out of range for h264"),
        (&["--codec", "av1", "--crf", "64"], "--crf"),
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

/// Its stdout or stderr goes nowhere: a reader that went away, or a disk that is full.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let room = room();
    let gone = || {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let film = [&["join", "-o", "film.mp4", "--engine", "dissolve"], &FAST[..]].concat();
    for more in [&[][..], &["--json"], &["-vv"]] {
        let mut command = room.command(&[&film[..], more].concat());
        let status = command.stdout(gone()).stderr(gone()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{more:?}");
        fs::remove_file(room.path("film.mp4")).unwrap();
    }
    let cases: [(&[&str], i32); 7] = [
        (&["--help"], 0),
        (&["--generate", "man"], 0),
        (&["--generate", "complete-bash"], 0),
        (&["inspect", "a.mp4"], 0),
        (&["join", "a.mp4", "b.mp4", "--dry-run"], 0),
        (&["join", "a.mp4", "nothing.mp4", "--json"], 3),
        (&["join", "a.mp4", "--json"], 2),
    ];
    for (words, code) in cases {
        let status = room.command(words).stdout(gone()).stderr(gone()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{words:?}");
    }
    if Path::new("/dev/full").exists() {
        let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let status = room.command(&["join", "a.mp4", "nothing.mp4"]).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(3));
    }
}
