//! Forwards of a network for `scripts/bench_networks.py`: `dit NET INPUTS KIND THREADS` or `rife INPUTS THREADS`, then one
//! for each line of stdin.
#![allow(dead_code, reason = "the rooms are here for one of their models")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers, read by a script")]
#![allow(clippy::disallowed_types, clippy::assign_op_pattern, reason = "as in src/engine/mod.rs")]

#[path = "../src/engine"]
mod engine {
    pub(crate) mod layers;
    pub(crate) mod torch;
    pub(crate) mod weights;
    pub(crate) mod rife {
        mod network;
        mod sample;

        /// The network inside the program, asked for the frame half way: [1, 3, H, W], 0 to 1.
        pub(crate) fn asked() -> impl Fn(&tch::Tensor, &tch::Tensor) -> tch::Tensor {
            let bytes = include_bytes!("../data/rife/rife.safetensors");
            let (device, kind) = (tch::Device::Cpu, tch::Kind::Float);
            let weights = super::weights::Weights::embedded("rife.safetensors", bytes, device, kind).unwrap();
            let network = network::Network::load(&weights).unwrap();
            move |a, b| network.look(a, b, 0.5).picture(a, b)
        }
    }
    pub(crate) mod wan {
        pub(crate) mod dit;
    }
}

use std::{collections::HashMap, env, fs, io, rc::Rc, time::Instant};

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::weights::Checkpoint;

use crate::engine::{
    wan::dit::{Config, Input, OffloadMode, Shown, Transformer, VaceConfig},
    weights::Weights,
};

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["dit", net, inputs, kind, threads] => {
            tch::set_num_threads(threads.parse().unwrap());
            dit(net, &read(inputs), if *kind == "bfloat16" { Kind::BFloat16 } else { Kind::Float });
        }
        ["rife", inputs, threads] => {
            tch::set_num_threads(threads.parse().unwrap());
            rife(&read(inputs));
        }
        _ => panic!("dit NET INPUTS KIND THREADS or rife INPUTS THREADS"),
    }
}

fn read(inputs: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(inputs).unwrap().into_iter().collect()
}

fn rife(inputs: &HashMap<String, Tensor>) {
    let network = engine::rife::asked();
    let ask = || network(&inputs["a"], &inputs["b"]);
    let off = (ask() - &inputs["between"]).abs().max().double_value(&[]);
    time(&format!("at most {off:.1e} of full scale off the wheel's network"), || drop(ask()));
}

fn dit(net: &str, inputs: &HashMap<String, Tensor>, kind: Kind) {
    let control = inputs.get("control_hidden_states");

    let weights = Weights::of(Rc::new(Checkpoint::open(&[net.into()]).unwrap()), Device::Cpu, kind);
    // As in the script.
    let config = Config {
        heads: 4,
        head_dim: 128,
        in_channels: 16,
        out_channels: 16,
        text_dim: 512,
        freq_dim: 256,
        ffn_dim: 2048,
        layers: 12,
        vace: control.map(|_| VaceConfig { layers: vec![0, 4, 8], channels: 96 }),
    };
    let net = Transformer::load(&weights, config, OffloadMode::All).unwrap();
    drop(weights);

    let latents = &inputs["hidden_states"];
    let (_, _, f, h, w) = latents.size5().unwrap();
    let context = net.context(&inputs["encoder_hidden_states"]);
    let scene = net.scene([f, h, w], control.map(|control| Shown::Control(control, &[0.7, 1.0, 1.3])));
    let input = Input { latents, timestep: 826.1, context: &context, scene: &scene };
    let found = net.forward(&input, &mut || {});
    let off = ((found - &inputs["sample"]).norm() / inputs["sample"].norm()).double_value(&[]);
    time(&format!("rel-L2 to diffusers in f32 {off:.1e}"), || drop(net.forward(&input, &mut || {})));
}

/// Says `ready`, then does the work for each line of stdin and says what it took.
fn time(ready: &str, work: impl Fn()) {
    // Wipes the mark of the most that was held.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = held("VmRSS");
    println!("{ready}");
    for _ in io::stdin().lines() {
        let (start, busy) = (Instant::now(), busy());
        work();
        let (seconds, busy) = (start.elapsed().as_secs_f64(), self::busy() - busy);
        println!(r#"{{"seconds": {seconds}, "busy": {busy}, "before": {before}, "peak": {}}}"#, held("VmHWM"));
    }
}

/// Seconds that all threads together have run; Linux counts them in hundredths.
fn busy() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Kilobytes, as Linux says.
fn held(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
