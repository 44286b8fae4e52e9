//! What of a seam lies in its job folder: how far it has come, after every step, so that a killed job goes on at its step
//! with the same bytes; and, where several seams wait for their steps, what its guide became.

use std::{collections::HashMap, fs, io::ErrorKind, io::Write, path::PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::{Device, Kind, Tensor};
use wanctl::pipeline::job::{self, EngineFailure, EngineFailureCode, FrameFile, JobError};

use super::solver::History;

/// Latents in the middle of their steps.
#[derive(Debug)]
pub(crate) struct State {
    /// Steps that are done.
    pub(crate) done: usize,
    /// [1, C, T, H, W] in f32.
    pub(crate) latents: Tensor,
    pub(crate) history: History,
}

/// The folder of one job.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) folder: PathBuf,
    /// What the job was asked, as a hash: another request's tensors are nothing to go on with.
    pub(crate) request: String,
}

const LATENTS: &str = "latents";
const LAST: &str = "last";
const CONTROL: &str = "control";

impl Store {
    pub(crate) fn save(&self, state: &State) -> Result<(), JobError> {
        let State { done, latents, history } = state;
        let older = (0..).map(|age| format!("clean.{age}")).zip(&history.clean);
        let named = [(LATENTS.to_owned(), latents)].into_iter();
        let named = named.chain(history.last.iter().map(|last| (LAST.to_owned(), last))).chain(older);
        self.write(job::LATENTS, *done, named)
    }

    /// What an earlier start of this job has left; nothing where it is another job's, or no such file.
    pub(crate) fn load(&self) -> Option<State> {
        let (done, mut tensors) = self.read(job::LATENTS)?;
        let clean = (0..).map_while(|age| tensors.remove(&format!("clean.{age}"))).collect();
        let history = History { clean, last: tensors.remove(LAST) };
        Some(State { done, latents: tensors.remove(LATENTS)?, history })
    }

    /// The guide's frames, 8-bit RGB.
    pub(crate) fn guide(&self) -> Result<Vec<Vec<u8>>, JobError> {
        FrameFile::open(&self.folder.join(job::GUIDE))?.all()
    }

    /// The reference images, 8-bit RGB.
    pub(crate) fn references(&self) -> Result<Vec<Vec<u8>>, JobError> {
        FrameFile::open(&self.folder.join(job::REFERENCES))?.all()
    }

    pub(crate) fn keep_control(&self, control: &Tensor) -> Result<(), JobError> {
        self.write(job::CONTROL, 0, [(CONTROL.to_owned(), control)].into_iter())
    }

    /// What was kept of it, if it is there and this job's.
    pub(crate) fn control(&self) -> Option<Tensor> {
        self.read(job::CONTROL)?.1.remove(CONTROL)
    }

    pub(crate) fn drop_control(&self) -> Result<(), JobError> {
        let path = self.folder.join(job::CONTROL);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(JobError::Write { path, source }),
            _ => Ok(()),
        }
    }

    /// Somebody else has had a hand in the folder.
    pub(crate) fn lost(&self, name: &str) -> EngineFailure {
        let message = format!("{} was written and is not there any more", self.folder.join(name).display());
        EngineFailure::new(EngineFailureCode::Engine, message).help("start the run again with --resume")
    }

    fn write<'t>(
        &self,
        name: &str,
        done: usize,
        tensors: impl Iterator<Item = (String, &'t Tensor)>,
    ) -> Result<(), JobError> {
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = tensors.map(|(name, tensor)| bytes(name, tensor)).collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("f32 has four bytes");
            (name.as_str(), view)
        });
        let about =
            HashMap::from([("request".to_owned(), self.request.clone()), ("done".to_owned(), done.to_string())]);
        let file = safetensors::serialize(views, Some(about)).expect("names and shapes are ours");
        job::write_whole(&self.folder.join(name), |out| out.write_all(&file))
    }

    fn read(&self, name: &str) -> Option<(usize, HashMap<String, Tensor>)> {
        let file = fs::read(self.folder.join(name)).ok()?;
        let (_, about) = SafeTensors::read_metadata(&file).ok()?;
        let about = about.metadata().as_ref()?;
        if about.get("request")? != &self.request {
            return None;
        }
        let done = about.get("done")?.parse().ok()?;
        let tensors = SafeTensors::deserialize(&file).ok()?;
        let tensors = tensors.iter().map(|(name, view)| {
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            let tensor = (view.dtype() == Dtype::F32).then(|| Tensor::from_data_size(view.data(), &shape, Kind::Float));
            Some((name.to_owned(), tensor?))
        });
        Some((done, tensors.collect::<Option<_>>()?))
    }
}

fn bytes(name: String, tensor: &Tensor) -> (String, Vec<usize>, Vec<u8>) {
    let tensor = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let shape = tensor.size().iter().map(|&side| side as usize).collect();
    let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    (name, shape, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise() -> Tensor {
        Tensor::randn([1, 16, 3, 4, 6], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn what_is_saved_comes_back_bit_for_bit_and_only_for_its_request() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().into(), request: "one".into() };
        assert!(store.load().is_none());
        let history = History { clean: vec![noise(), noise()], last: Some(noise()) };
        let state = State { done: 3, latents: noise(), history };
        store.save(&state).unwrap();

        let back = store.load().unwrap();
        assert_eq!(back.done, 3);
        assert_eq!(back.latents, state.latents);
        assert_eq!(back.history.clean, state.history.clean);
        assert_eq!(back.history.last, state.history.last);
        let other = Store { request: "two".into(), ..store.clone() };
        assert!(other.load().is_none());
        fs::write(folder.path().join(job::LATENTS), b"junk").unwrap();
        assert!(store.load().is_none());
    }

    #[test]
    fn a_control_is_kept_bit_for_bit_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().into(), request: "one".into() };
        let control = noise();
        store.keep_control(&control).unwrap();
        assert_eq!(store.control().unwrap(), control);
        assert!(Store { request: "two".into(), ..store.clone() }.control().is_none());
        store.drop_control().unwrap();
        assert!(store.control().is_none());
        store.drop_control().unwrap();
    }
}
