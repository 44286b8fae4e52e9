//! Estimates beside what is known of published models, and what must hold of any.

use super::*;
use crate::pipeline::weights;

/// The numbers of a published 14B model, with VACE.
fn large() -> Sizes {
    named("wan2.1_vace_14B_fp16.safetensors").unwrap()
}

fn named(file: &str) -> Option<Sizes> {
    let high = vec![weights::Files::One(file.into())];
    Sizes::by_name(&weights::Published { high, ..Default::default() })
}

const WORK: Work = Work {
    size: Size { width: 832, height: 480 },
    frames: 81,
    references: 0,
    dtype: Dtype::Bf16,
    packed: false,
    beside: 0,
    offload: Offload::Auto,
    ahead: true,
    rows: RowsAtOnce::Auto,
    vae_tile: VaeTile::Auto,
};

fn denoise(work: &Work) -> Need {
    large().needs(work).into_iter().find(|need| need.part == Part::Denoise).unwrap()
}

/// 34.7 GB of weights; the rest by what libtorch's allocator reserved for such sizes (scripts/check_cuda.py).
#[test]
fn a_published_model_takes_what_the_reference_says() {
    let Need { whole, least, .. } = denoise(&WORK);
    assert!((40.0e9..43.0e9).contains(&(whole as f64)), "{whole}");
    let slices = denoise(&Work { rows: RowsAtOnce::Slices, ..WORK }).whole;
    assert!((38.0e9..40.5e9).contains(&(slices as f64)), "{slices}");
    // Two of 40 layers and two of VACE's, and what is computed; without the next ones on their way, one.
    assert!((6.5e9..9.0e9).contains(&(least as f64)), "{least}");
    let one = denoise(&Work { ahead: false, ..WORK }).least;
    assert!((3.5e9..6.5e9).contains(&(one as f64)), "{one}");
}

/// 17.6 GB in 8 bits, where products are of slices.
#[test]
fn weights_in_8_bits_take_half() {
    let slices = Work { rows: RowsAtOnce::Slices, ..WORK };
    let (whole, packed) = (denoise(&slices).whole, denoise(&Work { packed: true, ..WORK }).whole);
    assert_eq!(packed, denoise(&Work { packed: true, ..slices }).whole);
    assert!((16.5e9..18.5e9).contains(&((whole - packed) as f64)), "{whole} {packed}");
}

#[test]
fn more_frames_larger_pictures_and_longer_numbers_take_more() {
    for work in [
        Work { frames: 85, ..WORK },
        Work { references: 1, ..WORK },
        Work { size: Size { width: 848, height: 480 }, ..WORK },
        Work { dtype: Dtype::F32, ..WORK },
        Work { beside: 1 << 20, ..WORK },
    ] {
        for (more, less) in large().needs(&work).iter().zip(large().needs(&WORK)) {
            assert!(more.whole >= less.whole && more.least >= less.least, "{work:?}: {more:?} {less:?}");
        }
        assert!(denoise(&work).whole > denoise(&WORK).whole, "{work:?}");
    }
}

#[test]
fn the_least_is_never_more_than_the_whole_and_both_are_what_was_asked() {
    for offload in [Offload::Auto, Offload::None, Offload::Blocks] {
        for vae_tile in [VaeTile::Auto, VaeTile::Off, VaeTile::Pixels(256)] {
            for need in large().needs(&Work { offload, vae_tile, rows: RowsAtOnce::Slices, ..WORK }) {
                assert!(need.least <= need.whole, "{need:?}");
                let chosen = match need.part {
                    Part::Denoise => offload != Offload::Auto,
                    Part::Encode | Part::Decode => vae_tile != VaeTile::Auto,
                    _ => true,
                };
                assert!(!chosen || need.least == need.whole, "{need:?} {offload} {vae_tile:?}");
            }
        }
    }
}

#[test]
fn what_cannot_fit_is_refused_with_what_would() {
    let error = refuse(&large(), &Work { offload: Offload::None, ..WORK }, "cuda:0", 24_000_000_000).unwrap_err();
    assert!(error.to_string().starts_with("denoising 81 frames of 832x480 takes at least 3"), "{error}");
    assert!(error.to_string().ends_with("GB of memory, and cuda:0 has 24.0 GB"), "{error}");
    let ErrorDetails { help: Some(help), .. } = error.details() else { panic!("no help") };
    assert!(help.starts_with("--offload blocks takes "), "{help}");
    assert_eq!(error.code(), ErrorCode::Memory);
    assert_eq!(refuse(&large(), &WORK, "cuda:0", 24_000_000_000), Ok(()));

    let error = refuse(&large(), &WORK, "cpu", 2_000_000_000).unwrap_err();
    assert_eq!(error.instead, []);
    assert!(error.details().help.unwrap().starts_with("make fewer frames"), "{error}");
}

/// Headers as published, on files that are nothing but holes.
fn model(folder: &std::path::Path) -> ModelFiles {
    use std::{collections::BTreeMap, io::Write};
    let transformer = weights::Transformer {
        dim: 5120,
        heads: 40,
        head_dim: 128,
        layers: 40,
        ffn: 13824,
        in_channels: 36,
        out_channels: 16,
        text_dim: 4096,
        freq_dim: 256,
        vace: None,
        image: None,
    };
    let vae = weights::Vae {
        generation: weights::VaeGeneration::Wan21,
        base_dim: 96,
        decoder_base_dim: 96,
        z_dim: 16,
        channels: 3,
        mean: None,
        std: None,
    };
    let text =
        weights::TextEncoder { vocab: 256_384, dim: 4096, d_kv: 64, heads: 64, ff: 10_240, layers: 24, buckets: 32 };
    for (name, what) in [
        ("high_noise.safetensors", ModelKind::Transformer(transformer.clone())),
        ("low_noise.safetensors", ModelKind::Transformer(transformer)),
        ("vae.safetensors", ModelKind::Vae(vae)),
        ("umt5.safetensors", ModelKind::TextEncoder(text)),
    ] {
        let mut end = 0;
        let entry = |(name, shape): (String, Vec<usize>)| {
            let start = end;
            end += 2 * shape.iter().product::<usize>();
            (name, serde_json::json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}))
        };
        let header: BTreeMap<_, _> = what.tensors().unwrap().into_iter().map(entry).collect();
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = fs::File::create(folder.join(name)).unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&header).unwrap();
        file.set_len((8 + header.len() + end) as u64).unwrap();
    }
    fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    ModelFiles::find(&[folder.display().to_string().parse().unwrap()]).unwrap()
}

#[test]
fn headers_of_published_size_tell_what_does_not_fit_into_a_card_of_24_gb() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = Sizes::of(&model(folder.path())).unwrap();
    let needs: Vec<_> = sizes
        .needs(&WORK)
        .iter()
        .map(|need| (need.part, need.whole / 1_000_000_000, need.least / 1_000_000_000))
        .collect();
    // An expert of 28.6 GB, and of an encoder of 11.4 GB one layer of 24.
    assert_eq!(needs, [(Part::Text, 0, 0), (Part::Encode, 6, 0), (Part::Denoise, 34, 5), (Part::Decode, 9, 0)]);
    let error = refuse(&sizes, &Work { offload: Offload::None, ..WORK }, "cuda:0", 24_000_000_000).unwrap_err();
    assert_eq!((error.need.part, error.instead[0].0.as_str()), (Part::Denoise, "--offload blocks"));
    assert_eq!(refuse(&sizes, &WORK, "cuda:0", 24_000_000_000), Ok(()));
}

#[test]
fn this_machine_has_some_memory() {
    assert!(host().is_none_or(|bytes| bytes > 1 << 20));
}

/// Headers of published shape: an expert of I2V-A14B, the VAE, umT5-XXL.
#[test]
fn names_and_headers_of_a_published_model_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let named = named("wan2.2_i2v_high_noise_14B_fp16.safetensors").unwrap();
    let read = Sizes::of(&model(folder.path())).unwrap();
    assert_eq!((named.transformer, named.text_row, named.vae_base), (read.transformer, read.text_row, read.vae_base));
    // Rounded to three digits.
    for (named, read) in [(named.text, read.text), (named.vae, read.vae)] {
        assert!(named.abs_diff(read) * 200 < read, "{named} {read}");
    }
}
