//! Folders, shards, and lists of files.

use super::*;

#[test]
fn shards_are_one_checkpoint_by_their_index_or_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let what = ModelKind::Transformer(small());
    let (first, second): (Vec<_>, Vec<_>) = ours(&what).into_iter().partition(|(name, ..)| name < &"blocks.1".into());
    let at = |name: &str| folder.path().join(name);
    write(&at("m-00001-of-00002.safetensors"), &first);
    write(&at("m-00002-of-00002.safetensors"), &second);
    let shard =
        |(name, ..): &TensorEntry, number: usize| (name.clone(), format!("m-0000{number}-of-00002.safetensors"));
    let weight_map: BTreeMap<_, _> =
        first.iter().map(|made| shard(made, 1)).chain(second.iter().map(|made| shard(made, 2))).collect();
    let write_index = |map: &BTreeMap<String, String>| {
        let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": map });
        std::fs::write(at("m.safetensors.index.json"), index.to_string()).unwrap();
    };
    write_index(&weight_map);
    for path in [folder.path().to_owned(), at("m.safetensors.index.json")] {
        let checkpoint = open(&path).unwrap();
        let (found, problems) = checkpoint.check().unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(found, what);
        assert!(checkpoint.entry("proj_out.bias").unwrap().file.ends_with("m-00002-of-00002.safetensors"));
    }
    // A shard alone is a part of a model, and what it lacks is named.
    assert!(refusal(&at("m-00001-of-00002.safetensors")).starts_with("tensor `scale_shift_table` is missing from "));

    let promised = [weight_map.clone(), BTreeMap::from([shard(&zeros("more", Stored::F32, &[]), 1)])];
    write_index(&promised.into_iter().flatten().collect());
    assert!(refusal(folder.path()).starts_with("tensor `more` is missing from "));

    write_index(&weight_map);
    std::fs::remove_file(at("m-00002-of-00002.safetensors")).unwrap();
    let said = refusal(folder.path());
    assert!(said.contains("m-00002-of-00002.safetensors are missing of "), "{said}");

    for elsewhere in ["../m.safetensors", "/etc/passwd", "a/b.safetensors", ".."] {
        write_index(&BTreeMap::from([("a".to_owned(), elsewhere.to_owned())]));
        assert!(refusal(&at("m.safetensors.index.json")).contains("names a shard elsewhere"), "{elsewhere}");
    }
}

#[test]
fn a_folder_without_weights_or_with_several_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path()).ends_with("holds no weights"));
    std::fs::write(folder.path().join("._a.safetensors"), "what macOS leaves").unwrap();
    assert!(refusal(folder.path()).ends_with("holds no weights"));
    for name in ["a.safetensors", "b.pth"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let said = refusal(folder.path());
    assert!(said.contains("holds several checkpoints") && said.contains("a.safetensors") && said.contains("b.pth"));
    assert!(refusal(&folder.path().join("gone.safetensors")).starts_with("cannot read "));
}

#[test]
fn a_later_file_overrides_and_adds() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut base = small_vace();
    let vace = base.vace.take().unwrap();
    let base = ModelKind::Transformer(base);
    let module = ModelKind::VaceModule(VaceModule { dim: 128, ffn: 8, blocks: 2, in_channels: 96 });
    let base_path = write(&at("base.safetensors"), &originals(&base, "model.diffusion_model."));
    let mut in_module = ours(&module);
    in_module.push(floats("proj_out.bias", &[64], &[7.0; 64]));
    let module_path = write(&at("module.safetensors"), &in_module);
    assert_eq!(open(&module_path).unwrap().what().unwrap(), module);

    let whole = Checkpoint::open(&[base_path.clone(), module_path.clone()]).unwrap();
    let (found, problems) = whole.check().unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(found, ModelKind::Transformer(Transformer { vace: Some(vace), layers: 4, ..small() }));
    let entry = whole.entry("proj_out.bias").unwrap();
    assert_eq!((entry.dtype, entry.file), (Dtype::F32, &*module_path));
    assert_eq!(whole.entry("proj_out.weight").unwrap().file, base_path);

    // A module of another size: which tensor, both shapes, which file.
    let wide = ModelKind::VaceModule(VaceModule { dim: 256, ffn: 8, blocks: 2, in_channels: 96 });
    let wide_path = write(&at("wide.safetensors"), &ours(&wide));
    let (_, problems) = Checkpoint::open(&[base_path.clone(), wide_path]).unwrap().check().unwrap();
    let said = problems[0].to_string();
    assert!(said.starts_with("tensor `vace_blocks.0.attn1.norm_k.weight` in "), "{said}");
    assert!(said.ends_with("wide.safetensors has shape [256], expected [128]"), "{said}");

    let vae_path = write(&at("vae.safetensors"), &ours(&ModelKind::Vae(small_vae(VaeGeneration::Wan21))));
    let said = Checkpoint::open(&[base_path, vae_path]).unwrap_err().to_string();
    assert!(said.contains("vae.safetensors holds the Wan 2.1 VAE") && said.contains("cannot make one model"), "{said}");
}

#[test]
fn a_tensor_that_stands_in_a_file_by_two_names_is_refused_but_for_the_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let what = ModelKind::Transformer(small());
    let mut made = ours(&what);
    made.push(zeros("head.modulation", Stored::BF16, &[1, 2, 128]));
    write(&path, &made);
    assert!(refusal(&path).starts_with("tensor `scale_shift_table` stands twice in "));

    let text = ModelKind::TextEncoder(small_text());
    let mut made = ours(&text);
    made.push(zeros("encoder.embed_tokens.weight", Stored::BF16, &[5, 4]));
    write(&path, &made);
    let checkpoint = open(&path).unwrap();
    assert_eq!(checkpoint.what().unwrap(), text);
    assert_eq!(checkpoint.unused(), ["encoder.embed_tokens.weight"]);
    made.retain(|(name, ..)| name != "shared.weight");
    write(&path, &made);
    let checkpoint = open(&path).unwrap();
    assert!(checkpoint.check().unwrap().1.is_empty());
    assert_eq!(checkpoint.entry("shared.weight").unwrap().stored, "encoder.embed_tokens.weight");
}
