//! A job folder in, frames out: read, check, make, write, vouch.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use tch::Kind;

use super::{
    rife::{Reached, Rife, RifeError},
    torch::{self, TorchError, cuda, shim},
    wan::{self, Done, Parts, Store, Task},
};
use wanctl::pipeline::{
    job::{
        self, Backend, Device, Dtype, EngineFailure, EngineFailureCode, Event, ExecTarget, FrameFile, GuideHead,
        JobResult, Part, Request, SlotKind,
    },
    system::environment,
    types::video::Size,
};

impl From<TorchError> for EngineFailure {
    fn from(error: TorchError) -> Self {
        let code = match error {
            TorchError::OutOfMemory { .. } => EngineFailureCode::Memory,
            TorchError::Failed { .. } => EngineFailureCode::Engine,
        };
        Self::new(code, error)
    }
}

fn weights(error: RifeError) -> EngineFailure {
    match error {
        RifeError::Torch(error) => error.into(),
        error => EngineFailure::new(EngineFailureCode::Weights, error),
    }
}

/// A job that was read and found to be for this program.
struct Job {
    folder: PathBuf,
    request: Request,
    head: GuideHead,
    /// How many reference images there are.
    references: usize,
}

/// Does the jobs; a network that the next one wants as well stays loaded.
pub(crate) fn run(place: ExecTarget, folders: &[PathBuf], say: &mut dyn FnMut(&Event)) -> Result<(), EngineFailure> {
    let ExecTarget { device, threads, share } = place;
    say(&Event::Started { program: job::PROGRAM.into(), libtorch: torch::version().unwrap_or_default() });
    // All of them are looked at before the first is worked on.
    let jobs: Vec<Job> = folders.iter().map(|folder| read(folder)).collect::<Result<_, _>>()?;
    if let Some(threads) = threads {
        tch::set_num_threads(threads.clamp(1, 1024) as i32);
    }
    let (device, why_cpu) = choose(device)?;
    if let (Some(why), [first, ..]) = (why_cpu, &jobs[..]) {
        say(&Event::Note {
            seam: first.request.seam,
            message: format!("working on the CPU: CUDA cannot be used: {why}"),
        });
    }
    let is_wan = |job: &Job| matches!(job.request.maker, Backend::Wan(_));
    for jobs in jobs.chunk_by(|a, b| is_wan(a) == is_wan(b)) {
        prepare(device, &jobs[0].request.maker)?;
        match jobs[0].request.maker {
            Backend::Wan(_) => generate(jobs, device, share, say)?,
            Backend::Rife | Backend::Halving => {
                let rife = Rife::load(device, Kind::Float).map_err(weights)?;
                jobs.iter().try_for_each(|job| interpolate(job, device, &rife, say))?;
            }
        }
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Job, EngineFailure> {
    let path = folder.join(job::REQUEST);
    let request: Request = job::read_json(&path)?;
    if (request.version, request.program.as_str()) != (job::VERSION, job::PROGRAM) {
        let (wanted, found) = (job::PROGRAM, &request.program);
        return Err(EngineFailure::new(
            EngineFailureCode::Engine,
            format!("{} was written by wanctl {found}, and this is wanctl-engine {wanted}", path.display()),
        )
        .help("build both programs together: cargo build --release"));
    }
    let (size, frames) = (Size::new(request.width, request.height), request.frames);
    let head = named(&folder.join(job::GUIDE), &request.guide, size, Some(frames))?.guide_head()?;
    let references = match &request.references {
        Some(hash) => named(&folder.join(job::REFERENCES), hash, size, None)?.frames,
        None => 0,
    };
    Ok(Job { folder: folder.to_owned(), request, head, references })
}

/// The file that a request names by its hash; so many frames of this size.
fn named(path: &Path, hash: &str, size: Size, frames: Option<usize>) -> Result<FrameFile, EngineFailure> {
    let wrong = |message| Err(EngineFailure::new(EngineFailureCode::Engine, message));
    if job::hash(path)? != hash {
        let path = path.display();
        return wrong(format!("{path} is not the file that its request names: it was edited, or is another run's"));
    }
    let file = FrameFile::open(path)?;
    let wanted = frames.unwrap_or(file.frames);
    if (file.frames, file.size) != (wanted, size) {
        let (path, found) = (path.display(), file.frames);
        return wrong(format!("{path} has {found} frames of {}, and its request says {wanted} of {size}", file.size));
    }
    Ok(file)
}

/// The device to work on; where `auto` comes to the CPU although a GPU is here, also why.
fn choose(requested: Device) -> Result<(tch::Device, Option<String>), EngineFailure> {
    let index = match requested {
        Device::Cpu => return Ok((tch::Device::Cpu, None)),
        Device::Auto => 0,
        Device::Cuda(index) => index,
    };
    match (cuda::start(index), requested) {
        (Ok(()), _) => Ok((tch::Device::Cuda(index), None)),
        (Err(why), Device::Auto) => Ok((tch::Device::Cpu, cuda::has_gpu().then_some(why))),
        (Err(why), _) => Err(EngineFailure::new(EngineFailureCode::Engine, format!("CUDA cannot be used: {why}"))
            .help("use --device cpu, or set up CUDA with `./just setup-cuda`")),
    }
}

/// What is set for all of a program: exact numbers where they are asked for, and for measurements a kernel of attention.
fn prepare(device: tch::Device, maker: &Backend) -> Result<(), EngineFailure> {
    shim::exact_convolutions(match maker {
        Backend::Wan(wan) => wan.dtype == Dtype::F32,
        Backend::Rife | Backend::Halving => true,
    })?;
    let variable = environment::ATTENTION;
    if let Some(word) = variable.get().map(|word| word.to_string_lossy().into_owned()) {
        let kernel = shim::Attention::of(&word).ok_or_else(|| {
            let message = format!("{} is `{word}`, wanted flash, cudnn, efficient or plain", variable.name);
            EngineFailure::new(EngineFailureCode::Usage, message)
        })?;
        kernel.first()?;
    }
    Ok(shim::reset_peak(device)?)
}

/// Says that work on a seam begins; the device's name.
fn announce(job: &Job, device: tch::Device, say: &mut dyn FnMut(&Event)) {
    let threads = tch::get_num_threads() as usize;
    say(&Event::Job { seam: job.request.seam, device: torch::name(device), threads });
}

/// What the embedded network makes of every gap.
fn interpolate(job: &Job, device: tch::Device, rife: &Rife, say: &mut dyn FnMut(&Event)) -> Result<(), EngineFailure> {
    let (seam, started) = (job.request.seam, Instant::now());
    announce(job, device, say);
    let mut frames = FrameFile::open(&job.folder.join(job::GUIDE))?.all()?;
    let gaps = gaps(&job.head.slots);
    let total: usize = gaps.iter().map(|gap| gap.fill.len()).sum();
    let (mut before_this, mut notes) = (0, vec![]);
    let mut part = None;
    for gap in gaps {
        let shown =
            |range: &std::ops::Range<usize>| frames[range.clone()].iter().map(Vec::as_slice).collect::<Vec<&[u8]>>();
        let (left, right) = (shown(&gap.left), shown(&gap.right));
        let mut progress = |reached: Reached| {
            let (now, done, total) = match reached {
                Reached::Motion { done, total } => (Part::Motion, done, total),
                Reached::Frames(done) => (Part::Frames, before_this + done, total),
            };
            if part.replace(now) != Some(now) {
                say(&Event::Part { seam, part: now });
            }
            say(&Event::Progress { seam, done, total, share: 0.0 });
        };
        let (size, count) = (job.head.size, gap.fill.len());
        let filled = match job.request.maker {
            Backend::Halving => rife.halve(&left, &right, size, count, &mut progress)?,
            _ => rife.fill(&left, &right, size, count, &mut progress)?,
        };
        before_this += gap.fill.len();
        notes.extend(filled.note);
        for (index, frame) in gap.fill.zip(filled.frames) {
            frames[index] = frame;
        }
    }
    for note in &notes {
        say(&Event::Note { seam, message: note.clone() });
    }
    finish(job, device, &frames, notes, Parts::default(), started, say)
}

/// What a Wan model makes of the whole guides.
fn generate(jobs: &[Job], device: tch::Device, share: usize, say: &mut dyn FnMut(&Event)) -> Result<(), EngineFailure> {
    let started = Instant::now();
    jobs.iter().for_each(|job| announce(job, device, say));
    let mut tasks = vec![];
    for job in jobs {
        let Backend::Wan(wan) = &job.request.maker else { unreachable!("these are a Wan model's jobs") };
        let store = Store { folder: job.folder.clone(), request: job::hash(&job.folder.join(job::REQUEST))? };
        tasks.push(Task { seam: job.request.seam, wan, head: &job.head, references: job.references, store });
    }
    wan::run(&tasks, device, share, say, &mut |index, Done { frames, parts }, say| {
        finish(&jobs[index], device, &frames, vec![], parts, started, say)
    })
}

/// Writes what was made, and vouches for it.
fn finish(
    job: &Job,
    device: tch::Device,
    frames: &[Vec<u8>],
    notes: Vec<String>,
    Parts { seconds, peaks, estimates }: Parts,
    started: Instant,
    say: &mut dyn FnMut(&Event),
) -> Result<(), EngineFailure> {
    let made = job.folder.join(job::MADE);
    job::write_frames(&made, job.head.size, frames)?;
    let outcome = JobResult {
        version: job::VERSION,
        program: job::PROGRAM.into(),
        libtorch: torch::version().unwrap_or_default(),
        device: torch::name(device),
        threads: tch::get_num_threads() as usize,
        seconds: started.elapsed().as_secs_f64(),
        request: job::hash(&job.folder.join(job::REQUEST))?,
        made: job::hash(&made)?,
        notes,
        peak_memory_bytes: peak_memory(),
        peak_device_bytes: shim::peak(device)?.max(peaks.iter().map(|(_, bytes)| *bytes).max()),
        parts: seconds,
        part_peaks: peaks,
        part_estimates: estimates,
    };
    job::write_json(&job.folder.join(job::RESULT), &outcome)?;
    say(&Event::Done { seam: job.request.seam });
    Ok(())
}

/// Frames to make, and the known ones on both sides of them.
#[derive(Debug, PartialEq, Eq)]
struct Gap {
    left: std::ops::Range<usize>,
    fill: std::ops::Range<usize>,
    right: std::ops::Range<usize>,
}

/// Every run of frames to make. An anchor that fills its latent is one frame, however often it stands there.
fn gaps(slots: &[SlotKind]) -> Vec<Gap> {
    // Another clip's frames are nothing to go on from.
    let fills = |index: usize| matches!(slots[index], SlotKind::Fill | SlotKind::Structure);
    // A hint is a frame of the clip as it is; that a Wan model makes it anew is no matter here.
    let shown = |index: usize| matches!(slots[index], SlotKind::Keep | SlotKind::Hint);
    let mut gaps = vec![];
    let mut start = 0;
    while let Some(first) = (start..slots.len()).find(|&index| fills(index)) {
        let end = (first..slots.len()).find(|&index| !fills(index)).unwrap_or(slots.len());
        let pinned = |index: usize| slots[index] == SlotKind::Anchor;
        let left = match first.checked_sub(1) {
            Some(last) if pinned(last) => last..first,
            Some(last) => (0..=last).rev().take_while(|&index| shown(index)).last().unwrap_or(last)..first,
            None => 0..0,
        };
        let right = match end {
            end if end == slots.len() => end..end,
            end if pinned(end) => end..end + 1,
            end => end..(end..slots.len()).find(|&index| !shown(index)).unwrap_or(slots.len()),
        };
        gaps.push(Gap { left, fill: first..end, right });
        start = end;
    }
    gaps
}

/// The most that this process ever held, as the kernel counted it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_to_make_lies_in_one_gap_between_its_known_neighbours() {
        use SlotKind::{Anchor, Fill, Hint, Keep, Structure};
        let slots = [Keep, Keep, Fill, Fill, Anchor, Anchor, Fill, Keep, Keep];
        assert_eq!(
            gaps(&slots),
            [Gap { left: 0..2, fill: 2..4, right: 4..5 }, Gap { left: 5..6, fill: 6..7, right: 7..9 }]
        );
        let slots = [Keep, Hint, Hint, Fill, Fill, Hint, Keep, Keep, Keep];
        assert_eq!(gaps(&slots), [Gap { left: 0..3, fill: 3..5, right: 5..9 }]);
        let slots = [Keep, Structure, Fill, Structure, Keep];
        assert_eq!(gaps(&slots), [Gap { left: 0..1, fill: 1..4, right: 4..5 }]);
    }
}
