//! The engine program: `wanctl` starts it, so that only this process ever touches libtorch.

#![allow(clippy::disallowed_methods, reason = "a main may end the program")]

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    panic,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

use engine::{jobs, torch};
use wanctl::pipeline::job::{EngineFailure, EngineFailureCode, Event, ExecTarget};

// A module of this program and not of the library: what the library held of tch, the linker would put into `wanctl` too.
#[path = "../engine/mod.rs"]
mod engine;

const USAGE: &str = "\
usage: wanctl-engine [--device auto|cpu|cuda:N] [--threads N] [--share N] FOLDER ...
                                  does the jobs in these folders, in order; says how as one JSON object a line;
                                  --share: so many engines share this machine's memory
       wanctl-engine --devices    the devices that libtorch sees, one JSON object a line
       wanctl-engine --version    versions of this program and of libtorch";

/// Exit code for wrong usage, as wanctl's.
const EXIT_USAGE: u8 = 2;
/// Exit code of an engine that could not say what it had to, as wanctl's.
const EXIT_ENGINE: u8 = 9;

fn main() -> ExitCode {
    torch::set_environment();
    torch::silence_stages();
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str()).collect();
    let lines = match words[..] {
        [Some("--devices")] => devices(),
        [Some("--version" | "-V")] => Ok(version()),
        [Some("--help" | "-h")] => Ok(USAGE.to_owned()),
        [] => return complain(USAGE, EXIT_USAGE),
        _ => {
            return match ExecTarget::parse(&arguments) {
                Ok((place, folders)) if !folders.is_empty() && !folders.iter().any(is_option) => {
                    work(place, &folders.iter().map(PathBuf::from).collect::<Vec<_>>())
                }
                Ok(_) => complain(USAGE, EXIT_USAGE),
                Err(problem) => complain(&format!("wanctl-engine: {problem}\n{USAGE}"), EXIT_USAGE),
            };
        }
    };
    match lines.and_then(|lines| writeln!(io::stdout(), "{lines}")) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&format!("wanctl-engine: stdout cannot be written: {error}"), EXIT_ENGINE),
    }
}

/// How often a step that takes long says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

fn is_option(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn work(place: ExecTarget, folders: &[PathBuf]) -> ExitCode {
    thread::spawn(|| {
        loop {
            thread::sleep(HEARTBEAT);
            say(&Event::Alive);
        }
    });
    let outcome = panic::catch_unwind(|| jobs::run(place, folders, &mut say));
    let trouble = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(trouble)) => trouble,
        Err(panic) => {
            let words = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned());
            EngineFailure::new(
                EngineFailureCode::Engine,
                format!("the engine itself failed: {}", words.unwrap_or_else(|| "unknown panic".into())),
            )
        }
    };
    say(&Event::Error(trouble));
    ExitCode::from(EXIT_ENGINE)
}

/// One line, whole, even from two threads.
fn say(event: &Event) {
    let Ok(mut line) = serde_json::to_string(event) else { return };
    line.push('\n');
    let mut stdout = io::stdout().lock();
    if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        // Whoever asked is gone; nobody wants the rest.
        std::process::exit(i32::from(EXIT_ENGINE));
    }
}

fn devices() -> io::Result<String> {
    let lines: Result<Vec<_>, _> = torch::devices().iter().map(serde_json::to_string).collect();
    Ok(lines?.join("\n"))
}

fn version() -> String {
    let libtorch = torch::version().unwrap_or_else(|| "of an unknown version".into());
    format!("wanctl-engine {}\nlibtorch {libtorch}", env!("CARGO_PKG_VERSION"))
}

fn complain(words: &str, code: u8) -> ExitCode {
    // Where stderr is closed too, the exit code alone must do.
    let _ = writeln!(io::stderr(), "{words}");
    ExitCode::from(code)
}
