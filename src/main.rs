//! `wanctl`: hooks, arguments, one command, an exit code.
#![allow(clippy::disallowed_types, reason = "the last stop of every error")]

use std::{
    panic,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use color_eyre::{
    config::{HookBuilder, Theme},
    eyre::Report,
};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGXFSZ},
    iterator::Signals,
    low_level,
};

use wanctl::pipeline::{
    run::session::caught,
    types::{cancel::CancelToken, error::ErrorCode},
};

mod cmd;

use cmd::{Cli, Outcome, RunLog};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            cmd::report_usage(&error, std::env::args_os().any(|word| word == "--json"));
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let (cancel, log) = (CancelToken::default(), RunLog::default());
    let ui = cli.ui(&log);
    cmd::install_log(&log, (ui.color(), ui.line_writer()), cli.verbosity());
    if let Err(error) = listen(&cancel) {
        return ExitCode::from(ui.error(&error.into()));
    }
    // A failure of our own is reported like any other, with the run folder.
    log_panics_and_causes();
    match caught(|| cli.run(&cancel, &ui)) {
        Ok(Outcome::Usable) => ExitCode::SUCCESS,
        Ok(Outcome::Unusable) => ExitCode::from(ErrorCode::Input.exit()),
        Err(error) => {
            let code = ui.error(&error);
            // The chain of causes, for the log.
            tracing::debug!("{:?}", Report::new(error));
            ExitCode::from(code)
        }
    }
}

/// `timeout` and some shells send their signal twice at once: to the program and to its group.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// The first signal asks for an orderly end, a second one does not wait for it.
fn listen(cancel: &CancelToken) -> std::io::Result<()> {
    // Its default action is to kill; handled, a write past the file size limit is an error like a full disk.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let flag = cancel.flag();
    thread::spawn(move || {
        let mut asked: Option<Instant> = None;
        for _ in signals.forever() {
            match asked {
                None => flag.store(true, Ordering::Relaxed),
                Some(first) if first.elapsed() < ONE_REQUEST => continue,
                Some(_) => low_level::exit(ErrorCode::Interrupted.exit().into()),
            }
            asked = Some(Instant::now());
        }
    });
    Ok(())
}

/// Into the log, with the chain of causes; without the colours and the advice on backtraces that are for a terminal.
fn log_panics_and_causes() {
    let (panics, causes) = HookBuilder::blank().theme(Theme::new()).display_env_section(false).into_hooks();
    panic::set_hook(Box::new(move |info| tracing::error!("{}", panics.panic_report(info))));
    if let Err(error) = causes.install() {
        tracing::warn!("causes of errors will be logged in another form: {error}");
    }
}
