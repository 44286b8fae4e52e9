//! A run's parts as jobs of a Slurm cluster: plain scripts for `sbatch`, which need nothing but a disk that all nodes see.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::pipeline::run::folder::RunError;

/// What the scripts do.
#[derive(Debug)]
pub struct Slurm<'a> {
    /// The program, and the command that makes the film.
    pub program: &'a Path,
    pub command: &'static str,
    /// Where the run lies, on a disk that all nodes see.
    pub run: &'a Path,
    pub output: &'a Path,
    pub overwrite: bool,
    /// Segments or seams.
    pub parts: usize,
    /// Whether each goes on from the one before it.
    pub chained: bool,
    /// Whether each takes a GPU.
    pub gpu: bool,
    /// What the programs are told by their environment.
    pub environment: Vec<(String, String)>,
}

/// The script that hands all in.
pub const SUBMIT: &str = "submit.sh";
pub const SEGMENTS: &str = "segments.sbatch";
pub const STITCH: &str = "stitch.sbatch";

impl Slurm<'_> {
    /// Writes all of them; the one to start.
    pub fn write(&self) -> Result<PathBuf, RunError> {
        let put = |name: &str, text: String| {
            let path = self.run.join(name);
            let written = fs::write(&path, text).and_then(|()| executable(&path));
            written.map(|()| path.clone()).map_err(|source| RunError::NotWritable { path, source })
        };
        put(SEGMENTS, self.segments())?;
        put(STITCH, self.stitch())?;
        put(SUBMIT, self.submit())
    }

    /// One job a part. A chain's run in order, and each would make what is missing before it.
    fn segments(&self) -> String {
        let one_by_one = if self.chained { "%1" } else { "" };
        let array = format!("#SBATCH --array=1-{}{one_by_one}\n", self.parts);
        let file = |end: &str| format!("{}/segment_$SLURM_ARRAY_TASK_ID.{end}", quoted(self.run));
        let gpu = if self.gpu { " --device cuda:0" } else { "" };
        let words = format!("--segment \"$SLURM_ARRAY_TASK_ID\" -o {} --overwrite{gpu}", file("mkv"));
        self.script("wanctl-segments", &array, &file("log"), &words)
    }

    /// The film, once all of them are made.
    fn stitch(&self) -> String {
        let overwrite = if self.overwrite { " --overwrite" } else { "" };
        let words = format!("--stitch-only -o {}{overwrite}", quoted(self.output));
        self.script("wanctl-film", "", &quoted(&self.run.join("stitch.log")), &words)
    }

    fn script(&self, name: &str, more: &str, log: &str, words: &str) -> String {
        let gpu = if self.gpu && !more.is_empty() { "#SBATCH --gres=gpu:1\n" } else { "" };
        let exports =
            self.environment.iter().map(|(name, value)| format!("export {name}={}\n", shell_words::quote(value)));
        // Slurm's own pattern for the name of the log would read a % in the path.
        format!(
            "#!/bin/sh\n#SBATCH --job-name={name}\n#SBATCH --output=/dev/null\n{more}{gpu}exec >{log} 2>&1\n{}exec {} {} --task {} {words}\n",
            exports.collect::<String>(),
            quoted(self.program),
            self.command,
            quoted(&self.run.join("run.json")),
        )
    }

    fn submit(&self) -> String {
        let (segments, stitch) = (quoted(&self.run.join(SEGMENTS)), quoted(&self.run.join(STITCH)));
        format!(
            "#!/bin/sh\n# Options for sbatch, such as --partition or --time, may follow.\nset -eu\n\
             segments=$(sbatch --parsable \"$@\" {segments})\n\
             film=$(sbatch --parsable --dependency=\"afterok:${{segments%%;*}}\" --kill-on-invalid-dep=yes \"$@\" {stitch})\n\
             echo \"segments: job ${{segments%%;*}}, film: job ${{film%%;*}}\"\n"
        )
    }
}

fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

#[cfg(unix)]
fn executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_mode(permissions.mode() | 0o111);
    fs::set_permissions(path, permissions)
}

#[cfg(not(unix))]
fn executable(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slurm(chained: bool, gpu: bool) -> Slurm<'static> {
        Slurm {
            program: Path::new("/opt/wan ctl/wanctl"),
            command: "travel",
            run: Path::new("/shared/it's \"here\"/run"),
            output: Path::new("/shared/a film.mp4"),
            overwrite: false,
            parts: 13,
            chained,
            gpu,
            environment: vec![("WANCTL_MODELS".into(), "/m 1:/m2".into())],
        }
    }

    #[test]
    fn paths_are_words_of_the_shell_whatever_they_hold() {
        for script in [slurm(false, false).segments(), slurm(false, false).stitch()] {
            let last = script.lines().last().unwrap();
            let words = shell_words::split(last).unwrap();
            assert_eq!(words[..3], ["exec", "/opt/wan ctl/wanctl", "travel"]);
            assert_eq!(words[3..5], ["--task", "/shared/it's \"here\"/run/run.json"]);
            assert!(script.contains("export WANCTL_MODELS='/m 1:/m2'\n"), "{script}");
        }
        let stitch = slurm(false, false).stitch();
        assert_eq!(
            shell_words::split(stitch.lines().last().unwrap()).unwrap()[5..],
            ["--stitch-only", "-o", "/shared/a film.mp4"]
        );
    }

    #[test]
    fn a_chain_goes_one_by_one_and_a_gpu_is_asked_for_by_what_takes_one() {
        assert!(slurm(false, false).segments().contains("#SBATCH --array=1-13\n"));
        assert!(slurm(true, false).segments().contains("#SBATCH --array=1-13%1\n"));
        let (with, film) = (slurm(false, true).segments(), slurm(false, true).stitch());
        assert!(with.contains("#SBATCH --gres=gpu:1\n") && with.contains(" --device cuda:0"), "{with}");
        assert!(!film.contains("gres") && !slurm(true, false).segments().contains("gres"));
    }
}
