//! Outputs that cannot be, disks that are full, and readers that went away.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    harness::Room,
    refusals::{FAST, can, failure, join_words, room},
};

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
    let sound = room.refused(under(&room, "ulimit -f 16", &words), 8).with("message", "while encoding the sound");
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

/// Its stdout or stderr goes nowhere: a reader that went away, or a disk that is full.
#[test]
#[ignore = "slow: three films and eight other runs"]
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
