//! A job folder: what `wanctl` asks of the engine program and what comes back. Both programs share these types.
//!
//! ```text
//! request.json       what to do; written by wanctl
//! guide.safetensors  frames u8 [T,H,W,3] RGB, slot u8 [T], mask f32 [T], latent_mask f32 [L]; written by wanctl
//! latents.safetensors  wan: latents and the solver's history after every step, so that a killed job goes on; by the engine
//! made.safetensors   frames u8 [T,H,W,3]; written by the engine
//! result.json        how it went, with hashes; written last
//! engine.log         what the engine said
//! ```
//!
//! Every file is written under another name and renamed, so that what has its name is whole.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    checkpoint::ModelFiles,
    schedule::{Solver, Step},
    video::{Frame, Size},
};

/// Counts up with every change that an older program would misread.
pub const VERSION: u32 = 2;
/// Both programs come from one build; another build's numbers may mean other things.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

pub const REQUEST: &str = "request.json";
pub const GUIDE: &str = "guide.safetensors";
pub const LATENTS: &str = "latents.safetensors";
pub const MADE: &str = "made.safetensors";
pub const RESULT: &str = "result.json";
pub const LOG: &str = "engine.log";

/// Which engine, and what only it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// The embedded network, and the clips' own motion.
    Rife,
    /// The embedded network alone, by halves: what the former is measured against.
    Halving,
    /// A Wan model.
    Wan(Box<Wan>),
}

/// What a Wan model is asked, and with which weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wan {
    pub models: ModelFiles,
    pub prompt: String,
    pub negative_prompt: String,
    pub solver: Solver,
    pub steps: Vec<Step>,
    /// Noise is drawn on the CPU from it, so that every machine draws the same.
    pub seed: u64,
    pub dtype: Dtype,
    pub vae_tile: VaeTile,
    /// How strongly the guide holds the model; 1 is as it was trained.
    pub control_scale: f64,
}

/// In which numbers the networks compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// What the device is fast in: bf16 with CUDA, f32 on the CPU.
    Auto,
    Bf16,
    F16,
    F32,
}

impl std::str::FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            "f32" => Ok(Self::F32),
            _ => Err(format!("`{text}` is unknown, wanted auto, bf16, f16 or f32")),
        }
    }
}

/// Whether the VAE sees the picture in parts, which saves memory and changes the picture a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VaeTile {
    /// In parts where the whole does not fit.
    Auto,
    Off,
    /// In parts of so many pixels.
    Pixels(u32),
}

impl std::str::FromStr for VaeTile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => match text.parse() {
                Ok(pixels @ 64..=4096) if pixels % 32 == 0 => Ok(Self::Pixels(pixels)),
                _ => Err(format!("`{text}` is no tile, wanted auto, off, or a multiple of 32 from 64 to 4096 pixels")),
            },
        }
    }
}

/// Where the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    Auto,
    Cpu,
    Cuda(usize),
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") if text == "auto" => Ok(Self::Auto),
            ("cpu", "0") if text == "cpu" => Ok(Self::Cpu),
            ("cuda", index) => index.parse().ok().filter(|index| *index < 64).map(Self::Cuda).ok_or(()),
            _ => Err(()),
        }
        .map_err(|()| format!("`{text}` is no device, wanted auto, cpu, cuda or cuda:N"))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub version: u32,
    pub program: String,
    /// The run that it belongs to.
    pub run: String,
    pub seam: usize,
    pub maker: Maker,
    pub width: u32,
    pub height: u32,
    /// Frames of the guide.
    pub frames: usize,
    pub device: Device,
    /// None: one for every core.
    pub threads: Option<usize>,
    /// SHA-256 of the guide file.
    pub guide: String,
}

/// What a frame of the guide is, as its `slot` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotKind {
    Fill = 0,
    Hint = 1,
    Anchor = 2,
    Keep = 3,
}

impl SlotKind {
    pub fn of(byte: u8) -> Option<Self> {
        [Self::Fill, Self::Hint, Self::Anchor, Self::Keep].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Said by the engine, one JSON object a line on its stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// The first of all.
    Started {
        program: String,
        libtorch: String,
    },
    /// Work on a seam begins, on a device, with so many threads.
    Job {
        seam: usize,
        device: String,
        threads: usize,
    },
    /// A part of the work begins that is counted by itself.
    Part {
        seam: usize,
        part: Part,
    },
    Progress {
        seam: usize,
        done: usize,
        total: usize,
    },
    /// Something that the user should know.
    Note {
        seam: usize,
        message: String,
    },
    /// Said now and then, however long a step takes.
    Alive,
    Error(Trouble),
    Done {
        seam: usize,
    },
}

/// The parts of a Wan model's work, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The prompts are read.
    Text,
    /// The guide becomes latents.
    Encode,
    /// A network is brought to the device.
    Load,
    /// Noise becomes latents, step by step.
    Denoise,
    /// Latents become frames.
    Decode,
}

impl Part {
    /// As a word for people and for events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "prompt",
            Self::Encode => "encode",
            Self::Load => "load",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
        }
    }
}

/// Why an engine gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub code: TroubleCode,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TroubleCode {
    Usage,
    Weights,
    Memory,
    Disk,
    Engine,
}

impl Trouble {
    pub fn new(code: TroubleCode, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), help: None }
    }

    pub fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}

impl From<JobError> for Trouble {
    fn from(error: JobError) -> Self {
        let code = if matches!(error, JobError::Write { .. }) { TroubleCode::Disk } else { TroubleCode::Engine };
        Self::new(code, error)
    }
}

/// Written last: with it the job is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub version: u32,
    pub program: String,
    pub libtorch: String,
    pub device: String,
    pub threads: usize,
    pub seconds: f64,
    /// SHA-256 of the request that was answered and of what was made.
    pub request: String,
    pub made: String,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Seconds that each part took; what several seams share counts for the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(Part, f64)>,
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not what it should be: {problem}", path.display())]
    Malformed { path: PathBuf, problem: String },
}

impl JobError {
    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), problem: problem.into() }
    }
}

/// Writes a file whole or not at all.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), JobError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = File::create(&new).map(BufWriter::new).and_then(|mut file| {
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    written.map_err(JobError::write(&new))?;
    fs::rename(&new, path).map_err(JobError::write(path))
}

pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), JobError> {
    write_whole(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value).map_err(io::Error::other)?;
        file.write_all(b"\n")
    })
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, JobError> {
    let file = File::open(path).map_err(JobError::read(path))?;
    serde_json::from_reader(BufReader::new(file)).map_err(|error| JobError::malformed(path, error.to_string()))
}

/// SHA-256 in hexadecimal digits.
pub fn hash(path: &Path) -> Result<String, JobError> {
    let mut hasher = Sha256::new();
    let file = File::open(path).map_err(JobError::read(path))?;
    io::copy(&mut BufReader::with_capacity(1 << 20, file), &mut hasher).map_err(JobError::read(path))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a guide file holds beside its frames.
#[derive(Debug, Clone, PartialEq)]
pub struct GuideHead {
    pub size: Size,
    pub slots: Vec<SlotKind>,
    /// 1 where the model makes the frame.
    pub mask: Vec<f32>,
    /// 1 where it makes the latent.
    pub latent_mask: Vec<f32>,
}

/// Writes the guide, a frame at a time.
pub fn write_guide<E: From<JobError>>(
    path: &Path,
    head: &GuideHead,
    mut frame: impl FnMut(usize) -> Result<Frame, E>,
) -> Result<(), E> {
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let slots: Vec<u8> = head.slots.iter().map(|slot| *slot as u8).collect();
    let small =
        [("slot", "U8", slots), ("mask", "F32", floats(&head.mask)), ("latent_mask", "F32", floats(&head.latent_mask))];
    let counts = [head.slots.len(), head.mask.len(), head.latent_mask.len()];
    let frames = head.slots.len();
    let mut failed = None;
    let written = write_whole(path, |file| {
        file.write_all(&header(head.size, frames, &small, counts))?;
        for index in 0..frames {
            match frame(index) {
                Ok(frame) => file.write_all(&frame.rgb)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("a frame is missing"));
                }
            }
        }
        small.iter().try_for_each(|(_, _, bytes)| file.write_all(bytes))
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

/// Writes what was made.
pub fn write_made(path: &Path, size: Size, frames: &[Vec<u8>]) -> Result<(), JobError> {
    write_whole(path, |file| {
        file.write_all(&header(size, frames.len(), &[], [0; 3]))?;
        frames.iter().try_for_each(|frame| file.write_all(frame))
    })
}

/// The safetensors header: `frames` first, so that the largest part is where a reader expects it.
fn header(size: Size, frames: usize, small: &[(&str, &str, Vec<u8>)], counts: [usize; 3]) -> Vec<u8> {
    let mut end = frames * size.rgb_bytes();
    let mut tensors = serde_json::Map::new();
    let shape = [frames, size.height as usize, size.width as usize, 3];
    tensors.insert("frames".into(), serde_json::json!({"dtype": "U8", "shape": shape, "data_offsets": [0, end]}));
    for ((name, dtype, bytes), count) in small.iter().zip(counts) {
        let begin = end;
        end += bytes.len();
        tensors.insert(
            (*name).into(),
            serde_json::json!({"dtype": dtype, "shape": [count], "data_offsets": [begin, end]}),
        );
    }
    let mut text = serde_json::Value::Object(tensors).to_string().into_bytes();
    // Aligned, so that readers can map the tensors.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    header
}

/// Frames in a safetensors file, read one at a time.
#[derive(Debug)]
pub struct FrameFile {
    path: PathBuf,
    file: File,
    tensors: serde_json::Map<String, serde_json::Value>,
    data: u64,
    pub size: Size,
    pub frames: usize,
}

impl FrameFile {
    /// Checks the header against the file's length; a file that was cut short or edited is refused.
    pub fn open(path: &Path) -> Result<Self, JobError> {
        const LONGEST_HEADER: u64 = 1 << 20;
        let malformed = |problem: &str| JobError::malformed(path, problem);
        let mut file = File::open(path).map_err(JobError::read(path))?;
        let length = file.metadata().map_err(JobError::read(path))?.len();
        let mut prefix = [0; 8];
        file.read_exact(&mut prefix).map_err(|_| malformed("it is too short for a header"))?;
        let text_length = u64::from_le_bytes(prefix);
        if text_length > LONGEST_HEADER || 8 + text_length > length {
            return Err(malformed("its header is longer than it can be"));
        }
        let mut text = vec![0; text_length as usize];
        file.read_exact(&mut text).map_err(JobError::read(path))?;
        let tensors: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text)
            .map_err(|error| JobError::malformed(path, format!("its header is no JSON: {error}")))?;
        let data = 8 + text_length;
        let ends = tensors.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
        if ends.max() != Some(length - data) {
            return Err(malformed("its length is not that of its tensors"));
        }
        let shape: Vec<u64> = serde_json::from_value(
            tensors.get("frames").map_or_else(Default::default, |frames| frames["shape"].clone()),
        )
        .map_err(|_| malformed("it has no tensor `frames`"))?;
        let [frames, height, width, 3] = shape[..] else {
            return Err(malformed("its frames are not [T, H, W, 3]"));
        };
        let size = Size::new(width as u32, height as u32);
        let bytes = frames.checked_mul(height).and_then(|n| n.checked_mul(width)).and_then(|n| n.checked_mul(3));
        let place = &tensors["frames"]["data_offsets"];
        if bytes.is_none() || place[0].as_u64() != Some(0) || place[1].as_u64() != bytes {
            return Err(malformed("its frames do not fill their place"));
        }
        Ok(Self { path: path.to_owned(), file, tensors, data, size, frames: frames as usize })
    }

    pub fn frame(&mut self, index: usize) -> Result<Frame, JobError> {
        let bytes = self.size.rgb_bytes();
        let rgb = self.bytes(index as u64 * bytes as u64, bytes)?;
        Ok(Frame { size: self.size, rgb })
    }

    /// The rest of a guide file.
    pub fn guide_head(&mut self) -> Result<GuideHead, JobError> {
        let slots = self.tensor("slot", "U8")?;
        let floats = |bytes: Vec<u8>| bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let (mask, latent_mask) = (floats(self.tensor("mask", "F32")?), floats(self.tensor("latent_mask", "F32")?));
        let slots: Option<Vec<SlotKind>> = slots.into_iter().map(SlotKind::of).collect();
        let slots = slots.filter(|slots| slots.len() == self.frames);
        let slots =
            slots.ok_or_else(|| JobError::malformed(&self.path, "its slots are not one known kind for each frame"))?;
        Ok(GuideHead { size: self.size, slots, mask, latent_mask })
    }

    fn tensor(&mut self, name: &str, dtype: &str) -> Result<Vec<u8>, JobError> {
        let missing = || JobError::malformed(&self.path, format!("it has no tensor `{name}` of type {dtype}"));
        let tensor = self.tensors.get(name).filter(|tensor| tensor["dtype"] == dtype).ok_or_else(missing)?;
        let (begin, end) = (tensor["data_offsets"][0].as_u64(), tensor["data_offsets"][1].as_u64());
        let (begin, end) = begin.zip(end).filter(|(begin, end)| begin <= end).ok_or_else(missing)?;
        self.bytes(begin, (end - begin) as usize)
    }

    fn bytes(&mut self, at: u64, count: usize) -> Result<Vec<u8>, JobError> {
        let mut bytes = vec![0; count];
        let read = self.file.seek(SeekFrom::Start(self.data + at)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(JobError::read(&self.path))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guide(folder: &Path) -> (PathBuf, GuideHead) {
        let path = folder.join(GUIDE);
        let size = Size::new(6, 4);
        let slots = vec![SlotKind::Keep, SlotKind::Fill, SlotKind::Anchor, SlotKind::Fill, SlotKind::Keep];
        let head = GuideHead { size, slots, mask: vec![0.0, 1.0, 0.0, 1.0, 0.0], latent_mask: vec![0.0, 1.0] };
        let frame = |index: usize| Ok::<_, JobError>(Frame::filled(size, [index as u8 * 10; 3]));
        write_guide(&path, &head, frame).unwrap();
        (path, head)
    }

    #[test]
    fn a_guide_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, head) = guide(folder.path());
        let mut file = FrameFile::open(&path).unwrap();
        assert_eq!(file.guide_head().unwrap(), head);
        assert_eq!((0..5).map(|n| file.frame(n).unwrap().rgb[0]).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
    }

    #[test]
    fn a_guide_that_was_cut_short_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = guide(folder.path());
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(FrameFile::open(&path), Err(JobError::Malformed { .. })), "{length}");
        }
    }

    #[test]
    fn a_frame_that_cannot_be_had_leaves_no_guide() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GUIDE);
        let head =
            GuideHead { size: Size::new(2, 2), slots: vec![SlotKind::Fill], mask: vec![1.0], latent_mask: vec![1.0] };
        let none = |_| Err(JobError::Malformed { path: "x".into(), problem: "not there".into() });
        assert!(matches!(write_guide(&path, &head, none), Err(JobError::Malformed { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn events_are_one_line_of_json_each() {
        let events = [
            Event::Started { program: PROGRAM.into(), libtorch: "2.11.0".into() },
            Event::Progress { seam: 0, done: 3, total: 16 },
            Event::Error(Trouble { code: TroubleCode::Memory, message: "out of memory".into(), help: None }),
        ];
        for event in events {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }
}
