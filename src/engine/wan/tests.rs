//! The whole loop of two experts, step by step, held to diffusers 0.42.1 (tests/fixtures/wan/make.py, `loop_vace`).

use std::{collections::HashMap, fs, path::PathBuf, rc::Rc};

use serde_json::Value;
use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    job::{
        CfgZero,
        schedule::{self, Expert, Grid, Phase, Solver as SolverKind},
    },
    weights::{Checkpoint, ModelKind},
};

use super::{
    dit::{self, Input, OffloadMode, Shown, Transformer},
    guidance::{self, Asked},
    solver::{History, Solver},
    t5::padded,
};
use crate::engine::{torch, weights::Weights};

fn fixtures() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/wan"].iter().collect()
}

fn transformer(expert: &str) -> Transformer {
    let checkpoint = Checkpoint::open(&[fixtures().join("tiny").join(expert)]).unwrap();
    let ModelKind::Transformer(facts) = checkpoint.what().unwrap() else { panic!("{expert} is no transformer") };
    let weights = Weights::of(Rc::new(checkpoint), Device::Cpu, Kind::Float);
    Transformer::load(&weights, dit::Config::of(&facts), OffloadMode::All).unwrap()
}

/// How the two experts are walked.
struct Walk {
    solver: SolverKind,
    grid: Grid,
    /// In all, and the first expert's.
    steps: [usize; 2],
    shift: f64,
    guidance: [f64; 2],
    zero: Option<CfgZero>,
}

/// The latents after each step.
fn walk(fixture: &HashMap<String, Tensor>, walk: &Walk) -> Vec<Tensor> {
    let &Walk { solver, grid, steps: [steps, high], shift, guidance, zero } = walk;
    let phases = [
        Phase { steps: high, expert: Expert::High, guidance: guidance[0] },
        Phase { steps: steps - high, expert: Expert::Low, guidance: guidance[1] },
    ];
    let steps = schedule::steps(grid, solver, shift, &phases);
    let experts = [transformer("transformer"), transformer("transformer_2")];
    let mut solver = Solver::new(solver, &steps, History::default());
    let (mut x, mut walked) = (fixture["in.noise"].shallow_clone(), vec![]);
    for (number, step) in steps.iter().enumerate() {
        let transformer = &experts[usize::from(step.expert == Expert::Low)];
        let control = &fixture["mid.control"];
        let scene = transformer.scene([3, 4, 6], Some(Shown::Control(control, &vec![0.9; transformer.hints()])));
        let ask = |text: &str| {
            let context = transformer.context(&padded(&fixture[text]));
            let input = Input { latents: &x, timestep: step.timestep, context: &context, scene: &scene };
            transformer.forward(&input, &mut || {})
        };
        let velocity = guidance::velocity(number, step.guidance, zero, &x, |asked| match asked {
            Asked::Prompt => ask("in.prompt"),
            Asked::Negative => ask("in.negative"),
        });
        x = solver.step(number, &x, &velocity);
        walked.push(x.shallow_clone());
    }
    walked
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(fixtures().join(name)).unwrap().into_iter().collect()
}

#[track_caller]
fn check(found: &Tensor, wanted: &Tensor, name: &str) {
    let largest = (found - wanted).abs().max().double_value(&[]) / wanted.std(false).double_value(&[]);
    println!("{name}: {largest:.1e}");
    // 1.8e-6 was measured after six steps, as with an implementation in Python; other BLAS kernels and thread counts get
    // room.
    assert!(largest < 1e-5, "{name}: {largest}");
}

#[test]
fn every_step_of_two_experts_is_that_of_diffusers() {
    let fixture = tensors("loop_vace.safetensors");
    let timesteps = schedule::levels(Grid::Diffusers, SolverKind::Unipc, 6, 5.0).timesteps;
    let steps = [6, schedule::split(Grid::Diffusers, &timesteps, &[875.0])[0]];
    let (solver, grid) = (SolverKind::Unipc, Grid::Diffusers);
    let guided = |guidance| Walk { solver, grid, steps, shift: 5.0, guidance, zero: None };
    torch::stage("testing", || {
        for (number, found) in walk(&fixture, &guided([3.0, 1.5])).iter().enumerate() {
            check(found, &fixture[&format!("out.step{number}")], &format!("step {number}"));
        }
        let plain = walk(&fixture, &guided([1.0, 1.0]));
        check(plain.last().unwrap(), &fixture["out.plain_step5"], "plain");
    })
    .unwrap();
}

/// `loops.json`: diffusers' DPM++ and CFG-Zero*, and what Wan2GP and LightX2V say of theirs.
#[test]
fn every_step_of_the_other_solvers_and_of_cfg_zero_is_that_of_the_references() {
    let (given, wanted) = (tensors("loop_vace.safetensors"), tensors("loops.safetensors"));
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(fixtures().join("loops.json")).unwrap()).unwrap();
    let mut checked = 0;
    for case in &cases {
        let (text, count) = (|key: &str| case[key].as_str().unwrap(), |key: &str| case[key].as_u64().unwrap() as usize);
        let asked = Walk {
            solver: text("solver").parse().unwrap(),
            grid: text("grid").parse().unwrap(),
            steps: [count("steps"), count("high")],
            shift: case["shift"].as_f64().unwrap(),
            guidance: [0, 1].map(|expert| case["guidance"][expert].as_f64().unwrap()),
            zero: case["zero_steps"].as_u64().map(|steps| CfgZero { zero_steps: steps as usize }),
        };
        torch::stage("testing", || {
            for (number, found) in walk(&given, &asked).iter().enumerate() {
                let name = format!("out.{}.step{number}", text("name"));
                check(found, &wanted[&name], &name);
                checked += 1;
            }
        })
        .unwrap();
    }
    assert_eq!(checked, wanted.len());
}
