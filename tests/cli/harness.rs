//! A room for one test: its own folder, clips made on the spot, the program and what it says.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, LazyLock, Mutex, OnceLock},
};

use serde_json::Value;
use tempfile::TempDir;

/// Real frames: two cuts of one shot, 25 fps, stereo sound (tests/fixtures/clips/README.md).
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clips").join(name)
}

/// Files by their recipe.
type Made = HashMap<String, Arc<OnceLock<Vec<u8>>>>;

/// What is made for one test serves all: most of a test's time is the starts of ffmpeg.
static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);

pub(crate) struct Room {
    dir: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), environment: vec![] }
    }

    /// With these more variables in the program's environment.
    pub(crate) fn with(mut self, variable: &str, value: impl Into<String>) -> Self {
        self.environment.push((variable.into(), value.into()));
        self
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program, about to start here. Nothing of the tester's environment reaches it but PATH.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
        let words: Vec<OsString> = arguments.iter().map(|word| word.as_ref().to_owned()).collect();
        // What is tested here is not what lies between the clips: the engine is the quick one unless a test names another.
        let says = |option: &str| words.iter().any(|word| word == option);
        let quick = words.first().is_some_and(|word| word == "join" || word == "travel")
            && !says("--engine")
            && !says("--task");
        command.args(words.iter().take(1)).args(if quick { &["--engine", "dissolve"][..] } else { &[] });
        command.args(words.iter().skip(1)).current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.dir.path());
        command.env("WANCTL_WORK_DIR", self.path("runs"));
        command.envs(self.environment.iter().map(|(variable, value)| (variable, value)));
        command
    }

    pub(crate) fn wanctl<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Run {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        Run {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Runs ffmpeg here, for material and for looking at results; panics with its words where it fails.
    pub(crate) fn ffmpeg(&self, line: &str) -> Vec<u8> {
        self.ffmpeg_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn ffmpeg_words<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Vec<u8> {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y"]).args(words).current_dir(self.dir.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A file that `make` makes here, or made for another test: `recipe` names all that its bytes depend on.
    pub(crate) fn material(&self, name: &str, recipe: &str, make: impl FnOnce()) -> PathBuf {
        let path = self.path(name);
        let key = format!("{:?}: {recipe}", path.extension());
        let made = Arc::clone(MADE.lock().unwrap().entry(key).or_default());
        let bytes = made.get_or_init(|| {
            make();
            fs::read(&path).unwrap()
        });
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A small clip of moving picture and a tone: `frames` at `fps`, of `size`.
    pub(crate) fn clip(&self, name: &str, frames: usize, fps: &str, size: &str) -> PathBuf {
        self.material(name, &format!("testsrc2, {frames} of {size} at {fps}"), || {
            self.ffmpeg(&format!(
                "-f lavfi -i testsrc2=size={size}:rate={fps} -f lavfi -i sine=frequency=440:sample_rate=48000 \
                 -frames:v {frames} -shortest -c:v libx264 -preset ultrafast -crf 10 -pix_fmt yuv420p -c:a aac -f mp4 \
                 {name}"
            ));
        })
    }

    /// Two small clips of real frames, a.mp4 and b.mp4: 26 and 28 frames of 160x90 at 25 fps, with sound.
    pub(crate) fn real_pair(&self) {
        for (from, to, frames) in [("bunny_a.mp4", "a.mp4", 26), ("bunny_b.mp4", "b.mp4", 28)] {
            self.material(to, &format!("{frames} of {from}"), || {
                let from = fixture(from).display().to_string();
                let coding = format!(
                    "-frames:v {frames} -shortest -vf scale=160:90 -c:v libx264 -preset ultrafast -crf 8 -c:a aac {to}"
                );
                self.ffmpeg_words(&[&["-i", &from], &coding.split(' ').collect::<Vec<_>>()[..]].concat());
            });
        }
    }

    /// Images of real frames, as many as there are names: 160x90, each another moment of one shot.
    pub(crate) fn stills(&self, names: &[&str]) {
        for (number, name) in names.iter().enumerate() {
            let (from, at) = (fixture("bunny_a.mp4"), format!("{}.{}", number / 5, number % 5 * 2));
            self.material(name, &format!("still at {at}"), || {
                let from = from.to_str().unwrap();
                self.ffmpeg_words(&["-ss", &at, "-i", from, "-frames:v", "1", "-vf", "scale=160:90", name]);
            });
        }
    }

    /// A picture as the film would have it, in RGB.
    pub(crate) fn picture(&self, name: &str, size: (usize, usize)) -> Vec<u8> {
        self.frames(name, "rgb24", size).remove(0)
    }

    /// Every decoded frame of a file in `pixel_format`, each as its bytes.
    pub(crate) fn frames(&self, name: &str, pixel_format: &str, size: (usize, usize)) -> Vec<Vec<u8>> {
        let words =
            ["-i", name, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", pixel_format, "-"];
        let raw = self.ffmpeg_words(&words);
        let bytes = match pixel_format {
            "yuv420p" | "yuvj420p" => size.0 * size.1 * 3 / 2,
            "gray" => size.0 * size.1,
            _ => size.0 * size.1 * 3,
        };
        assert_eq!(raw.len() % bytes, 0, "{name} is not {size:?} in {pixel_format}");
        raw.chunks(bytes).map(<[u8]>::to_vec).collect()
    }

    /// What stands in the room's folder but the run folders: for "nothing is left behind".
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "runs");
        names.sort();
        names
    }
}

impl Run {
    /// Ended well; itself again, for more questions.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Ended with this code, with the human text on stderr and nothing on stdout.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// stderr holds these words.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "wanted {words:?} in:\n{}", self.stderr);
        self
    }

    /// The events on stdout.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one event of this type.
    #[track_caller]
    pub(crate) fn event(&self, kind: &str) -> Value {
        let events = self.events();
        let event = events.iter().find(|event| event["type"] == kind);
        event.unwrap_or_else(|| panic!("no {kind} in {}", self.stdout)).clone()
    }
}

/// Peak signal to noise ratio in dB; infinite where both are the same.
pub(crate) fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares).log10()
}
