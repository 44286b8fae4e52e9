//! How strong a LoRA wants its pairs to be where no tensor says it: the settings that diffusers writes beside them.
//!
//! diffusers 0.42.1 (`loaders/lora_base.py`) keeps PEFT's settings in a safetensors file's metadata and obeys them.

use serde_json::Value;

#[derive(Debug, Default)]
pub(super) struct Alphas {
    all: Option<f64>,
    /// By the end of a module's name.
    some: Vec<(String, f64)>,
    /// PEFT's rank-stabilised form: over the root of the rank.
    root: bool,
}

impl Alphas {
    /// Of the metadata `lora_adapter_metadata`.
    pub(super) fn of(metadata: Option<&str>) -> Self {
        let said: Value = metadata.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let setting = |key: &str| said.get(format!("transformer.{key}")).or(said.get(key));
        let number = |value: &Value| value.as_f64().filter(|alpha| alpha.is_finite() && *alpha != 0.0);
        let some = setting("alpha_pattern").and_then(Value::as_object).into_iter().flatten();
        Self {
            all: setting("lora_alpha").and_then(number),
            some: some.filter_map(|(module, alpha)| Some((module.clone(), number(alpha)?))).collect(),
            root: setting("use_rslora").and_then(Value::as_bool).unwrap_or(false),
        }
    }

    /// What a pair of this rank is to be multiplied by; `tensor` is the weight that it changes, in our names.
    pub(super) fn scale(&self, tensor: &str, rank: usize) -> f64 {
        let module = tensor.trim_end_matches(".weight");
        let ends = |end: &str| module.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let own = self.some.iter().find(|(end, _)| ends(end)).map(|(_, alpha)| *alpha);
        let over = if self.root { (rank as f64).sqrt() } else { rank as f64 };
        own.or(self.all).map_or(1.0, |alpha| alpha / over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_beside_the_tensors_say_how_strong_they_are() {
        let said = |json: &str| Alphas::of(Some(json));
        let q = "blocks.0.attn1.to_q.weight";
        for (alphas, wanted) in [
            (Alphas::of(None), 1.0),
            (said("{}"), 1.0),
            (said("no json"), 1.0),
            (said(r#"{"transformer.lora_alpha": 8, "transformer.r": 4}"#), 2.0),
            (said(r#"{"transformer.lora_alpha": 8, "transformer.use_rslora": true}"#), 4.0),
            (said(r#"{"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"attn1.to_q": 2}}"#), 0.5),
            (said(r#"{"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"o_q": 2}}"#), 2.0),
        ] {
            assert_eq!(alphas.scale(q, 4), wanted, "{alphas:?}");
        }
    }
}
