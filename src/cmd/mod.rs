//! The command line: what can be typed, and what comes back. The only module that prints.

use clap::{Parser, Subcommand, ValueEnum};
use wanctl::pipeline::{
    run::error::Result,
    system::environment::{self, Variable},
    types::cancel::CancelToken,
};

mod args;
mod film;
mod guide;
mod inspect;
mod join;
mod library;
mod output;
mod travel;

pub(crate) use output::{
    log::{RunLog, install as install_log},
    ui::{Outcome, Ui, report_usage},
};

/// At the foot of every help: exit codes, where output goes, and the environment variables by their names.
pub(crate) fn after_help() -> String {
    let names: Vec<&str> = environment::ALL.iter().map(|variable| variable.name).collect();
    format!(
        "{EXIT_CODES}
Environment: {}",
        names.join(", ")
    )
}

/// The same for `--help` and the man page, with what each variable means.
pub(crate) fn after_long_help() -> String {
    let line = |variable: &Variable| {
        format!(
            "
  {:<20} {}",
            variable.name, variable.about
        )
    };
    format!(
        "{EXIT_CODES}

Environment:{}",
        environment::ALL.iter().map(line).collect::<String>()
    )
}

/// The contract with scripts.
const EXIT_CODES: &str = "\
Exit codes: 0 done and verified · 2 usage · 3 input · 4 weights · 5 memory · 7 media (ffmpeg) · 8 disk · 9 engine · 10 timeout · \
130 interrupted
The result goes to stdout, everything for people to stderr. For programs: --json, one object a line.";

/// Joins video clips into one film, and travels through images: between them stand frames that carry one over into the next
///
/// `wanctl join a.mp4 b.mp4` writes a_join_b.mp4, `wanctl travel a.png b.png` a_travel_b.mp4; their --help tells the rest.
#[derive(Parser, Debug)]
#[command(name = "wanctl", version, after_help = after_help(), after_long_help = after_long_help(), max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Write the man page or a shell's completions to stdout.
    #[arg(long, value_name = "WHAT", exclusive = true)]
    generate: Option<Generate>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Join(Box<join::Args>),
    Travel(Box<travel::Args>),
    Guide(Box<guide::Args>),
    Inspect(inspect::Args),
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Generate {
    Man,
    CompleteBash,
    CompleteZsh,
    CompleteFish,
    CompletePowershell,
}

impl Cli {
    /// How much is said on stderr.
    pub(crate) fn verbosity(&self) -> output::log::Verbosity {
        match &self.command {
            Some(Command::Join(args)) => args.make.run.verbosity(),
            Some(Command::Travel(args)) => args.make.run.verbosity(),
            Some(Command::Guide(args)) => args.run.verbosity(),
            Some(Command::Inspect(args)) => args.verbosity(),
            None => output::log::Verbosity::default(),
        }
    }

    pub(crate) fn ui(&self, log: &RunLog) -> Ui {
        let json = match &self.command {
            Some(Command::Join(args)) => args.make.run.json,
            Some(Command::Travel(args)) => args.make.run.json,
            Some(Command::Guide(args)) => args.run.json,
            Some(Command::Inspect(args)) => args.json,
            None => false,
        };
        Ui::new(json, self.verbosity(), log.clone())
    }

    /// What was asked for.
    pub(crate) fn run(self, cancel: &CancelToken, ui: &Ui) -> Result<Outcome> {
        match (self.command, self.generate) {
            (Some(Command::Join(args)), _) => join::run(*args, cancel, ui),
            (Some(Command::Travel(args)), _) => travel::run(*args, cancel, ui),
            (Some(Command::Guide(args)), _) => guide::run(*args, cancel, ui),
            (Some(Command::Inspect(args)), _) => inspect::run(args, cancel, ui),
            (None, Some(what)) => generate(what, ui),
            (None, None) => unreachable!("clap shows the help for an empty command line"),
        }
    }
}

fn generate(what: Generate, ui: &Ui) -> Result<Outcome> {
    use clap::CommandFactory;
    use clap_complete::{Shell, generate};
    let mut command = Cli::command();
    let mut text = vec![];
    let shell = match what {
        Generate::Man => None,
        Generate::CompleteBash => Some(Shell::Bash),
        Generate::CompleteZsh => Some(Shell::Zsh),
        Generate::CompleteFish => Some(Shell::Fish),
        Generate::CompletePowershell => Some(Shell::PowerShell),
    };
    match shell {
        Some(shell) => generate(shell, &mut command, "wanctl", &mut text),
        None => man(command, &mut text)?,
    }
    ui.print_bytes(&text)?;
    Ok(Outcome::Usable)
}

/// One page: the program, then every subcommand with its options.
fn man(command: clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    clap_mangen::Man::new(command.clone()).render(page)?;
    for subcommand in command.get_subcommands() {
        let man = clap_mangen::Man::new(subcommand.clone());
        use std::io::Write;
        writeln!(page, ".SH \"WANCTL {}\"", subcommand.get_name().to_uppercase())?;
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_option_is_well_formed_and_documented() {
        let command = Cli::command().help_expected(true);
        command.debug_assert();
    }
}
