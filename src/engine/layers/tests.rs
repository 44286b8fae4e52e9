//! Products with LoRAs merged into them or beside them, and with weights in 8 bits.

use std::{collections::BTreeMap, rc::Rc};

use safetensors::tensor::{Dtype as Stored, TensorView};
use tch::Device;
use wanctl::pipeline::{
    job::Strength,
    weights::{Delta, Pair, Stored as Named},
};

use super::*;
use crate::engine::weights::{
    codes::{Packed, pack},
    patches::{Patch, Patches},
};

const INPUTS: i64 = 48;
const OUTPUTS: i64 = 32;

/// Numbers around 0 with a deviation of 1. Tests run side by side, and libtorch's own source of noise is one for all.
fn noise(seed: i64, shape: &[i64]) -> Tensor {
    let places = Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu)) + seed as f64 * 1000.0;
    let spread = ((places * 12.9898).sin() * 43_758.545_3).frac() * 3_f64.sqrt();
    spread.to_kind(Kind::Float).reshape(shape)
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.contiguous();
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

fn safetensors_of(tensors: &[(&str, &Tensor)]) -> Vec<u8> {
    let owned: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, bytes(tensor), *tensor)).collect();
    let views = owned.iter().map(|(name, bytes, tensor)| {
        let dtype = match tensor.kind() {
            Kind::Float8e4m3fn => Stored::F8_E4M3,
            Kind::Float8e5m2 => Stored::F8_E5M2,
            _ => Stored::F32,
        };
        let shape = tensor.size().iter().map(|&side| side as usize).collect();
        (*name, TensorView::new(dtype, shape, bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// A file with these tensors.
fn file(tensors: &[(&str, &Tensor)], kind: Kind) -> Weights {
    Weights::embedded("file", safetensors_of(tensors).leak(), Device::Cpu, kind).unwrap()
}

fn base(kind: Kind) -> Weights {
    let (weight, bias) = (noise(1, &[OUTPUTS, INPUTS]) / (INPUTS as f64).sqrt(), noise(2, &[OUTPUTS]));
    file(&[("weight", &weight), ("bias", &bias)], kind)
}

fn named(name: &str, tensor: &Tensor) -> Named {
    Named { name: name.into(), shape: tensor.size().iter().map(|&side| side as usize).collect() }
}

/// A LoRA with a pair, a whole difference and one of the bias.
struct Made {
    weights: Weights,
    deltas: BTreeMap<String, Delta>,
    /// What it adds to weight and bias at strength 1.
    adds: [Tensor; 2],
}

fn lora(seed: i64, rank: i64, scale: f64) -> Made {
    let (down, up) = (noise(seed, &[rank, INPUTS]) / 7.0, noise(seed + 1, &[OUTPUTS, rank]));
    let (whole, bias) = (noise(seed + 2, &[OUTPUTS, INPUTS]) / 20.0, noise(seed + 3, &[OUTPUTS]));
    let weights = file(&[("down", &down), ("up", &up), ("diff", &whole), ("diff_b", &bias)], Kind::Float);
    let pair = Pair { down: named("down", &down), up: named("up", &up), scale };
    let deltas = BTreeMap::from([
        ("weight".to_owned(), Delta { pair: Some(pair), whole: Some(named("diff", &whole)), product: true }),
        ("bias".to_owned(), Delta { pair: None, whole: Some(named("diff_b", &bias)), product: true }),
    ]);
    Made { weights, deltas, adds: [up.matmul(&down) * scale + whole, bias] }
}

const LORAS: [(i64, i64, f64); 2] = [(10, 3, 0.5), (20, 2, 1.0)];
const STRENGTHS: [f64; 2] = [0.7, -0.4];

fn patched(base: &Weights, strengths: &[Strength]) -> (Weights, Rc<Patches>) {
    let patches = LORAS.into_iter().zip(strengths).map(|((seed, rank, scale), &strength)| {
        let Made { weights, deltas, .. } = lora(seed, rank, scale);
        Patch { weights, deltas, strength }
    });
    let patches = Rc::new(Patches::new(patches.collect()));
    (base.clone().patched(Rc::clone(&patches)), patches)
}

/// The product, with a LoRA of each kind of strength, at these strengths.
fn product(base: &Weights, strengths: &[Strength], now: &[f64], x: &Tensor) -> Tensor {
    let (weights, patches) = patched(base, strengths);
    let linear = Linear::load(weights.clone(), INPUTS, OUTPUTS).unwrap();
    assert_eq!(patches.left_over(), [], "all is applied");
    weights.strengths().set(now, Device::Cpu);
    linear.forward(x)
}

fn relative(found: &Tensor, wanted: &Tensor) -> f64 {
    assert_eq!(found.size(), wanted.size());
    let (found, wanted) = (found.to_kind(Kind::Double), wanted.to_kind(Kind::Double));
    ((found - &wanted).norm() / wanted.norm()).double_value(&[])
}

const CHANGING: [Strength; 2] = [Strength::Changing; 2];
const MERGED: [Strength; 2] = [Strength::Constant(STRENGTHS[0]), Strength::Constant(STRENGTHS[1])];

/// The formula in f64, of the weights in f32.
fn formula(x: &Tensor) -> Tensor {
    let w = base(Kind::Double);
    let (mut weight, mut bias) = (w.get("weight", &[OUTPUTS, INPUTS]).unwrap(), w.get("bias", &[OUTPUTS]).unwrap());
    for ((seed, rank, scale), strength) in LORAS.into_iter().zip(STRENGTHS) {
        let [more, bias_more] = lora(seed, rank, scale).adds;
        weight = weight + more.to_kind(Kind::Double) * strength;
        bias = bias + bias_more.to_kind(Kind::Double) * strength;
    }
    x.to_kind(Kind::Double).linear(&weight, Some(&bias))
}

/// 1.3e-6 was measured between diffusers with peft and a merge; bf16 has 8 bits.
#[test]
fn merged_beside_and_mixed_are_the_formula() {
    let x = noise(5, &[9, INPUTS]);
    for (kind, bound) in [(Kind::Float, 1e-6), (Kind::BFloat16, 5e-3)] {
        let (base, x) = (base(kind), x.to_kind(kind));
        for strengths in [MERGED, CHANGING, [MERGED[0], Strength::Changing]] {
            let found = product(&base, &strengths, &STRENGTHS, &x);
            assert_eq!(found.kind(), kind);
            let off = relative(&found, &formula(&x));
            println!("{kind:?} {strengths:?}: {off:.1e}");
            assert!(off < bound, "{kind:?} {strengths:?}: {off:.1e}");
        }
    }
}

#[test]
fn strengths_of_zero_beside_change_no_bit_and_others_are_obeyed_at_once() {
    let (base, x) = (base(Kind::Float), noise(5, &[9, INPUTS]));
    let plain = Linear::load(base.clone(), INPUTS, OUTPUTS).unwrap().forward(&x);
    let (weights, _) = patched(&base, &CHANGING);
    let linear = Linear::load(weights.clone(), INPUTS, OUTPUTS).unwrap();
    weights.strengths().set(&[0.0, 0.0], Device::Cpu);
    assert_eq!(linear.forward(&x), plain);
    weights.strengths().set(&STRENGTHS, Device::Cpu);
    assert!(relative(&linear.forward(&x), &formula(&x)) < 1e-6);
    weights.strengths().set(&[0.0, 0.0], Device::Cpu);
    assert_eq!(linear.forward(&x), plain);
}

#[test]
fn what_is_no_product_is_left_over_where_its_strength_changes() {
    let (weights, patches) = patched(&base(Kind::Float), &[Strength::Changing, MERGED[1]]);
    drop(weights.get("bias", &[OUTPUTS]).unwrap());
    let left: Vec<_> = patches.left_over().into_iter().map(|(tensor, _)| tensor).collect();
    assert_eq!(left, ["bias", "weight", "weight"]);
}

#[test]
fn numbers_of_a_lora_that_are_none_are_named() {
    let mut made = lora(10, 3, 1.0);
    let nan = noise(1, &[OUTPUTS]) * f64::NAN;
    made.weights = file(&[("diff_b", &nan)], Kind::Float);
    let patch = Patch { weights: made.weights, deltas: made.deltas, strength: MERGED[0] };
    let weights = base(Kind::Float).patched(Rc::new(Patches::new(vec![patch])));
    let error = weights.get("bias", &[OUTPUTS]).unwrap_err().to_string();
    assert!(error.contains("`diff_b`"), "{error}");
}

/// The layer with its weight in 8 bits.
fn packed(w: &Weights, how: Packed) -> Linear {
    Linear::load(w.packed(Some(how)), INPUTS, OUTPUTS).unwrap()
}

/// One weight in 8 bits is at most 1/16 off, and about 2.4e-2 off together with the others.
#[test]
fn weights_packed_here_stay_near_with_loras_beside_them() {
    let x = noise(5, &[2, 9, INPUTS]);
    for (kind, bound) in [(Kind::Float, 4e-2), (Kind::BFloat16, 4e-2)] {
        let (base, x) = (base(kind), x.to_kind(kind));
        let plain = Linear::load(base.in_kind(Kind::Double), INPUTS, OUTPUTS).unwrap();
        let wanted = plain.forward(&x.to_kind(Kind::Double));
        for (how, bound) in [(Packed::Widened, bound), (Packed::Narrow, 5e-2)] {
            let found = packed(&base, how).forward(&x);
            assert_eq!(found.kind(), kind);
            let off = relative(&found, &wanted);
            println!("{kind:?} {how:?}: {off:.1e}");
            assert!((1e-3..bound).contains(&off), "{kind:?} {how:?}: {off:.1e}");
        }
        // A strength that stays the same stands beside as well: the weight is not touched.
        let off = relative(&product(&base.packed(Some(Packed::Widened)), &MERGED, &STRENGTHS, &x), &formula(&x));
        assert!(off < bound, "{kind:?}: {off:.1e}");
    }
}

/// Files come with one scale, with one for each row, or with none, in either 8-bit float.
#[test]
fn weights_that_are_packed_already_are_kept_and_give_what_their_wide_twin_gives() {
    let (x, wide) = (noise(5, &[9, INPUTS]), noise(1, &[OUTPUTS, INPUTS]));
    let bias = noise(2, &[OUTPUTS]);
    for (kind, scale) in [
        (Kind::Float8e4m3fn, None),
        (Kind::Float8e4m3fn, Some(Tensor::from_slice(&[0.01_f32]))),
        (Kind::Float8e4m3fn, Some(noise(7, &[OUTPUTS, 1]).abs())),
        (Kind::Float8e5m2, Some(noise(7, &[OUTPUTS, 1]).abs())),
    ] {
        let codes = wide.to_kind(kind);
        let mut tensors = vec![("blocks.0.ffn.0.weight", &codes), ("blocks.0.ffn.0.bias", &bias)];
        tensors.extend(scale.as_ref().map(|scale| ("blocks.0.ffn.0.weight_scale", scale)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, safetensors_of(&tensors)).unwrap();
        let checkpoint = wanctl::pipeline::weights::Checkpoint::open(&[path]).unwrap();
        let w = Weights::of(Rc::new(checkpoint), Device::Cpu, Kind::Float) / "blocks" / 0 / "ffn" / "net" / 0 / "proj";
        let twin = Linear::load(w.clone(), INPUTS, OUTPUTS).unwrap().forward(&x);
        let off = relative(&packed(&w, Packed::Widened).forward(&x), &twin);
        assert!(off < 1e-6, "{kind:?} {scale:?}: {off:.1e}");
    }
}

/// The device's own product of 8-bit floats, held to the same product in f64.
#[test]
fn a_narrow_product_is_the_product_of_what_was_packed() {
    let (w, x) = (base(Kind::Float), noise(5, &[2, 9, INPUTS]));
    let wide = |tensor: &Tensor| {
        let (codes, scale) = pack(tensor);
        codes.to_kind(Kind::Double) * scale.to_kind(Kind::Double)
    };
    let weight = wide(&w.get("weight", &[OUTPUTS, INPUTS]).unwrap());
    let wanted = wide(&x.view([-1, INPUTS])).linear(&weight, None::<&Tensor>).view([2, 9, OUTPUTS])
        + w.get("bias", &[OUTPUTS]).unwrap();
    let off = relative(&packed(&w, Packed::Narrow).forward(&x), &wanted);
    assert!(off < 1e-6, "{off:.1e}");
}

#[test]
fn rows_of_zeros_are_packed_as_zeros_and_numbers_that_are_none_are_named() {
    let weight = Tensor::zeros([OUTPUTS, INPUTS], (Kind::Float, Device::Cpu));
    let bias = noise(2, &[OUTPUTS]);
    let x = noise(5, &[9, INPUTS]);
    let w = file(&[("weight", &weight), ("bias", &bias)], Kind::Float);
    assert_eq!(packed(&w, Packed::Widened).forward(&x), bias.expand([9, OUTPUTS], false));
    let w = file(&[("weight", &(weight + f64::NAN)), ("bias", &bias)], Kind::Float);
    let error = Linear::load(w.packed(Some(Packed::Widened)), INPUTS, OUTPUTS).unwrap_err().to_string();
    assert!(error.contains("`weight`"), "{error}");
}

#[test]
fn a_layer_that_was_moved_gives_the_same_numbers() {
    let x = noise(5, &[9, INPUTS]);
    for how in [None, Some(Packed::Widened)] {
        let (weights, _) = patched(&base(Kind::Float).packed(how), &[Strength::Changing, Strength::Constant(0.5)]);
        let linear = Linear::load(weights.clone(), INPUTS, OUTPUTS).unwrap();
        weights.strengths().set(&STRENGTHS, Device::Cpu);
        let mut brought = std::cell::RefCell::new(0);
        let moved = linear.moved(&|tensor| {
            *brought.borrow_mut() += 1;
            tensor.copy()
        });
        assert!(*brought.get_mut() > 6, "weight, bias, and what stands beside");
        assert_eq!(moved.forward(&x), linear.forward(&x));
    }
}
