//! Tensors of small files made on the spot, and what is said of those that cannot be read.

use safetensors::tensor::{Dtype as Stored, TensorView};

use super::*;

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A file of these tensors, opened as wanctl opens what a user gives.
fn opened(tensors: &[(&str, Stored, &[usize], Vec<u8>)], kind: Kind) -> (tempfile::TempDir, Weights) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let checkpoint = Checkpoint::open(&[path]).unwrap();
    (folder, Weights::of(Rc::new(checkpoint), Device::Cpu, kind))
}

fn tiny() -> Weights {
    let data = floats(&[1.0, 2.0, 3.0, 4.0]);
    let view = TensorView::new(Stored::F32, vec![2, 2], &data).unwrap();
    let count = TensorView::new(Stored::I64, vec![1], &data[..8]).unwrap();
    let bytes = safetensors::serialize([("a.0.weight", view), ("count", count)], None).unwrap();
    Weights::embedded("tiny", bytes.leak(), Device::Cpu, Kind::Double).unwrap()
}

#[test]
fn a_tensor_is_found_by_its_place_and_comes_in_the_kind_asked_for() {
    let weights = tiny();
    let tensor = (&weights / "a" / 0).get("weight", &[2, 2]).unwrap();
    assert_eq!(tensor.kind(), Kind::Double);
    assert_eq!(tensor.double_value(&[1, 0]), 3.0);
    assert_eq!(weights.in_kind(Kind::Half).get("a.0.weight", &[2, 2]).unwrap().kind(), Kind::Half);
    assert_eq!(weights.left_over(), ["count"]);
    assert_eq!((weights.has("count"), (&weights / "a").has("count")), (true, false));
    assert_eq!((&weights / "a" / 0).shape("weight"), Some(vec![2, 2]));
}

#[test]
fn what_does_not_fit_is_named_with_what_was_expected() {
    let weights = tiny();
    for (error, words) in [
        (weights.get("b", &[1]), "tensor `b` is missing from tiny"),
        ((&weights / "a").get("0.weight", &[4]), "tensor `a.0.weight` in tiny has shape [2, 2], expected [4]"),
        (weights.get("count", &[1]), "tensor `count` in tiny has dtype i64, which wanctl cannot load"),
    ] {
        assert_eq!(error.unwrap_err().to_string(), words);
    }
    let error = Weights::embedded("junk", b"junk", Device::Cpu, Kind::Float).unwrap_err();
    assert_eq!(error.to_string(), "junk is too short for a safetensors file: 4 bytes");
}

#[test]
fn a_file_in_its_own_naming_is_asked_in_ours_and_named_in_its_own() {
    let name = "model.diffusion_model.blocks.0.self_attn.q.weight";
    let stranger = "model.diffusion_model.stranger";
    let data = floats(&[1.0, 2.0]);
    let tensors = [(name, Stored::F32, &[2, 1][..], data.clone()), (stranger, Stored::F32, &[2], data)];
    let (_folder, weights) = opened(&tensors, Kind::Float);
    let place = &weights / "blocks" / 0 / "attn1";
    let error = place.get("to_q.weight", &[1, 2]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("tensor `{name}` in ")), "{error}");
    assert!(error.ends_with("model.safetensors has shape [2, 1], expected [1, 2]"), "{error}");
    assert_eq!(place.get("to_q.weight", &[2, 1]).unwrap().size(), [2, 1]);
    assert_eq!(weights.left_over(), [stranger]);
}

#[test]
fn numbers_that_are_none_are_an_error_that_names_tensor_and_file() {
    for (number, kind, good) in [
        (1.0, Kind::Float, true),
        (f32::NAN, Kind::Float, false),
        (f32::INFINITY, Kind::BFloat16, false),
        (1e30, Kind::Float, true),
        // Finite there, and beyond the largest f16.
        (1e30, Kind::Half, false),
    ] {
        let tensors = [("patch_embedding.bias", Stored::F32, &[3][..], floats(&[0.0, number, 0.0]))];
        let (_folder, weights) = opened(&tensors, kind);
        match weights.get("patch_embedding.bias", &[3]) {
            Ok(_) => assert!(good, "{number}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!good && error.contains("`patch_embedding.bias`") && error.contains("model.safetensors"));
            }
        }
    }
    // A sum beyond the largest f16 of numbers that are not.
    let tensors = [("patch_embedding.bias", Stored::F32, &[2][..], floats(&[60000.0, 60000.0]))];
    assert!(opened(&tensors, Kind::Half).1.get("patch_embedding.bias", &[2]).is_ok());
}

/// The numbers of a format by its definition: sign, exponent, fraction.
fn decoded(code: u8, exponent_bits: u32, fraction_bits: u32, bias: i32) -> f64 {
    let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((code >> fraction_bits) & ((1 << exponent_bits) - 1));
    let fraction = f64::from(code & ((1 << fraction_bits) - 1)) / f64::from(1 << fraction_bits);
    sign * match exponent {
        0 => fraction * 2_f64.powi(1 - bias),
        exponent => (1.0 + fraction) * 2_f64.powi(exponent - bias),
    }
}

#[test]
fn every_code_of_both_8_bit_floats_is_read_by_the_formats_definition() {
    let all: Vec<u8> = (0..=255).collect();
    // e4m3fn has no infinity and one not-a-number; e5m2 ends as f16 does.
    let e4m3 = |code: u8| (code & 0x7f != 0x7f).then(|| decoded(code, 4, 3, 7));
    let e5m2 = |code: u8| (code & 0x7f < 0x7c).then(|| decoded(code, 5, 2, 15));
    let formats: [(_, &dyn Fn(u8) -> Option<f64>); 2] = [(Stored::F8_E4M3, &e4m3), (Stored::F8_E5M2, &e5m2)];
    for (dtype, value) in formats {
        let (codes, values): (Vec<u8>, Vec<f64>) =
            all.iter().filter_map(|&code| value(code).map(|value| (code, value))).unzip();
        let shape = [codes.len()];
        let (_folder, weights) = opened(&[("patch_embedding.bias", dtype, &shape, codes)], Kind::Float);
        let read = weights.get("patch_embedding.bias", &[values.len() as i64]).unwrap();
        let read: Vec<f64> = Vec::<f32>::try_from(read).unwrap().into_iter().map(f64::from).collect();
        assert_eq!(read, values);
        for code in all.iter().copied().filter(|&code| value(code).is_none()) {
            let (_folder, weights) = opened(&[("patch_embedding.bias", dtype, &[1], vec![code])], Kind::Float);
            weights.get("patch_embedding.bias", &[1]).unwrap_err();
        }
    }
}

#[test]
fn the_three_ways_to_scale_8_bit_weights_give_the_same_numbers() {
    let one: Vec<u8> = vec![0x38; 6];
    let q = "blocks.0.self_attn.q";
    let tensor = |name: &str| format!("{q}.{name}");
    let [weight, old, new, quant, input] =
        ["weight", "scale_weight", "weight_scale", "comfy_quant", "input_scale"].map(tensor);
    let f8 = (weight.as_str(), Stored::F8_E4M3, &[3, 2][..], one);
    let format = br#"{"format": "float8_e4m3fn"}"#.to_vec();
    let length = [format.len()];
    let sentinel = ("scaled_fp8", Stored::F8_E4M3, &[0][..], vec![]);
    let (all, rows) = ([0.5; 6], [0.5, 0.5, 2.0, 2.0, 4.0, 4.0]);
    for (scales, expected) in [
        (vec![], [1.0; 6]),
        (vec![sentinel, (old.as_str(), Stored::F32, &[], floats(&[0.5]))], all),
        (
            vec![
                (new.as_str(), Stored::F32, &[1], floats(&[0.5])),
                (quant.as_str(), Stored::U8, &length, format),
                (input.as_str(), Stored::F32, &[], floats(&[9.0])),
            ],
            all,
        ),
        (vec![(new.as_str(), Stored::F32, &[3, 1], floats(&[0.5, 2.0, 4.0]))], rows),
    ] {
        let tensors = [vec![f8.clone()], scales].concat();
        let (_folder, weights) = opened(&tensors, Kind::BFloat16);
        let read = weights.get("blocks.0.attn1.to_q.weight", &[3, 2]).unwrap().to_kind(Kind::Float).flatten(0, 1);
        assert_eq!(Vec::<f32>::try_from(read).unwrap(), expected);
        assert!(weights.left_over().is_empty(), "{:?}", weights.left_over());
    }
}

#[test]
fn rows_of_a_table_come_in_the_order_asked_for_each_with_its_scale() {
    let numbers = floats(&[0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
    let scale = ("token_embedding.weight_scale", Stored::F32, &[3, 1][..], floats(&[1.0, 2.0, 3.0]));
    for (scales, expected) in [(vec![], [20.0, 21.0, 0.0, 1.0]), (vec![scale], [60.0, 63.0, 0.0, 1.0])] {
        let tensors = [vec![("token_embedding.weight", Stored::F32, &[3, 2][..], numbers.clone())], scales].concat();
        let (_folder, weights) = opened(&tensors, Kind::Float);
        let rows = weights.rows("shared.weight", &[2, 0], [3, 2]).unwrap();
        assert_eq!(rows.size(), [2, 2]);
        assert_eq!(Vec::<f32>::try_from(rows.flatten(0, 1)).unwrap(), expected);
        assert!(weights.left_over().is_empty());
        for row in [3, -1] {
            let error = weights.rows("shared.weight", &[row], [3, 2]).unwrap_err().to_string();
            assert!(error.ends_with(&format!("has 3 rows, and row {row} was asked for")), "{error}");
        }
    }
}

#[test]
fn a_tensor_of_many_pieces_is_whole() {
    // Two and a half pieces of f8, with a scale for each row that tells the row.
    let (rows, columns) = (2560 * PIECE / (1024 << 10), 1024);
    let scales: Vec<f32> = (0..rows).map(|row| row as f32).collect();
    let tensors = [
        ("shared.weight", Stored::F8_E5M2, &[rows, columns][..], vec![0x3c; rows * columns]),
        ("shared.weight_scale", Stored::F32, &[rows, 1], floats(&scales)),
    ];
    let (_folder, weights) = opened(&tensors, Kind::Float);
    let read = weights.get("shared.weight", &[rows as i64, columns as i64]).unwrap();
    assert_eq!(Vec::<f32>::try_from(read.select(1, 0)).unwrap(), scales);
    assert_eq!(Vec::<f32>::try_from(read.select(1, columns as i64 - 1)).unwrap(), scales);
}
