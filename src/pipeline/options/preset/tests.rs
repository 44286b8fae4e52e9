//! Every built-in preset read and resolved, and what a preset of one's own is refused for.

use std::collections::BTreeSet;

use super::*;
use crate::pipeline::options::{Guidance, Seed};
use crate::pipeline::{job::memory::Sizes, weights::Conditioning};

#[test]
fn every_file_of_presets_is_embedded_under_its_name_and_no_name_stands_twice() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
    let files: BTreeSet<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let presets = Preset::built_in();
    let embedded: BTreeSet<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect::<BTreeSet<_>>(), embedded);
    for (preset, (name, _)) in presets.iter().zip(BUILT_IN) {
        assert_eq!(preset.name, *name);
        assert!(!preset.about.is_empty() && preset.values.wan.model_files.is_some() && preset.fps.is_some());
    }
    let mut names = BTreeSet::new();
    for name in presets.iter().flat_map(|preset| preset.aliases.iter().chain([&preset.name])) {
        assert!(names.insert(name), "{name} stands twice");
    }
    for preset in presets {
        let file = folder.join(format!("{}.yaml", preset.name));
        assert_eq!(Preset::read(&file).unwrap().values, preset.values);
    }
}

/// Names that tasks of the hosted worker have.
#[test]
fn what_tasks_name_is_there() {
    for name in [
        "lightning_baseline_2_2_2",
        "wan_2_2_vace_lightning_baseline_2_2_2",
        "wan_2_2_vace_lightning_baseline_3_3",
        "wan_2_2_i2v_lightning_baseline_2_2_2",
        "wan_2_2_i2v_lightning_baseline_3_3",
        "wan_2_2_i2v_lightning_svi_3_3",
        "wan_2_2_i2v_lightning_svi_endframe",
        "i2v_2_2_svi2pro",
        "vace_14B_cocktail_2_2",
        "vace_fun_14B_cocktail_2_2",
        "vace_14B_cocktail",
        "vace_14B_lightning_3p_2_2",
        "vace_fun_14B_cocktail_lightning",
        "vace_14B_fake_cocktail_2_2",
        "vace_fun_14B_cocktail_lightning_3phase",
        "t2v_2_2",
        "i2v_2_2",
        "vace_fun_14B_2_2",
        "vace_14B",
        "vace_14B_2_2",
    ] {
        assert!(Preset::find(name).unwrap().aliases.iter().any(|alias| alias == name));
    }
}

#[test]
fn a_name_that_is_almost_right_is_told_the_nearest() {
    let error = Preset::find("wan22-vace-lightnin").unwrap_err();
    assert_eq!(
        (error.code(), error.to_string()),
        (ErrorCode::Input, "there is no preset `wan22-vace-lightnin`".into())
    );
    assert!(error.details().help.unwrap().starts_with("did you mean wan22-vace-lightning"));
    assert!(Preset::find("zebra").unwrap_err().details().help.unwrap().contains("--list-models"));
}

fn read(text: &str) -> Result<Preset, PresetError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.yaml");
    fs::write(&path, text).unwrap();
    Preset::read(&path)
}

#[test]
fn a_preset_of_ones_own_takes_models_from_another_and_says_the_rest() {
    let text = "name: mine\nengine: wan\nmodels: wan22-vace-fun\npublished: [here]\nguidance: [3, 1]\nsteps: 8\n\
                context: 0.5s\nseed: -1\nprompt: a fox\nloras: [{ file: a.safetensors, weights: 0.5 }]\n";
    let preset = read(text).unwrap();
    let values = &preset.values;
    assert_eq!(values.wan.guidance, Some(Guidance::Each(vec![3.0, 1.0])));
    assert_eq!((values.wan.steps, values.wan.seed), (Some(8), Some(Seed::Random)));
    let published = values.wan.model_files.as_ref().unwrap();
    assert_eq!(published.at.last().unwrap(), "here");
    assert_eq!(published.high, Preset::find("wan22-vace-fun").unwrap().values.wan.model_files.unwrap().high);
    assert_eq!(read("name: mine\nengine: rife\n").unwrap().values.common.engine, Some(EngineChoice::Rife));
}

#[test]
fn the_preset_of_the_manual_is_one() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/presets-and-weights.md"));
    let mut told = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let preset = read(told.find(|text| text.starts_with("name:")).unwrap()).unwrap();
    assert_eq!((preset.name.as_str(), preset.values.wan.phases.unwrap().len()), ("mine", 2));
}

#[test]
fn a_wrong_preset_is_told_where_and_what_it_could_have_said() {
    for (text, words) in [
        ("name: a\nengine: wan\nstep: 6\n", "unknown field `step`"),
        ("name: a\nengine: wan\nstep: 6\n", "did you mean `steps`?"),
        ("name: a\nengine: wan\nphases: [{ steps: 2, expert: hi, guidance: 1 }]\n", "did you mean `high`?"),
        ("name: a\nengine: wan\nphases: [{ steps: 2, expert: high, guidence: 1 }]\n", "did you mean `guidance`?"),
        (
            "name: a\nengine: wan\nmodels: wan22-vace-fum\n",
            "takes its models from `wan22-vace-fum`, which is no preset",
        ),
        ("name: a\nengine: wan\nmodels: { hi: [a] }\n", "wanted the name of another preset"),
        ("name: a\n", "missing field `engine`"),
        ("name: a\nengine: wan\nloras: [{ file: a, weights: x }]\n", "`x` is no LoRA weight"),
        ("name: a\nengine: wan\nsteps: -1\n", "steps: invalid type"),
        ("name: [a\n", "line"),
        ("name: a\nengine: wan\nsteps: 6\nsteps: 7\n", "duplicate field"),
    ] {
        let error = read(text).unwrap_err();
        let details = error.details();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.code() == ErrorCode::Input && details.wanted.is_some() && details.help.is_some());
    }
    let gone = Preset::find("gone.yaml").unwrap_err();
    assert!(gone.to_string().starts_with("the preset gone.yaml cannot be read"), "{gone}");
}

#[test]
fn the_names_of_a_presets_model_tell_how_it_is_shown_frames() {
    for preset in Preset::built_in() {
        let wanted = match () {
            () if preset.name.contains("-vace-") => Some(Conditioning::Vace),
            () if preset.name.contains("-i2v") => Some(Conditioning::Images),
            () => None,
        };
        let found = preset.values.wan.model_files.as_ref().and_then(Published::conditioning);
        assert_eq!(found, wanted, "{}", preset.name);
    }
}

#[test]
fn every_built_in_model_is_known_by_the_names_of_its_files() {
    let mut seen = 0;
    for preset in Preset::built_in() {
        let Some(published) = &preset.values.wan.model_files else { continue };
        let Some(sizes) = Sizes::by_name(published) else { panic!("{}: {published:?}", preset.name) };
        let of = |dim: u64| sizes.transformer.dim == dim;
        assert!(of(5120) || preset.name.contains("1.3b") && of(1536), "{}", preset.name);
        assert_eq!(sizes.transformer.vace, preset.name.contains("vace"), "{}", preset.name);
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    assert_eq!(Sizes::by_name(&Default::default()), None);
}
