//! Presets, LoRAs and weights through the command: what is found, what it resolves to, and what is said where it is not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use super::harness::Room;

const HIGH: &str = "Wan22_A14B_T2V_HIGH_Lightning_4steps_lora_250928_rank128_fp16.safetensors";
const LOW: &str = "Wan22_A14B_T2V_LOW_Lightning_4steps_lora_250928_rank64_fp16.safetensors";

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan/tiny").join(name)
}

fn clips() -> Room {
    let room = Room::new();
    room.numbered("a.mp4", 20, 20, "16");
    room.numbered("b.mp4", 20, 20, "16");
    room
}

fn put(room: &Room, from: &Path, to: &str) {
    let to = room.path(to);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

pub(super) fn lora(room: &Room, to: &str) {
    let bytes = vec![0; 2 * 4 * 128];
    let names = ["down", "up"].map(|side| format!("diffusion_model.blocks.0.self_attn.q.lora_{side}.weight"));
    let shapes = [vec![4, 128], vec![128, 4]];
    let views =
        names.iter().zip(shapes).map(|(name, shape)| (name, TensorView::new(Dtype::F16, shape, &bytes).unwrap()));
    let to = room.path(to);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(to, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The tiny model under the names that ComfyUI's users have, where ComfyUI is.
pub(super) fn comfy(room: &Room) {
    let weights = "diffusion_pytorch_model.safetensors";
    for (from, to) in [
        (tiny("transformer").join(weights), "diffusion_models/wan2.2_fun_vace_high_noise_14B_bf16.safetensors"),
        (tiny("transformer_2").join(weights), "diffusion_models/wan2.2_fun_vace_low_noise_14B_bf16.safetensors"),
        (tiny("vae").join(weights), "vae/wan_2.1_vae.safetensors"),
        (tiny("text_encoder/model.safetensors"), "text_encoders/umt5_xxl_fp16.safetensors"),
        (tiny("tokenizer/tokenizer.json"), "text_encoders/umt5-xxl/tokenizer.json"),
    ] {
        put(room, &from, &format!("ComfyUI/models/{to}"));
    }
}

fn lightning(room: &Room) {
    comfy(room);
    for name in [HIGH, LOW] {
        lora(room, &format!("ComfyUI/models/loras/{name}"));
    }
}

/// An engine program that says that it has this device.
fn with_device(room: Room, name: &str, memory: u64) -> Room {
    let line = json!({ "type": "device", "name": name, "available": true, "memory_bytes": memory });
    let path = room.path("engine");
    fs::write(&path, format!("#!/bin/sh\necho '{line}'\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    room.with("WANCTL_ENGINE", path.display().to_string())
}

#[test]
fn a_preset_by_a_tasks_name_is_found_in_comfy_and_shown_step_by_step() {
    let room = clips();
    lightning(&room);
    let run = room.run("join a.mp4 b.mp4 --preset lightning_baseline_2_2_2 --engine wan --dry-run --seed 3").good();
    for words in [
        "command line: engine wan, seed 3",
        "preset wan22-vace-lightning: ",
        "steps 6",
        "phases 2 high+2 high+2 low",
        "shift 5",
        "built-in: ",
        &format!("{HIGH} (0.75;1;0)"),
        "   1   1000.000    high         3    0.75       0",
        "   4    769.674    high         1       1       0",
        "   5    556.788     low         1       0       1",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    let plan = room.run("join a.mp4 b.mp4 --preset lightning_baseline_2_2_2 --engine wan --dry-run --json").good();
    let wan = &plan.event("plan")["settings"]["wan"];
    assert_eq!(wan["steps"], json!({ "value": 6, "from": "preset wan22-vace-lightning" }));
    assert!(wan["models"]["high"][0].as_str().unwrap().ends_with("wan2.2_fun_vace_high_noise_14B_bf16.safetensors"));
    assert_eq!(wan["loras"]["value"][1]["strengths"], json!([0.0, 0.0, 0.0, 0.0, 1.0, 1.0]));
    // The worker's own preset had no LoRAs later on.
    let later = room.run("join a.mp4 b.mp4 --preset lightning_baseline_2_2_2 --era v1 --engine wan --dry-run --json");
    assert_eq!(later.good().event("plan")["settings"]["wan"]["loras"]["value"], json!([]));
}

#[test]
fn options_overrule_a_preset_and_say_so() {
    let room = clips();
    lightning(&room);
    lora(&room, "style=1.safetensors");
    let words = "join a.mp4 b.mp4 --engine wan --preset wan22-vace-lightning --steps 12 --guidance 1 --dry-run --json";
    let run = room.run(&format!("{words} --lora style=1.safetensors=0.8 --lora {LOW}=0;0;1 --gap 8")).good();
    let settings = &run.event("plan")["settings"];
    let wan = &settings["wan"];
    assert_eq!(wan["steps"], json!({ "value": 12, "from": "command line" }));
    let steps: Vec<_> = wan["phases"]["value"].as_array().unwrap().iter().map(|phase| phase["steps"].clone()).collect();
    assert_eq!(steps, [5, 4, 3]);
    assert_eq!(wan["guidance"]["value"], json!([1.0, 1.0, 1.0]));
    assert_eq!(wan["loras"]["from"], "command line");
    assert_eq!(wan["loras"]["value"][0]["strengths"], json!(vec![0.8; 12]));
    assert_eq!(settings["plan"]["gap"], json!({ "value": 8, "from": "command line" }));
    assert!(run.stdout.contains("--lora takes the place of the preset's LoRAs"));
    // A part that is named goes before the preset's.
    let vae = tiny("vae").display().to_string();
    let named = room.run(&format!("{words} --model vae={vae}")).good().event("plan");
    assert_eq!(named["settings"]["wan"]["models"]["vae"][0], vae);
}

#[test]
fn auto_takes_the_first_preset_that_is_here_and_that_a_device_holds() {
    let room = with_device(clips(), "cuda:0", 1 << 40);
    let engine = |room: &Room, words: &str| {
        let run = room.command(&["join", "--engine", "auto", "a.mp4", "b.mp4", "--dry-run", "--json"]);
        let mut run = run;
        run.args(words.split_whitespace());
        let output = run.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let plan: Value =
            serde_json::from_str(stdout.lines().rfind(|line| line.contains("\"plan\"")).unwrap()).unwrap();
        (plan["settings"]["plan"]["engine"]["value"].as_str().unwrap().to_owned(), told, plan)
    };
    let (made_by, told, _) = engine(&room, "");
    assert!(made_by == "rife" && told.contains("engine: rife, since no weights of a Wan model were found"), "{told}");
    comfy(&room);
    let (made_by, told, plan) = engine(&room, "");
    assert!(made_by == "wan" && told.contains("wan with preset wan22-vace-fun"), "{told}");
    assert_eq!(plan["settings"]["wan"]["steps"]["from"], "preset wan22-vace-fun");
    assert_eq!(engine(&room, "--device cpu").0, "rife", "the program has no such device");
    lightning(&room);
    assert!(engine(&room, "").1.contains("wan with preset wan22-vace-lightning,"));
    let small = with_device(room, "cuda:0", 1 << 10);
    let (made_by, told, _) = engine(&small, "");
    assert!(made_by == "rife" && told.contains("since no GPU holds preset wan22-vace-lightning"), "{told}");
    // A model that is named is taken without any preset.
    let (made_by, _, plan) = engine(&small, &format!("--model {}", tiny("").display()));
    assert_eq!((made_by.as_str(), &plan["settings"]["wan"]["steps"]["from"]), ("wan", &json!("built-in")));
}

#[test]
fn what_is_not_here_is_told_with_every_place_and_where_it_is_published() {
    let room = clips();
    let run = room.run("join a.mp4 b.mp4 --engine wan --preset wan22-vace-lightning --models mine").fails(4);
    let run =
        run.says("the high-noise expert, the low-noise expert, the VAE, the text encoder, the tokenizer, the LoRA");
    let run =
        run.says("wan2.2_fun_vace_high_noise_14B_bf16.safetensors").says(&room.path("mine").display().to_string());
    let run =
        run.says("ComfyUI/models").says("Wan2GP/ckpts").says("huggingface/hub").says(".local/share/wanctl/models");
    run.says("Comfy-Org/Wan_2.2_ComfyUI_Repackaged").says("--models DIR").says("code    weights (exit 4)");
    comfy(&room);
    room.run("join a.mp4 b.mp4 --engine wan --preset wan22-vace-lightning")
        .fails(4)
        .says(&format!("the LoRA {HIGH} and the LoRA {LOW} are not found"));
    room.run("join a.mp4 b.mp4 --engine wan --preset wan22-vace-fun --lora gone.safetensors=1")
        .fails(4)
        .says("the LoRA gone.safetensors is not found");
    let vae = room.path("ComfyUI/models/vae/wan_2.1_vae.safetensors");
    room.run(&format!("join a.mp4 b.mp4 --engine wan --preset wan22-vace-fun --lora {}=1", vae.display()))
        .fails(4)
        .says("wanted a LoRA");
    assert!(!room.path("runs").exists(), "nothing was begun");
    Room::new().run("join a.mp4 b.mp4 --engine wan").fails(4).says("the weights of a built-in preset");
}

#[test]
fn a_wrong_preset_or_era_is_told_what_it_could_be() {
    let room = clips();
    room.run("join a.mp4 b.mp4 --preset wan22-vace-lightnin").fails(3).says("did you mean wan22-vace-lightning,");
    room.run("join a.mp4 b.mp4 --preset gone.yaml").fails(3).says("the preset gone.yaml cannot be read");
    room.run("join a.mp4 b.mp4 --era v9").fails(2).says("possible values: oct25, v1, v2");
    fs::write(room.path("mine.yaml"), "name: mine\nengine: dissolve\ncontxt: 4\n").unwrap();
    room.run("join a.mp4 b.mp4 --preset mine.yaml")
        .fails(3)
        .says("unknown field `contxt`")
        .says("did you mean `context`?");
    fs::write(room.path("mine.yaml"), format!("name: mine\nengine: dissolve\n{}", "# \n".repeat(400_000))).unwrap();
    room.run("join a.mp4 b.mp4 --preset mine.yaml").fails(3).says("is larger than 1 MB");
    assert!(!room.path("runs").exists(), "nothing was begun");
}

#[test]
fn contradictions_are_usage_from_the_command_line_and_input_from_a_file() {
    let room = clips();
    comfy(&room);
    let wan = "join a.mp4 b.mp4 --engine wan --dry-run";
    lora(&room, "l.safetensors");
    room.run(&format!("{wan} --preset wan22-vace-fun --lora l.safetensors=1;0;0"))
        .fails(2)
        .says("has 3 weights, and there are 2 phases (command line)");
    room.run(&format!("{wan} --preset wan22-vace-fun --guidance 1;2;3"))
        .fails(2)
        .says("guidance has 3 values, and there are 2 phases");
    for (option, words) in [
        ("--lora l.safetensors", "a path, `=` and a weight"),
        ("--lora l=x", "`x` is no LoRA weight"),
        ("--lora =1", "a path"),
    ] {
        room.run(&format!("{wan} {option}")).fails(2).says(words);
    }
    let mine = |rest: &str| {
        fs::write(room.path("mine.yaml"), format!("name: mine\nengine: wan\nmodels: wan22-vace-fun\n{rest}")).unwrap();
        room.run("join a.mp4 b.mp4 --preset mine.yaml --engine wan --dry-run").fails(3)
    };
    mine("loras: [{ file: l.safetensors, weights: [1, 0, 0] }]\n").says("and there are 2 phases (preset mine)");
    mine("steps: 0\n").says("steps is 0 (preset mine)").says("1 to 1000");
    mine("phases: [{ steps: 6, expert: high, guidance: 1 }]\n").says("no phase is the low-noise expert's");
    room.run("join a.mp4 b.mp4 --engine rife --lora l.safetensors=1").fails(2).says("--engine rife takes no --lora");
}

#[test]
fn with_strict_what_would_be_ignored_is_an_error() {
    let room = clips();
    comfy(&room);
    let wan = "join a.mp4 b.mp4 --engine wan --preset wan22-vace-fun --dry-run";
    for (words, told) in [
        (
            format!("{wan} --guidance 1 --negative-prompt rain"),
            "the negative prompt counts only where the guidance is above 1",
        ),
        (format!("{wan} --era v1"), "--era v1: preset wan22-vace-fun was always the same"),
        (
            "join a.mp4 b.mp4 --engine dissolve --preset wan22-vace-fun --dry-run".into(),
            "the model of preset wan22-vace-fun: --engine dissolve",
        ),
        ("join a.mp4 b.mp4 --engine dissolve --era v2 --dry-run".into(), "--era v2: no preset was asked for"),
    ] {
        room.run(&words).good().says("warning: ignored: ").says(told);
        room.run(&format!("{words} --strict")).fails(2).says("with --strict nothing may be ignored").says(told);
    }
    room.run(&format!("{wan} --strict")).good();
}

#[test]
fn a_preset_of_ones_own_serves_join_and_guide_and_run_json_says_who_said_what() {
    let room = clips();
    let own = room.path("config/wanctl/presets/short.yaml");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "name: short\nengine: dissolve\ncontext: 5\ngap: 4\nmode: insert\n").unwrap();
    let room = room.with("XDG_CONFIG_HOME", own.ancestors().nth(3).unwrap().display().to_string());
    // The harness says --engine dissolve itself.
    room.run("join a.mp4 b.mp4 --preset short --gap 8 --keep -o film.mp4").good();
    let folder = fs::read_dir(room.path("runs")).unwrap().next().unwrap().unwrap().path();
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
    let plan = &manifest["settings"]["plan"];
    assert_eq!(plan["context"], json!({ "value": 5, "from": "preset short" }));
    assert_eq!(plan["gap"], json!({ "value": 8, "from": "command line" }));
    assert_eq!(plan["mode"], json!({ "value": "insert", "from": "preset short" }));
    assert_eq!(plan["align"], json!({ "value": "latent", "from": "built-in" }));
    assert_eq!(manifest["settings"]["asked"]["gap"], 8);
    assert_eq!(manifest["settings"]["asked"]["context"], 5);
    let guide = room.run("guide a.mp4 b.mp4 --preset short --dry-run").good();
    assert!(guide.stdout.contains("asked 5 + 4 + 5") && guide.stdout.contains("preset short: "), "{}", guide.stdout);
    room.run("join a.mp4 b.mp4 --preset short --dry-run -v").good().says("preset short: context 5");

    let run = room.run("inspect short").good();
    assert!(run.stdout.contains("short\n") && run.stdout.contains("context 5"), "{}", run.stdout);
    let listed = room.run("inspect --list-models").good();
    assert!(listed.stdout.lines().any(|line| line.trim_start().starts_with("short ") && line.contains("ready")));
    fs::write(&own, "name: [").unwrap();
    room.run("inspect --list-models").fails(3);
}

#[test]
fn inspect_prints_a_preset_with_every_source() {
    let room = Room::new();
    let run = room.run("inspect wan22-vace-lightning").good();
    for words in [
        "about     joins in 6 steps",
        "aliases   wan_2_2_vace_lightning_baseline_2_2_2, lightning_baseline_2_2_2",
        "trained   16 fps, 81 frames at a time",
        "not here  the high-noise expert",
        "preset wan22-vace-lightning: engine wan, steps 6",
        "built-in: context 8",
        "   3    882.526    high         1       1       0",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    let event = room.run("inspect wan_2_2_i2v_lightning_baseline_3_3 --era v2 --json").good().event("preset");
    assert_eq!((&event["name"], &event["ready"]), (&json!("wan22-i2v-lightning-3-3"), &json!(false)));
    assert_eq!(event["sampling"]["phases"]["value"].as_array().unwrap().len(), 3);
    assert_eq!(event["sampling"]["loras"]["value"], json!([]));
    room.run("inspect wan22-vace-lightnin").fails(3);
    room.run("inspect gone.mp4").fails(3);
}

#[test]
fn the_list_of_models_says_what_is_here_and_what_it_can_run() {
    let room = Room::new();
    lightning(&room);
    fs::write(room.path("ComfyUI/models/broken.safetensors"), "x").unwrap();
    let run = room.run("inspect --list-models").good();
    for words in [
        "looked in\n",
        "ComfyUI/models\n",
        "(not there)",
        "vae/wan_2.1_vae.safetensors\n    the Wan 2.1 VAE, ",
        "broken.safetensors\n    problem: ",
        "a LoRA, ",
        "  wan22-vace-lightning                 ready ",
        "  wan21-vace-14b                       lacks the transformer ",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    let events = room.run("inspect --list-models --json").good().events();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!((of("weights").len(), of("problem").len()), (6, 1));
    let ready: Vec<_> = of("preset")
        .into_iter()
        .filter(|preset| preset["ready"] == true)
        .map(|preset| preset["name"].clone())
        .collect();
    let wanted = ["wan22-vace-lightning", "wan22-vace-lightning-4", "wan22-vace-lightning-8", "wan22-vace-fun"];
    assert_eq!(ready[..4], wanted);
    assert_eq!(of("preset")[0]["name"], "wan22-vace-lightning", "the order of auto");
    // The same by a list of folders, wherever they are.
    fs::rename(room.path("ComfyUI/models"), room.path("moved")).unwrap();
    let room = room.with("WANCTL_MODELS", "nowhere:moved");
    assert!(room.run("inspect --list-models").good().stdout.contains("wan22-vace-lightning                 ready"));
    room.run("inspect --list-models a.mp4").fails(2);
}
