//! Trees as other tools have them, and what is found in them by name.

use std::fs;

use super::*;

struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        path
    }

    fn around(&self) -> Surroundings {
        Surroundings {
            models: None,
            data: Some(self.at("data")),
            home: Some(self.at("home")),
            hub: Some(self.at("hub")),
        }
    }

    fn places(&self, named: &[PathBuf]) -> Places {
        Places::new(named, self.around())
    }
}

fn find(places: &Places, name: &str) -> Option<PathBuf> {
    places.find(Path::new(name)).map(Path::to_owned)
}

#[test]
fn every_place_is_looked_in_and_an_earlier_one_goes_first() {
    let room = Room::new();
    let folders =
        ["named", "listed", "data/wanctl/models", "home/ComfyUI/models/vae", "home/Wan2GP/ckpts", "home/Wan2GP/loras"];
    let listed = Surroundings { models: Some(room.at("listed").into()), ..room.around() };
    for from in 0..folders.len() {
        let room_files: Vec<PathBuf> =
            folders[from..].iter().map(|folder| room.file(&format!("{folder}/v{from}.safetensors"))).collect();
        let places = Places::new(&[room.at("named")], listed.clone());
        assert_eq!(find(&places, &format!("v{from}.safetensors")).unwrap(), room_files[0]);
    }
    let places = Places::new(&[room.at("named")], listed);
    assert_eq!(places.folders()[..3], [room.at("named"), room.at("listed"), room.at("data/wanctl/models")]);
    assert_eq!(places.folders().last().unwrap(), &room.at("hub"));
    assert_eq!(find(&places, "gone.safetensors"), None);
}

#[test]
fn the_hugging_face_cache_is_read_by_the_names_of_its_repositories() {
    let room = Room::new();
    let repository = "hub/models--Wan-AI--Wan2.1-VACE-1.3B-diffusers";
    let old = room.file(&format!("{repository}/snapshots/aaaa/vae/diffusion_pytorch_model.safetensors"));
    let name = "Wan-AI/Wan2.1-VACE-1.3B-diffusers/vae";
    assert_eq!(find(&room.places(&[]), name), old.parent().map(Path::to_owned));
    let new = room.file(&format!("{repository}/snapshots/bbbb/vae/diffusion_pytorch_model.safetensors"));
    fs::create_dir_all(room.at(&format!("{repository}/refs"))).unwrap();
    fs::write(room.at(&format!("{repository}/refs/main")), "bbbb\n").unwrap();
    assert_eq!(find(&room.places(&[]), name), new.parent().map(Path::to_owned), "that of main");
    assert_eq!(find(&room.places(&[]), "vae"), new.parent().map(Path::to_owned));
    let tokenizer = room.file("hub/models--google--umt5-xxl/snapshots/cccc/tokenizer.json");
    assert_eq!(find(&room.places(&[]), "google/umt5-xxl/tokenizer.json"), Some(tokenizer));
    // The files themselves are links to blobs without names.
    let blob = room.file("hub/models--o--r/blobs/0123");
    let link = room.at("hub/models--o--r/snapshots/dddd/lora.safetensors");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(blob, &link).unwrap();
    assert_eq!(find(&room.places(&[]), "lora.safetensors"), Some(link));
}

#[test]
fn a_repository_is_found_without_its_owner_and_not_without_its_files() {
    let room = Room::new();
    let file = room.file("named/Wan2.1-VACE-1.3B-diffusers/transformer/a.safetensors");
    fs::create_dir_all(room.at("named/Wan2.1-VACE-1.3B-diffusers/vae")).unwrap();
    let places = room.places(&[room.at("named")]);
    assert_eq!(find(&places, "Wan-AI/Wan2.1-VACE-1.3B-diffusers/transformer"), file.parent().map(Path::to_owned));
    assert_eq!(find(&places, "Wan-AI/Wan2.1-VACE-1.3B-diffusers/vae"), None, "it is empty");
    assert_eq!(find(&places, "elsewhere/transformer"), None);
}

#[test]
fn comfys_own_list_of_folders_is_followed() {
    let room = Room::new();
    let list = "# more\nmine:\n  base_path: ~nowhere/\n  vae: |\n    x\n\n    y/z\n  is_default: true\nempty:\nother:\n  base_path: BASE\n  loras: l\n";
    let base = room.at("elsewhere").display().to_string();
    fs::create_dir_all(room.at("home/ComfyUI")).unwrap();
    fs::write(room.at("home/ComfyUI/extra_model_paths.yaml"), list.replace("BASE", &base)).unwrap();
    let places = room.places(&[]);
    assert_eq!(places.problems, Vec::<String>::new());
    let folders = places.folders();
    for folder in ["home/ComfyUI/~nowhere/x", "home/ComfyUI/~nowhere/y/z", "elsewhere/l"] {
        assert!(folders.contains(&room.at(folder)), "{folder} in {folders:?}");
    }
    // Also where the user names the folder, or its `models`.
    for named in ["home/ComfyUI", "home/ComfyUI/models"] {
        let around = Surroundings::default();
        assert!(Places::new(&[room.at(named)], around).folders().contains(&room.at("elsewhere/l")), "{named}");
    }
    fs::write(room.at("home/ComfyUI/extra_model_paths.yaml"), "a: [").unwrap();
    let problems = room.places(&[]).problems;
    assert!(problems.len() == 1 && problems[0].contains("extra_model_paths.yaml is wrong"), "{problems:?}");
}

#[test]
fn comfys_list_is_read_as_windows_saves_it_and_names_with_accents_however_they_are_stored() {
    let (one, two) = ("caf\u{e9}", "cafe\u{301}");
    for (stored, written) in [(one, two), (two, one)] {
        let room = Room::new();
        let file = room.file(&format!("elsewhere/{stored}/{stored}.safetensors"));
        let list = format!(
            "\u{feff}mine:\r\n  base_path: {}\r\n  loras: |\r\n    {written}\r\n",
            room.at("elsewhere").display()
        );
        fs::create_dir_all(room.at("home/ComfyUI")).unwrap();
        let utf16: Vec<u8> = list.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in [list.as_bytes(), &utf16] {
            fs::write(room.at("home/ComfyUI/extra_model_paths.yaml"), text).unwrap();
            let places = room.places(&[]);
            assert_eq!(places.problems, Vec::<String>::new());
            assert_eq!(find(&places, &format!("{written}.safetensors")), Some(file.clone()));
        }
    }
}

#[test]
fn a_lora_whose_name_two_files_have_is_told() {
    let room = Room::new();
    let down = zeros("diffusion_model.blocks.0.self_attn.q.lora_down.weight", Stored::F16, &[4, 128]);
    let up = zeros("diffusion_model.blocks.0.self_attn.q.lora_up.weight", Stored::F16, &[128, 4]);
    let write = |name: &str| write(&room.at(&format!("named/{name}.safetensors")), &[down.clone(), up.clone()]);
    let one = write("caf\u{e9}");
    let lora = |name: &str| room.places(&[room.at("named")]).lora(Path::new(name));
    assert_eq!(lora("cafe\u{301}.safetensors").unwrap(), Some(one.clone()));
    assert_eq!(lora(&room.at("named/cafe\u{301}.safetensors").display().to_string()).unwrap(), Some(one.clone()));
    write("cafe\u{301}");
    let error = lora("caf\u{e9}.safetensors").unwrap_err();
    assert!(error.to_string().contains("2 files that differ only"), "{error}");
    assert_eq!(lora(one.to_str().unwrap()).unwrap(), Some(one));
}

#[test]
fn links_in_a_circle_and_hidden_folders_are_left() {
    let room = Room::new();
    room.file("named/.hidden/a.safetensors");
    let there = room.file("named/b/a.safetensors");
    std::os::unix::fs::symlink(room.at("named"), room.at("named/b/again")).unwrap();
    let places = room.places(&[room.at("named")]);
    assert_eq!(find(&places, "a.safetensors"), Some(there.clone()));
    assert_eq!(places.checkpoints(), [there]);
}

fn published(high: &[&str], low: &[&str]) -> Published {
    let files = |names: &[&str]| -> Vec<Files> {
        let one = |name: &&str| match name.split_once('+') {
            Some((base, module)) => Files::Together(vec![base.into(), module.into()]),
            None => Files::One(name.into()),
        };
        names.iter().map(one).collect()
    };
    let (vae, text, tokenizer) = (files(&["v.pth", "v.safetensors"]), files(&["t.pth"]), files(&["u/tokenizer.json"]));
    Published { high: files(high), low: files(low), vae, text, tokenizer, at: vec!["owner/model".into()] }
}

#[test]
fn the_first_name_that_is_here_is_taken_and_a_base_only_with_its_module() {
    let room = Room::new();
    for name in ["base.safetensors", "low.safetensors", "v.safetensors", "u/tokenizer.json"] {
        room.file(&format!("named/{name}"));
    }
    let locate = |published: &Published| room.places(&[room.at("named")]).locate(published);
    let wanted = published(&["whole.safetensors", "base.safetensors+module.safetensors"], &["low.safetensors"]);
    let located = locate(&wanted);
    let missing: Vec<_> = located.missing.iter().map(|(part, lacking)| (*part, lacking.names.clone())).collect();
    let names = ["whole.safetensors", "base.safetensors with module.safetensors"].map(str::to_owned).to_vec();
    assert_eq!(missing, [(Part::High, names), (Part::Text, vec!["t.pth".to_owned()])]);
    room.file("named/module.safetensors");
    let located = locate(&wanted);
    let found: Vec<_> =
        located.wanted.iter().map(|wanted| (wanted.role, wanted.path.file_name().unwrap().to_str().unwrap())).collect();
    let high = Some(Role::High);
    assert_eq!(
        found[..3],
        [(high, "base.safetensors"), (high, "module.safetensors"), (Some(Role::Low), "low.safetensors")]
    );
    // One transformer for all noise is no expert.
    assert_eq!(locate(&published(&["base.safetensors"], &[])).wanted[0].role, None);
}

#[test]
fn a_lora_is_found_by_path_or_name_and_must_be_one() {
    let room = Room::new();
    let down = zeros("diffusion_model.blocks.0.self_attn.q.lora_down.weight", Stored::F16, &[4, 128]);
    let up = zeros("diffusion_model.blocks.0.self_attn.q.lora_up.weight", Stored::F16, &[128, 4]);
    let path = write(&room.at("named/loras/a.safetensors"), &[down, up]);
    let vae = write(&room.at("named/vae.safetensors"), &ours(&ModelKind::Vae(small_vae(VaeGeneration::Wan21))));
    let lokr =
        write(&room.at("named/k.safetensors"), &[zeros("lora_unet_blocks_0_ffn_0.lokr_w1", Stored::F16, &[2, 2])]);
    let places = room.places(&[room.at("named")]);
    assert_eq!(places.lora(Path::new("a.safetensors")).unwrap(), Some(path.clone()));
    assert_eq!(places.lora(&path).unwrap(), Some(path));
    assert_eq!(places.lora(Path::new("b.safetensors")).unwrap(), None);
    assert!(places.lora(&vae).unwrap_err().to_string().ends_with("is the Wan 2.1 VAE, wanted a LoRA"));
    assert!(places.lora(&lokr).unwrap_err().to_string().contains("is a LoKr"));
}

#[test]
fn what_the_user_names_goes_before_what_was_located() {
    let room = Room::new();
    let base = ModelKind::Transformer(small_vace());
    let at = |name: &str| room.at(name);
    for name in ["high.safetensors", "low.safetensors", "mine.safetensors"] {
        write(&at(name), &originals(&base, ""));
    }
    write(&at("v.safetensors"), &originals(&ModelKind::Vae(small_vae(VaeGeneration::Wan21)), ""));
    write(&at("t.safetensors"), &ours(&ModelKind::TextEncoder(small_text())));
    room.file("u/tokenizer.json");
    let located = [("high=", "high"), ("low=", "low"), ("vae=", "v"), ("text=", "t")]
        .map(|(role, name)| format!("{role}{}", at(&format!("{name}.safetensors")).display()).parse().unwrap());
    let tokenizer: Wanted = format!("tokenizer={}", at("u").display()).parse().unwrap();
    let located: Vec<Wanted> = located.into_iter().chain([tokenizer]).collect();
    let find = |named: &[&str]| {
        let named: Vec<Wanted> =
            named.iter().map(|named| named.replace('@', room.0.path().to_str().unwrap()).parse().unwrap()).collect();
        ModelFiles::find_or(&named, &located).unwrap()
    };
    assert_eq!((find(&[]).high, find(&[]).low), (vec![at("high.safetensors")], vec![at("low.safetensors")]));
    let mine = find(&["high=@/mine.safetensors"]);
    assert_eq!((mine.high, mine.low), (vec![at("mine.safetensors")], vec![at("low.safetensors")]));
    let alone = find(&["@/mine.safetensors"]);
    assert_eq!((alone.high, alone.low), (vec![at("mine.safetensors")], vec![]));
}
