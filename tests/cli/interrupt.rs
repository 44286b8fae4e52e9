//! Runs that are ended from outside: whenever that is, no half-written film, no child, and a word about it.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    harness::Room,
    refusals::{failure, join_words, manifest},
};

const WORDS: [&str; 4] = ["a.mp4", "b.mp4", "--gap", "4"];

fn room() -> Room {
    let room = Room::new();
    for name in ["a.mp4", "b.mp4"] {
        room.clip(name, 20, "24", "64x36");
    }
    room
}

fn start(room: &Room, words: &[&str]) -> Child {
    room.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(child: &Child, signal: Signal) {
    // It may have ended; not yet waited for, its number is nobody else's.
    let _ = kill_process(Pid::from_child(child), signal);
}

/// Interrupted as it should be, or done before that; which of them.
#[track_caller]
fn assert_clean(room: &Room, output: &Output, result: &str) -> bool {
    let begun = room.runs();
    let mut files = vec!["a.mp4".to_owned(), "b.mp4".to_owned()];
    let interrupted = match output.status.code() {
        Some(0) => {
            files.push(result.to_owned());
            false
        }
        // Before it could listen there is nothing to clean up.
        None if begun.is_empty() => {
            assert!(matches!(output.status.signal(), Some(2 | 15)), "{output:?}");
            true
        }
        _ => {
            let refusal = failure(output, 130).with("message", "interrupted");
            if let [folder] = &begun[..] {
                assert_eq!(refusal.0["run_folder"], folder.to_str().unwrap());
                let manifest = manifest(folder);
                assert_eq!(manifest["outcome"], "failed");
                assert_eq!(
                    (&manifest["error"]["code"], &manifest["error"]["exit"]),
                    (&"interrupted".into(), &130.into())
                );
            } else {
                // While clips are read there is no folder yet.
                assert!(
                    begun.is_empty() && ["settings", "probe", "plan"].contains(&refusal.0["stage"].as_str().unwrap())
                );
            }
            true
        }
    };
    assert_eq!(room.files(), files);
    room.assert_no_children();
    interrupted
}

/// xorshift64*, so that the same moments come again.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }
}

#[test]
#[ignore = "slow: fifty runs"]
fn a_signal_at_any_moment_leaves_nothing_half_done() {
    const RUNS: usize = 50;
    let begun = Instant::now();
    room().joins(&WORDS).good();
    let whole = begun.elapsed().as_micros() as u64;
    let mut moments = Moments(20_261_121);
    let moments: Vec<(Duration, Signal)> = (0..RUNS)
        .map(|run| (Duration::from_micros(moments.next() % whole), [Signal::INT, Signal::TERM][run % 2]))
        .collect();
    let (next, interrupted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((moment, signal)) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let room = room();
                    let child = start(&room, &join_words(&WORDS));
                    thread::sleep(*moment);
                    send(&child, *signal);
                    let output = child.wait_with_output().unwrap();
                    if assert_clean(&room, &output, "film.mp4") {
                        interrupted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // Some moments come too late where the machine is quicker than it was at first, but not most of them.
    let interrupted = interrupted.into_inner();
    assert!(interrupted > RUNS / 2, "{interrupted} of {RUNS} runs were interrupted");
}

/// Runs until a line on stderr holds all of these words, for the `count`th time, and signals then.
fn signal_at(room: &Room, words: &[&str], line_holds: &[&str], count: usize, signals: &[Signal]) -> Option<Output> {
    let mut child = start(room, words);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut text, mut seen) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stderr.read_line(&mut line).unwrap() == 0 {
            break;
        }
        text += &line;
        seen += usize::from(line_holds.iter().all(|words| line.contains(words)));
        if seen == count {
            for signal in signals {
                send(&child, *signal);
            }
            break;
        }
    }
    let rest = thread::spawn(move || {
        let mut rest = vec![];
        stderr.read_to_end(&mut rest).unwrap();
        rest
    });
    let mut output = child.wait_with_output().unwrap();
    output.stderr = [text.into_bytes(), rest.join().unwrap()].concat();
    (seen == count).then_some(output)
}

#[test]
fn a_signal_at_the_start_of_any_stage_leaves_nothing_half_done() {
    let join = [&join_words(&WORDS)[..], &["-vv"]].concat();
    let guide = [&["guide"], &WORDS[..], &["-o", "film.mp4", "--json", "-vv"]].concat();
    let cases = [
        (&join, ["probe", "plan", "sound", "film", "verify"].as_slice()),
        (&guide, ["probe", "plan", "guide"].as_slice()),
    ];
    for (words, stages) in cases {
        for (number, stage) in stages.iter().enumerate() {
            let room = room();
            let stage = format!("stage=\"{stage}\"");
            let signal = [Signal::INT, Signal::TERM][number % 2];
            let output = signal_at(&room, words, &["begin", &stage], 1, &[signal]);
            let output = output.unwrap_or_else(|| panic!("no {stage}"));
            assert!(assert_clean(&room, &output, "film.mp4"), "{stage}");
        }
    }
}

#[test]
#[ignore = "slow: a run for each child"]
fn a_signal_at_the_start_of_any_child_ends_it() {
    let words = [&join_words(&WORDS)[..], &["-vv"]].concat();
    let mut children = 0;
    loop {
        let room = room();
        let Some(output) = signal_at(&room, &words, &["start command="], children + 1, &[Signal::TERM]) else { break };
        children += 1;
        assert!(assert_clean(&room, &output, "film.mp4"), "child {children}");
    }
    // Two probes, sound, encode, two stretches and two contexts, the last decode, and a probe of the film.
    assert!((9..=12).contains(&children), "{children} children");
}

/// `timeout` sends its signal to the program and to the group, and a person presses Ctrl-C twice.
#[test]
fn a_signal_sent_twice_at_once_is_one_request() {
    let words = [&join_words(&WORDS)[..], &["-vv"]].concat();
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::TERM]] {
        let room = room();
        let output = signal_at(&room, &words, &["begin", "stage=\"film\""], 1, &signals).unwrap();
        assert!(assert_clean(&room, &output, "film.mp4"));
    }
}

/// Nobody can clean up after SIGKILL: a temporary file stays until the next run, but never under the film's name, and
/// children that lost their reader or writer end by themselves.
#[test]
fn a_killed_run_leaves_no_film_and_no_lasting_child() {
    let words = [&join_words(&WORDS)[..], &["-vv"]].concat();
    for stage in ["probe", "sound", "film", "verify"] {
        let room = room();
        let stage = format!("stage=\"{stage}\"");
        let output = signal_at(&room, &words, &["begin", &stage], 1, &[Signal::KILL]).unwrap();
        assert_eq!(output.status.signal(), Some(9));
        room.assert_children_end_within(Duration::from_secs(10));
        let mut files = room.files();
        files.retain(|name| !name.starts_with(".wanctl-"));
        assert_eq!(files, ["a.mp4", "b.mp4"]);
        match &room.runs()[..] {
            [] => assert!(stage.contains("probe")),
            runs => assert_eq!(manifest(&runs[0])["outcome"], "running"),
        }
        // The next run of the same is in nobody's way, and removes what that one left.
        if stage.contains("film") {
            room.joins(&WORDS).good();
            assert_eq!(room.files(), ["a.mp4", "b.mp4", "film.mp4"]);
        }
    }
}
