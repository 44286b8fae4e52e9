//! Noise becomes latents: all steps of all seams, one expert after the other, each step on disk before the next.

use std::{
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    job::{Dtype, EngineFailure, EngineFailureCode, Event, Noise, Part, Wan, schedule::Expert},
    weights::{Conditioning, ModelKind},
};

use super::{
    Task,
    dit::{self, Context, Input, Scene, Shown, Transformer},
    guidance::{self, Asked},
    loras,
    network::{foreign, refuse_left_over, refuse_unapplied},
    session::Session,
    solver::{History, Solver},
    store::State,
    t5::padded,
};
use crate::engine::{
    torch::{self, TorchError, shim},
    weights::{codes::Packed, patches::Strengths},
};

impl Session<'_, '_> {
    /// All steps of all seams, one expert after the other.
    pub(super) fn denoise(&mut self, texts: &HashMap<String, Tensor>) -> Result<(), EngineFailure> {
        let all = 0..self.tasks.len();
        while let Some((first, step)) = all.clone().find_map(|index| Some((index, self.next(index)?))) {
            let expert = self.tasks[first].wan.steps[step].expert;
            let begun = self.begin(first, Part::Load)?;
            let (transformer, strengths) = self.transformer(expert)?;
            self.end(first, Part::Load, begun)?;
            for index in all.clone() {
                let wanted = |session: &Self| {
                    session.next(index).filter(|step| session.tasks[index].wan.steps[*step].expert == expert)
                };
                if wanted(self).is_none() {
                    continue;
                }
                let control = self.control(index)?;
                let begun = self.begin(index, Part::Denoise)?;
                let mut asked: Option<(Vec<f64>, StepInputs)> = None;
                while let Some(step) = wanted(self) {
                    let now = loras::strengths(self.tasks[index].wan, step);
                    let question = match asked.take().filter(|(then, _)| *then == now) {
                        Some((_, question)) => question,
                        // LoRAs also change how the prompt is read, and the guide.
                        None => {
                            strengths.set(&now, self.device);
                            self.question(index, &transformer, texts, &control)?
                        }
                    };
                    self.step(index, step, &transformer, &question)?;
                    asked = Some((now, question));
                }
                self.end(index, Part::Denoise, begun)?;
            }
        }
        Ok(())
    }

    /// With its LoRAs, and where their strengths are set.
    fn transformer(&self, expert: Expert) -> Result<(Transformer, Rc<Strengths>), EngineFailure> {
        let files = match expert {
            Expert::High => &self.models.high,
            Expert::Low => &self.models.low,
        };
        let (weights, what) = self.weights(files, self.kind)?;
        let config = match &what {
            ModelKind::Transformer(facts) if *facts == self.models.transformer => dit::Config::of(facts),
            _ => return Err(foreign(&what, &self.models.transformer.name())),
        };
        let patches = self.patches(expert)?;
        let packed = (self.tasks[0].wan.dtype == Dtype::Fp8).then(|| match torch::has_narrow_products(self.device) {
            true => Packed::Narrow,
            false => Packed::Widened,
        });
        let weights = weights.packed(packed).patched(Rc::clone(&patches));
        let transformer = torch::stage("loading the transformer", || Transformer::load(&weights, config, self.keep))??;
        refuse_left_over(&weights)?;
        refuse_unapplied(&patches)?;
        Ok((transformer, weights.strengths()))
    }

    /// What of a seam is the same in all steps of one expert.
    fn question(
        &self,
        index: usize,
        transformer: &Transformer,
        texts: &HashMap<String, Tensor>,
        control: &Tensor,
    ) -> Result<StepInputs, EngineFailure> {
        let wan = self.tasks[index].wan;
        let guided = wan.steps.iter().any(|step| step.guidance > 1.0);
        let conditioning = self.conditioning()?;
        let scales = vec![wan.control_scale; transformer.hints()];
        Ok(torch::stage("reading the guide", || {
            let (_, _, frames, height, width) = control.size5().expect("a control [1, C, T, H, W]");
            let shown = match conditioning {
                Conditioning::Vace => Shown::Control(control, &scales),
                Conditioning::Images => Shown::Beside(control),
            };
            StepInputs {
                prompt: transformer.context(&padded(&texts[&wan.prompt])),
                negative: guided.then(|| transformer.context(&padded(&texts[&wan.negative_prompt]))),
                scene: transformer.scene([frames, height, width], Some(shown)).with_rows(self.rows),
                shape: [1, LATENT_CHANNELS, frames, height, width],
            }
        })?)
    }

    fn step(
        &mut self,
        index: usize,
        number: usize,
        transformer: &Transformer,
        question: &StepInputs,
    ) -> Result<(), EngineFailure> {
        let before = self.state(index)?;
        let Task { wan, seam, .. } = self.tasks[index];
        let (total, step) = (wan.steps.len(), &wan.steps[number]);
        if number == 0 {
            (self.say)(&Event::Progress { seam, done: number, total, share: 0.0 });
        }
        let state = match self.compute(index, number, before.as_ref(), transformer, question) {
            // libtorch chooses cuDNN's attention by the GPU and the kind of numbers; whether cuDNN has a kernel for these
            // lengths shows when it is called.
            Err(TorchError::Failed { message, .. }) if self.device.is_cuda() && message.contains("cuDNN") => {
                shim::Attention::Flash.first()?;
                let message = format!("attention is computed without cuDNN, which failed: {message}");
                (self.say)(&Event::Note { seam, message });
                self.compute(index, number, before.as_ref(), transformer, question)?
            }
            state => state?,
        };
        let finite = torch::stage("denoising", || state.latents.isfinite().all().int64_value(&[]) != 0)?;
        if !finite {
            return Err(EngineFailure::new(
                EngineFailureCode::Engine,
                format!(
                    "step {} of {total} of the {} expert gave numbers that are not finite",
                    number + 1,
                    step.expert
                ),
            )
            .help("compute with --dtype bf16 or f32; if that does not help, the weights or a LoRA are broken"));
        }
        self.tasks[index].store.save(&state)?;
        self.reached(index, state);
        (self.say)(&Event::Progress { seam, done: number + 1, total, share: 0.0 });
        Ok(())
    }

    /// The state after step `number` of a seam, which nothing but its arguments decides.
    fn compute(
        &mut self,
        index: usize,
        number: usize,
        before: Option<&State>,
        transformer: &Transformer,
        question: &StepInputs,
    ) -> Result<State, TorchError> {
        let Task { wan, seam, .. } = self.tasks[index];
        let (step, device, say) = (&wan.steps[number], self.device, &mut *self.say);
        let blocks = transformer.blocks() * guidance::forward_count(number, step.guidance, wan.cfg_zero);
        let (mut reported, mut run) = (Instant::now(), 0);
        let mut each = || {
            run += 1;
            if run < blocks && reported.elapsed() >= BETWEEN_SHARES {
                reported = Instant::now();
                let share = run as f64 / blocks as f64;
                say(&Event::Progress { seam, done: number, total: wan.steps.len(), share });
            }
        };
        torch::stage("denoising", || {
            let to_device = |tensor: &Tensor| tensor.to_device(device);
            let latents = before
                .map_or_else(|| noise(wan, question.shape, device), |State { latents, .. }| latents.shallow_clone());
            let latents = to_device(&latents);
            let history = before.map_or_else(History::default, |State { history, .. }| History {
                clean: history.clean.iter().map(to_device).collect(),
                last: history.last.as_ref().map(to_device),
            });
            let velocity = guidance::velocity(number, step.guidance, wan.cfg_zero, &latents, |asked| {
                let context = match asked {
                    Asked::Prompt => &question.prompt,
                    Asked::Negative => question.negative.as_ref().expect("some step is guided"),
                };
                let input = Input { latents: &latents, timestep: step.timestep, context, scene: &question.scene };
                transformer.forward(&input, &mut each)
            });
            let mut solver = Solver::new(wan.solver, &wan.steps, history);
            let latents = solver.step(number, &latents, &velocity);
            State { done: number + 1, latents, history: solver.history }
        })
    }
}

/// What a transformer is asked in every step of a seam.
struct StepInputs {
    prompt: Context,
    negative: Option<Context>,
    scene: Scene,
    shape: [i64; 5],
}

/// A step may take minutes on a CPU; how far it is is said this often.
const BETWEEN_SHARES: Duration = Duration::from_secs(1);

/// Of Wan 2.1's VAE, which all models here share.
const LATENT_CHANNELS: i64 = 16;

/// From the seed alone.
fn noise(wan: &Wan, shape: [i64; 5], device: Device) -> Tensor {
    tch::manual_seed(wan.seed as i64);
    let place = match wan.noise {
        Noise::Cpu => Device::Cpu,
        Noise::Device => device,
    };
    Tensor::randn(shape, (Kind::Float, place))
}
