//! Files that are no checkpoint of Wan: what they are instead, so that a message can say it.

pub(super) enum Container {
    /// What `torch.save` writes, or any other zip archive.
    Zip,
    /// Nothing that wanctl reads; `problem` goes on after the file's name.
    Other { problem: &'static str, help: &'static str },
}

/// By a file's first bytes; `None` may be safetensors.
pub(super) fn container(bytes: &[u8]) -> Option<Container> {
    /// The number that torch put in front of its files before they were archives.
    const OLD_TORCH: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    const BRING: &str = "bring the file itself";
    const SAVE: &str = "save it with a torch of this decade, or bring the model as .safetensors";
    let others: [(&[u8], &str, &str); 6] = [
        (b"GGUF", "is a GGUF file, which wanctl cannot read", "use the bf16 or fp8 .safetensors of this model"),
        (b"version https://git-lfs", "is only a note of Git LFS, not the file", "fetch it with `git lfs pull`"),
        (b"<", "is a web page, not a checkpoint", BRING),
        (b"{", "is JSON, not a checkpoint", "name the weights; an index ends with .safetensors.index.json"),
        (OLD_TORCH, "is of torch's old format, from before 2020", SAVE),
        (b"\x80", "is a bare pickle, not what torch.save writes", SAVE),
    ];
    if bytes.starts_with(b"PK") {
        return Some(Container::Zip);
    }
    let mut others = others.into_iter();
    // A short header's length can begin with any byte, but then its JSON follows.
    let safetensors = bytes.get(8) == Some(&b'{') && bytes.get(6..8) == Some(&[0, 0]);
    others
        .find(|(start, ..)| bytes.starts_with(start) && !safetensors)
        .map(|(_, problem, help)| Container::Other { problem, help })
}

/// Models that people have on the same disk, by a part of a name that no other has.
const OTHERS: &[(&str, &str)] = &[
    ("double_blocks.0.img_attn", "a transformer of Flux or HunyuanVideo"),
    ("double_blocks.0.img_mod", "a transformer of Flux or HunyuanVideo"),
    ("single_transformer_blocks.0.", "a transformer of Flux or HunyuanVideo"),
    ("transformer_blocks.0.img_mod", "a transformer of Qwen-Image"),
    ("patchify_proj.", "a transformer of LTX-Video"),
    ("transformer_blocks.0.norm1.linear.", "a transformer of CogVideoX or Stable Diffusion 3"),
    ("joint_blocks.0.", "a transformer of Stable Diffusion 3"),
    ("input_blocks.0.0.", "a UNet of Stable Diffusion"),
    ("down_blocks.0.attentions.0.transformer_blocks", "a UNet of Stable Diffusion"),
    ("down_blocks.0.resnets.0.time_emb_proj", "a UNet of Stable Diffusion"),
    ("decoder.up.0.block.0.", "a VAE of Stable Diffusion or Flux"),
    ("encoder.conv_norm_out.", "a VAE of Stable Diffusion or Flux"),
    ("text_model.encoder.layers.0.", "the text half of CLIP"),
    ("encoder.block.0.layer.0.SelfAttention.", "a T5 encoder, not umT5"),
    ("model.layers.0.self_attn.", "a language model"),
    ("model.embed_tokens.", "a language model"),
    ("block0.conv0.", "a RIFE network"),
    ("control_model.", "a ControlNet"),
    ("controlnet_blocks.0.", "a ControlNet"),
];

pub(super) fn architecture<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let found = |part: &str| names.clone().any(|name| name.contains(part));
    OTHERS.iter().find(|(part, _)| found(part)).map(|(_, what)| *what)
}
