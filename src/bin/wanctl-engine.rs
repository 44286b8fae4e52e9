//! The engine program: `wanctl` starts it, so that only this process ever touches libtorch.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use engine::torch;

// A module of this program and not of the library: what the library held of tch, the linker would put into `wanctl` too.
#[path = "../engine/mod.rs"]
mod engine;

const USAGE: &str = "\
usage: wanctl-engine --devices    the devices that libtorch sees, one JSON object a line
       wanctl-engine --version    versions of this program and of libtorch";

/// cli.md's code for wrong usage.
const EXIT_USAGE: u8 = 2;
/// cli.md's code for an engine that could not say what it had to.
const EXIT_ENGINE: u8 = 9;

fn main() -> ExitCode {
    torch::silence_stages();
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str()).collect();
    let lines = match words[..] {
        [Some("--devices")] => devices(),
        [Some("--version" | "-V")] => Ok(version()),
        [Some("--help" | "-h")] => Ok(USAGE.to_owned()),
        _ => return complain(USAGE, EXIT_USAGE),
    };
    match lines.and_then(|lines| writeln!(io::stdout(), "{lines}")) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&format!("wanctl-engine: stdout cannot be written: {error}"), EXIT_ENGINE),
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
