//! The scales of 8-bit weights: which tensor belongs to which weight, in the three ways that files say it.
//!
//! A weight `X.weight` has its scale beside it, as `X.scale_weight` (Comfy's older files, with a sentinel
//! `scaled_fp8`) or as `X.weight_scale` (Comfy's newer ones, which name the format in `X.comfy_quant` or in the file's
//! metadata, and LightX2V's, a scale for each row). The number is always what the 8-bit float is multiplied by.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::header::Stored;

/// Scales by the name of their weight, and the tensors that say nothing more.
#[derive(Debug, Default)]
pub(super) struct Scales {
    pub(super) of: HashMap<String, Vec<f32>>,
    pub(super) spent: BTreeSet<String>,
}

/// What cannot be read, and why: a tensor, and the format or problem.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScaleError {
    Packed { tensor: String, format: String },
    Shape { tensor: String, wanted: String, found: Vec<usize> },
}

/// `tensors` by their stored names, with their bytes.
pub(super) fn find(
    tensors: &BTreeMap<&str, (&Stored, &[u8])>,
    metadata: &BTreeMap<String, String>,
) -> Result<Scales, ScaleError> {
    let mut scales = Scales::default();
    if let Some(text) = metadata.get("_quantization_metadata") {
        let said: Value = serde_json::from_str(text).unwrap_or_default();
        for (layer, how) in said["layers"].as_object().into_iter().flatten() {
            check_format(how).map_err(|format| ScaleError::Packed { tensor: format!("{layer}.weight"), format })?;
        }
    }
    for (name, (stored, bytes)) in tensors {
        let module = |suffix: &str| name.strip_suffix(suffix).map(|module| format!("{module}.weight"));
        if let Some(weight) = module(".scale_weight").or_else(|| module(".weight_scale")) {
            let Some((scaled, _)) = tensors.get(weight.as_str()) else { continue };
            scales.of.insert(weight, numbers(stored, scaled, bytes)?);
        } else if let Some(tensor) = module(".comfy_quant") {
            let said = serde_json::from_slice(bytes).unwrap_or_default();
            check_format(&said).map_err(|format| ScaleError::Packed { tensor, format })?;
        } else if *name != "scaled_fp8" && !name.ends_with(".scale_input") && !name.ends_with(".input_scale") {
            // Scales of what goes in serve 8-bit arithmetic, which is not done here.
            continue;
        }
        scales.spent.insert((*name).to_owned());
    }
    Ok(scales)
}

fn check_format(said: &Value) -> Result<(), String> {
    match said["format"].as_str() {
        Some(format) if format.starts_with("float8_e4m3fn") || format.starts_with("float8_e5m2") => Ok(()),
        Some(format) => Err(format.to_owned()),
        None => Err("something it does not name".into()),
    }
}

/// One for all, or one for each row.
fn numbers(scale: &Stored, scaled: &Stored, bytes: &[u8]) -> Result<Vec<f32>, ScaleError> {
    let rows = scaled.shape.first().copied().unwrap_or(1);
    let wrong = || ScaleError::Shape {
        tensor: scale.name.clone(),
        wanted: format!("[] or [{rows}, 1] of floats"),
        found: scale.shape.clone(),
    };
    let fits = match scale.shape[..] {
        [] | [1] | [1, 1] => true,
        [count] | [count, 1] => count == rows,
        _ => false,
    };
    let numbers = if fits { scale.dtype.floats(bytes) } else { None };
    numbers.ok_or_else(wrong)
}
