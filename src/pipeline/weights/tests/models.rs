//! From what a user names to the parts of a model.

use std::fs;

use super::*;
use crate::pipeline::types::error::{ErrorCode, Reportable};

fn wanted(words: &[String]) -> Vec<Wanted> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

fn find(words: &[String]) -> Result<ModelFiles, CheckpointError> {
    ModelFiles::find(&wanted(words))
}

/// A copy of the tiny diffusers folder, to be taken apart.
fn tiny() -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (path, to) = {
                let entry = entry.unwrap();
                (entry.path(), to.join(entry.file_name()))
            };
            if path.is_dir() { copy(&path, &to) } else { fs::write(to, fs::read(&path).unwrap()).unwrap() }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("tiny"), folder.path());
    folder
}

/// Single files as Comfy has them, in one folder: two experts with modules, VAE, text encoder and tokenizer.
fn singles() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let base = ModelKind::Transformer(Transformer { layers: 4, ..small() });
    let module = ModelKind::VaceModule(VaceModule { dim: 128, ffn: 8, blocks: 2, in_channels: 96 });
    write(&at("wan2.2_t2v_high_noise_14B.safetensors"), &originals(&base, "model.diffusion_model."));
    write(&at("Wan2_2-T2V-A14B-LOW_fp8.safetensors"), &originals(&base, ""));
    write(&at("plain.safetensors"), &originals(&base, ""));
    write(&at("Wan2_2_Fun_VACE_module_A14B_HIGH.safetensors"), &originals(&module, ""));
    write(&at("Wan2_2_Fun_VACE_module_A14B_LOW.safetensors"), &originals(&module, ""));
    write(&at("vace_module.safetensors"), &originals(&module, ""));
    write(&at("wan_2.1_vae.safetensors"), &originals(&ModelKind::Vae(small_vae(VaeGeneration::Wan21)), ""));
    write(&at("umt5.safetensors"), &ours(&ModelKind::TextEncoder(small_text())));
    fs::write(at("tokenizer.json"), "{}").unwrap();
    folder
}

fn names(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn a_diffusers_folder_says_all_of_itself() {
    let folder = tiny();
    let at = |name: &str| folder.path().join(name);
    let found = find(&[folder.path().display().to_string()]).unwrap();
    assert_eq!((&found.high, &found.low), (&vec![at("transformer")], &vec![at("transformer_2")]));
    assert_eq!((&found.vae, &found.text), (&vec![at("vae")], &vec![at("text_encoder")]));
    assert_eq!((&found.tokenizer, found.boundary), (&at("tokenizer/tokenizer.json"), Some(0.875)));
    assert!(found.flow_shift.is_some());
    assert_eq!(found.transformer.vace, Some(Vace { layers: vec![0], in_channels: 96 }));
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<ModelFiles>(&text).unwrap(), found);
    for part in [&found.high, &found.low, &found.vae, &found.text] {
        let (_, problems) = Checkpoint::open(part).unwrap().check().unwrap();
        assert!(problems.is_empty(), "{problems:?}");
    }

    // One expert only, because its index says so.
    let index = fs::read_to_string(at("model_index.json")).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&index).unwrap();
    index["transformer_2"] = serde_json::json!([null, null]);
    fs::write(at("model_index.json"), index.to_string()).unwrap();
    fs::remove_dir_all(at("transformer_2")).unwrap();
    let found = find(&[folder.path().display().to_string()]).unwrap();
    assert_eq!((&found.high, found.low.len()), (&vec![at("transformer")], 0));
}

#[test]
fn all_that_is_missing_is_one_error_that_says_where_it_was_looked_for() {
    let folder = tiny();
    let word = [folder.path().display().to_string()];
    for (part, words) in [
        ("tokenizer/tokenizer.json", "the model is not whole: the tokenizer is missing"),
        ("vae", "the model is not whole: the VAE and the tokenizer are missing"),
        ("text_encoder", "the model is not whole: the VAE, the text encoder and the tokenizer are missing"),
        ("transformer_2", "the low-noise expert, the VAE, the text encoder and the tokenizer are missing"),
        ("transformer", "the high-noise expert, the low-noise expert, the VAE, the text encoder and the tokenizer"),
    ] {
        let part = folder.path().join(part);
        if part.is_dir() {
            fs::remove_dir_all(&part).unwrap()
        } else {
            fs::remove_file(&part).unwrap()
        }
        let error = find(&word).unwrap_err();
        assert!(error.to_string().contains(words), "{words} in {error}");
        let details = error.details();
        assert_eq!(error.code(), ErrorCode::Weights);
        assert!(details.found.unwrap().ends_with(&name(folder.path())));
        assert!(details.help.unwrap().contains("tokenizer="));
    }
    fs::write(folder.path().join("model_index.json"), r#"{"_class_name": "FluxPipeline"}"#).unwrap();
    assert!(find(&word).unwrap_err().to_string().ends_with("is a FluxPipeline of diffusers, wanted a Wan model"));
}

#[test]
fn the_original_repositories_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = ModelKind::Transformer(Transformer { text_dim: 32, ..small_vace() });
    for expert in ["high_noise_model", "low_noise_model"] {
        write(&at(expert).join("diffusion_pytorch_model.safetensors"), &originals(&model, ""));
    }
    fs::copy(fixture("pickles/vae.pth"), at("Wan2.1_VAE.pth")).unwrap();
    fs::copy(fixture("pickles/text.pth"), at("models_t5_umt5-xxl-enc-bf16.pth")).unwrap();
    fs::create_dir_all(at("google/umt5-xxl")).unwrap();
    fs::write(at("google/umt5-xxl/tokenizer.json"), "{}").unwrap();
    let lora = [zeros("blocks.0.self_attn.q.lora_A.weight", Stored::F16, &[1, 128])];
    write(&at("lora.safetensors"), &lora);
    let word = [folder.path().display().to_string()];
    let found = find(&word).unwrap();
    assert_eq!((&found.high, &found.low), (&vec![at("high_noise_model")], &vec![at("low_noise_model")]));
    assert_eq!(
        (names(&found.vae), names(&found.text)),
        (vec!["Wan2.1_VAE.pth"], vec!["models_t5_umt5-xxl-enc-bf16.pth"])
    );
    assert_eq!((found.tokenizer, found.boundary), (at("google/umt5-xxl/tokenizer.json"), None));

    fs::remove_file(at("low_noise_model/diffusion_pytorch_model.safetensors")).unwrap();
    assert!(find(&word).unwrap_err().to_string().ends_with("the low-noise expert is missing"));

    // The 2.1 models have their transformer at the root.
    for expert in ["high_noise_model", "low_noise_model"] {
        fs::remove_dir_all(at(expert)).unwrap();
    }
    write(&at("diffusion_pytorch_model.safetensors"), &originals(&model, ""));
    let found = find(&word).unwrap();
    assert_eq!((names(&found.high), found.low), (vec!["diffusion_pytorch_model.safetensors"], vec![]));
}

#[test]
fn single_files_are_sorted_by_what_they_are_and_experts_by_their_names() {
    let folder = singles();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let rest = [at("wan_2.1_vae.safetensors"), at("umt5.safetensors"), at("tokenizer.json")];
    let with = |files: &[&str]| find(&[&files.iter().map(|file| at(file)).collect::<Vec<_>>()[..], &rest].concat());
    let (high, low) = ("wan2.2_t2v_high_noise_14B.safetensors", "Wan2_2-T2V-A14B-LOW_fp8.safetensors");
    let (high_module, low_module) =
        ("Wan2_2_Fun_VACE_module_A14B_HIGH.safetensors", "Wan2_2_Fun_VACE_module_A14B_LOW.safetensors");

    let found = with(&[low_module, high, high_module, low]).unwrap();
    assert_eq!((names(&found.high), names(&found.low)), (vec![high, high_module], vec![low, low_module]));
    assert_eq!(found.transformer.vace.unwrap().layers, [0, 2]);
    // A module that names no expert is for both.
    let found = with(&["vace_module.safetensors", high, low]).unwrap();
    let both = ["vace_module.safetensors"];
    assert_eq!((names(&found.high), names(&found.low)), ([&[high], &both[..]].concat(), [&[low], &both[..]].concat()));
    let found = with(&["plain.safetensors", "vace_module.safetensors"]).unwrap();
    assert_eq!((names(&found.high), found.low), (vec!["plain.safetensors", "vace_module.safetensors"], vec![]));

    for (files, words) in [
        (&[high][..], "the low-noise expert is missing"),
        (&[low], "the high-noise expert is missing"),
        (&["vace_module.safetensors"], "the transformer that the VACE module belongs to is missing"),
        (&[], "the transformer is missing"),
        (&["plain.safetensors", "plain.safetensors"], "are both the transformer"),
        (&["plain.safetensors", high], "are both transformers, and only the first says which expert it is"),
        // One with VACE and one without.
        (&[high, high_module, low], "the two experts differ"),
    ] {
        let said = with(files).unwrap_err().to_string();
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn a_part_that_is_named_by_its_role_goes_before_one_that_was_found() {
    let (folder, files) = (tiny(), singles());
    let at = |name: &str| files.path().join(name);
    let model = folder.path().display().to_string();
    let said = |role: &str, name: &str| format!("{role}={}", at(name).display());
    let found = find(&[said("vae", "wan_2.1_vae.safetensors"), model.clone(), said("tokenizer", "")]).unwrap();
    assert_eq!((found.vae, found.tokenizer), (vec![at("wan_2.1_vae.safetensors")], at("tokenizer.json")));
    assert_eq!(found.text, [folder.path().join("text_encoder")]);
    // Both experts of the folder give way to one transformer each.
    let plain = "plain.safetensors";
    let words = [model.clone(), said("high", plain), said("low", plain), said("high", "vace_module.safetensors")];
    let words = [&words[..], &[said("text", "umt5.safetensors")]].concat();
    assert!(find(&words).unwrap_err().to_string().contains("the two experts differ"));
    let found = find(&[&words[..], &[said("low", "vace_module.safetensors")]].concat()).unwrap();
    assert_eq!(
        (names(&found.high), names(&found.low)),
        (vec![plain, "vace_module.safetensors"], vec![plain, "vace_module.safetensors"])
    );

    for (word, words) in [
        (said("vae", "umt5.safetensors"), "umt5.safetensors is a umT5 encoder, wanted a Wan VAE"),
        (
            said("text", plain),
            "is a Wan transformer of width 128 with 4 blocks and 16 input channels, wanted a umT5 encoder",
        ),
        (said("high", "wan_2.1_vae.safetensors"), "is the Wan 2.1 VAE, wanted a Wan transformer"),
        (said("vae", "gone.safetensors"), "cannot read "),
        (said("tokenizer", "gone.json"), "cannot read "),
    ] {
        let said = find(&[model.clone(), word]).unwrap_err().to_string();
        assert!(said.contains(words), "{words} in {said}");
    }
    let vaes = [said("vae", "wan_2.1_vae.safetensors"), said("vae", "wan_2.1_vae.safetensors")];
    assert!(find(&vaes).unwrap_err().to_string().ends_with("are both the Wan 2.1 VAE"));
}

#[test]
fn parts_of_different_models_and_parts_that_are_not_whole_are_refused_before_any_work() {
    let folder = singles();
    let at = |name: &str| folder.path().join(name);
    let words = ["plain.safetensors", "umt5.safetensors", "tokenizer.json"].map(|name| at(name).display().to_string());
    let with = |name: &str| find(&[&words[..], &[at(name).display().to_string()]].concat()).unwrap_err().to_string();
    let wide = Vae { z_dim: 48, ..small_vae(VaeGeneration::Wan22) };
    write(&at("wan2.2_vae.safetensors"), &ours(&ModelKind::Vae(wide)));
    let said = with("wan2.2_vae.safetensors");
    assert!(said.ends_with("does not fit the transformer: 48 channels of its latents, expected 16"), "{said}");

    let mut vae = originals(&ModelKind::Vae(small_vae(VaeGeneration::Wan21)), "");
    vae.retain(|(name, ..)| name != "decoder.middle.0.residual.2.weight");
    write(&at("broken.safetensors"), &vae);
    let said = with("broken.safetensors");
    assert!(said.starts_with("tensor `decoder.mid_block.resnets.0.conv1.weight` is missing from "), "{said}");

    let text = ModelKind::TextEncoder(TextEncoder { dim: 8, ..small_text() });
    write(&at("umt5.safetensors"), &ours(&text));
    let said = with("wan_2.1_vae.safetensors");
    assert!(
        said.contains("umt5.safetensors does not fit the transformer: 8 numbers for each word, expected 4"),
        "{said}"
    );
}

#[test]
fn words_of_the_model_option_are_paths_with_or_without_a_role() {
    for (text, role, path) in [
        ("a.safetensors", None, "a.safetensors"),
        ("high=a b=c", Some(Role::High), "a b=c"),
        ("low=x", Some(Role::Low), "x"),
        ("vae=x", Some(Role::Vae), "x"),
        ("text=x", Some(Role::Text), "x"),
        ("tokenizer=x", Some(Role::Tokenizer), "x"),
        ("other=x", None, "other=x"),
    ] {
        assert_eq!(text.parse(), Ok(Wanted { role, path: path.into() }));
    }
    assert!("".parse::<Wanted>().is_err() && "high=".parse::<Wanted>().is_err());
}
