//! How far a job has come, on disk after every step: a killed job goes on at its step, with the same bytes.

use std::{collections::HashMap, fs, io::Write, path::PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::{Device, Kind, Tensor};
use wanctl::pipeline::job::{self, JobError};

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

/// The file of one job.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) path: PathBuf,
    /// What the job was asked, as a hash: another request's latents are nothing to go on with.
    pub(crate) request: String,
}

const LATENTS: &str = "latents";
const LAST: &str = "last";

impl Store {
    pub(crate) fn save(&self, state: &State) -> Result<(), JobError> {
        let State { done, latents, history } = state;
        let older = (0..).map(|age| format!("clean.{age}")).zip(&history.clean);
        let named = [(LATENTS.to_owned(), latents)].into_iter();
        let named = named.chain(history.last.iter().map(|last| (LAST.to_owned(), last))).chain(older);
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = named.map(|(name, tensor)| bytes(name, tensor)).collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("f32 has four bytes");
            (name.as_str(), view)
        });
        let about =
            HashMap::from([("request".to_owned(), self.request.clone()), ("done".to_owned(), done.to_string())]);
        let file = safetensors::serialize(views, Some(about)).expect("names and shapes are ours");
        job::write_whole(&self.path, |out| out.write_all(&file))
    }

    /// What an earlier start of this job has left; nothing where it is another job's, or no such file.
    pub(crate) fn load(&self) -> Option<State> {
        let file = fs::read(&self.path).ok()?;
        let (_, about) = SafeTensors::read_metadata(&file).ok()?;
        let about = about.metadata().as_ref()?;
        if about.get("request")? != &self.request {
            return None;
        }
        let done = about.get("done")?.parse().ok()?;
        let tensors = SafeTensors::deserialize(&file).ok()?;
        let read = |name: &str| {
            let view = tensors.tensor(name).ok().filter(|view| view.dtype() == Dtype::F32)?;
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            Some(Tensor::from_data_size(view.data(), &shape, Kind::Float))
        };
        let clean = (0..).map_while(|age| read(&format!("clean.{age}"))).collect();
        Some(State { done, latents: read(LATENTS)?, history: History { clean, last: read(LAST) } })
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

    #[test]
    fn what_is_saved_comes_back_bit_for_bit_and_only_for_its_request() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { path: folder.path().join("latents.safetensors"), request: "one".into() };
        assert!(store.load().is_none());
        let noise = || Tensor::randn([1, 16, 3, 4, 6], (Kind::Float, Device::Cpu));
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
        fs::write(&store.path, b"junk").unwrap();
        assert!(store.load().is_none());
    }
}
