//! The VAE against diffusers (`tests/fixtures/wan/make.py`), and what must hold by itself.

use std::{collections::HashMap, fs};

use tch::Device;

use super::*;

/// Of the deviation of the reference. Sums of other blocks and threads differ by a few 1e-6; a wrong pad, frame or order
/// moves numbers by more than 1e-2.
const PARITY: f64 = 5e-5;
/// Between two ways that are the same on paper, not in deviations: pixels of the reference in f32 are 5.3e-6 from its own
/// in f64, since a norm over the three channels of this small net makes rounding large.
const ROUNDING: f64 = 1e-5;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan");
const BASE: i64 = 3;

struct Fixture {
    weights: Weights,
    tensors: HashMap<String, Tensor>,
}

impl Fixture {
    fn open() -> Self {
        Self::of_kind(Kind::Float)
    }

    fn of_kind(kind: Kind) -> Self {
        // Tests run side by side, and two threads that wait for each other at every small step would crawl.
        tch::set_num_threads(1);
        let bytes = fs::read(format!("{FIXTURES}/tiny/vae/diffusion_pytorch_model.safetensors")).unwrap();
        let weights = Weights::embedded("vae.safetensors", bytes.leak(), Device::Cpu, kind).unwrap();
        let tensors = Tensor::read_safetensors(format!("{FIXTURES}/vae.safetensors")).unwrap().into_iter().collect();
        Self { weights, tensors }
    }

    fn get(&self, name: &str) -> Tensor {
        self.tensors[name].to_kind(Kind::Float)
    }

    fn encoder(&self) -> Encoder {
        Encoder::load(&self.weights, &config()).unwrap()
    }

    fn decoder(&self) -> Decoder {
        Decoder::load(&self.weights, &config()).unwrap()
    }
}

fn config() -> Config {
    Config { base_dim: BASE, ..Config::default() }
}

fn encode(encoder: &Encoder, video: &Tensor, way: Way) -> Tensor {
    encoder.encode(video, &way, None, &mut |_, _| {}).unwrap()
}

/// The chunks as they were emitted.
fn decode(decoder: &Decoder, latents: &Tensor, way: Way) -> Vec<Tensor> {
    let mut chunks = vec![];
    decoder.decode(latents, &way, &mut |_, _| {}, &mut |chunk| chunks.push(chunk)).unwrap();
    chunks
}

fn chunks_of(chunk: i64) -> Way {
    Way { chunk, tiles: None }
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    assert_eq!((a.kind(), b.kind()), (Kind::Float, Kind::Float));
    (a - b).abs().max().double_value(&[])
}

/// In deviations of the reference.
fn off(found: &Tensor, reference: &Tensor) -> f64 {
    let off = largest_difference(found, reference) / reference.std(false).double_value(&[]);
    println!("off by {off:.1e}");
    off
}

fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && a.eq_tensor(b).all().int64_value(&[]) == 1
}

#[test]
fn latents_are_those_of_the_reference() {
    let fixture = Fixture::open();
    let (encoder, video) = (fixture.encoder(), fixture.get("in.video"));
    assert!(off(&encode(&encoder, &video, Way::default()), &fixture.get("out.encoded")) < PARITY);
    let one = encode(&encoder, &video.narrow(2, 0, 1), Way::default());
    assert!(off(&one, &fixture.get("out.encoded_one")) < PARITY);
}

#[test]
fn pixels_are_those_of_the_reference() {
    let fixture = Fixture::open();
    let (decoder, latents) = (fixture.decoder(), fixture.get("in.latent"));
    let chunks = decode(&decoder, &latents, Way::default());
    assert_eq!(chunks.iter().map(|chunk| chunk.size()[2]).collect::<Vec<_>>(), [1, 4, 4, 4]);
    assert!(off(&Tensor::cat(&chunks, 2), &fixture.get("out.decoded")) < PARITY);
    let one = decode(&decoder, &latents.narrow(2, 0, 1), Way::default());
    assert!(off(&Tensor::cat(&one, 2), &fixture.get("out.decoded_one")) < PARITY);
}

#[test]
fn tiles_are_those_of_the_reference() {
    let fixture = Fixture::open();
    // Pieces that end early on both sides, as `make.py` has them: 24 pixels, 16 from one to the next.
    let way = Way { chunk: 1, tiles: Some(Tiles { side: 3, stride: 2 }) };
    let latents = encode(&fixture.encoder(), &fixture.get("in.video").narrow(2, 0, 5), way);
    assert!(off(&latents, &fixture.get("out.encoded_tiled")) < PARITY);
    let chunks = decode(&fixture.decoder(), &fixture.get("in.latent").narrow(2, 0, 2), way);
    assert_eq!(chunks.iter().map(|chunk| chunk.size()[2]).collect::<Vec<_>>(), [1, 4]);
    assert!(off(&Tensor::cat(&chunks, 2), &fixture.get("out.decoded_tiled")) < PARITY);
}

#[test]
fn tiles_as_large_as_the_picture_are_no_tiles() {
    let fixture = Fixture::open();
    let (encoder, video) = (fixture.encoder(), fixture.get("in.video").narrow(2, 0, 5));
    let tiled = encode(&encoder, &video, Way { chunk: 1, tiles: Tiles::new(32) });
    assert!(same_bits(&tiled, &encode(&encoder, &video, Way::default())));
    assert_eq!(Tiles::new(256), Some(Tiles { side: 32, stride: 24 }));
    assert_eq!((Tiles::new(0), Tiles::new(-32), Tiles::new(100)), (None, None, None));
}

#[test]
fn the_length_of_a_chunk_only_rounds() {
    let fixture = Fixture::open();
    let (encoder, decoder) = (fixture.encoder(), fixture.decoder());
    let (video, latents) = (fixture.get("in.video"), fixture.get("in.latent"));
    let encoded = encode(&encoder, &video, chunks_of(100));
    let decoded = Tensor::cat(&decode(&decoder, &latents, chunks_of(100)), 2);
    for chunk in 1..4 {
        assert!(largest_difference(&encode(&encoder, &video, chunks_of(chunk)), &encoded) < ROUNDING);
        let pixels = Tensor::cat(&decode(&decoder, &latents, chunks_of(chunk)), 2);
        assert!(largest_difference(&pixels, &decoded) < ROUNDING);
    }
}

#[test]
fn a_constant_beginning_is_encoded_once_and_changes_no_bit() {
    let fixture = Fixture::open();
    let encoder = fixture.encoder();
    for (way, cases) in [
        // Grey frames at the beginning, and how many chunks come from an earlier video. A shorter beginning takes the
        // place of a longer one, and serves both.
        (Way::default(), vec![(13, 0), (13, 4), (8, 0), (9, 2), (13, 2), (6, 2), (0, 0), (1, 0), (8, 1)]),
        (chunks_of(2), vec![(10, 0), (12, 2), (13, 2), (8, 0), (10, 1), (0, 0)]),
        (Way { chunk: 1, tiles: Some(Tiles { side: 2, stride: 1 }) }, vec![(9, 0), (9, 3), (13, 3), (5, 0)]),
    ] {
        let mut prefix = Prefix::default();
        for (grey, known) in cases {
            let video = fixture.get("in.video").copy();
            let _ = video.narrow(2, 0, grey).zero_();
            let mut steps = vec![];
            let found = encoder.encode(&video, &way, Some(&mut prefix), &mut |done, _| steps.push(done)).unwrap();
            assert!(same_bits(&found, &encode(&encoder, &video, way)), "{grey} grey frames");
            assert_eq!(steps[0], known, "{grey} grey frames");
        }
    }
}

#[test]
fn a_beginning_of_another_colour_or_size_or_in_other_chunks_is_another() {
    let fixture = Fixture::open();
    let encoder = fixture.encoder();
    let mut prefix = Prefix::default();
    let grey = fixture.get("in.video").zeros_like();
    let half = grey.narrow(3, 0, 16).narrow(4, 0, 24);
    for (video, chunk) in [(&grey, 1), (&(&grey + 1.0), 1), (&half, 1), (&half.transpose(3, 4), 1), (&grey, 2)] {
        let found = encoder.encode(video, &chunks_of(chunk), Some(&mut prefix), &mut |_, _| {}).unwrap();
        assert!(same_bits(&found, &encode(&encoder, video, chunks_of(chunk))));
    }
}

#[test]
fn memory_decides_on_tiles() {
    let on =
        |bytes, height, width, gpu| Way::within(bytes, &Config::default(), Kind::Float, [height, width], gpu).tiles;
    let within = |bytes, height, width| on(bytes, height, width, false);
    assert_eq!(on(10 << 30, 480, 832, true), None);
    assert_eq!(on(17 << 29, 480, 832, true), Tiles::new(608), "libtorch's allocator on a GPU keeps more");
    assert_eq!(within(32 << 30, 720, 1280), None);
    assert_eq!(within(8 << 30, 480, 832), None);
    assert_eq!(within(8 << 30, 720, 1280), Tiles::new(672));
    assert_eq!(within(0, 720, 1280), Tiles::new(Tiles::LEAST));
}

#[test]
fn progress_counts_the_chunks_of_all_tiles() {
    let fixture = Fixture::open();
    let way = Way { chunk: 2, tiles: Some(Tiles { side: 3, stride: 2 }) };
    let mut steps = vec![];
    let video = fixture.get("in.video");
    let _ = fixture.encoder().encode(&video, &way, None, &mut |done, of| steps.push((done, of))).unwrap();
    // Two by two tiles, three chunks each, and what is known beforehand of each tile.
    assert_eq!((steps.len(), steps[0], steps[15]), (16, (0, 12), (12, 12)));
    let mut steps = vec![];
    let latents = fixture.get("in.latent");
    fixture.decoder().decode(&latents, &way, &mut |done, of| steps.push((done, of)), &mut |_| {}).unwrap();
    assert_eq!(steps, (1..=12).map(|done| (done, 12)).collect::<Vec<_>>());
}

#[test]
fn each_half_reads_its_weights_and_no_others() {
    let fixture = Fixture::open();
    fixture.encoder();
    let left = fixture.weights.left_over();
    let half = |name: &String| name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
    assert!(!left.is_empty() && left.iter().all(half), "{left:?}");
    fixture.decoder();
    assert_eq!(fixture.weights.left_over(), [""; 0]);
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let fixture = Fixture::open();
    let wider = Config { base_dim: 4, ..Config::default() };
    assert_eq!(
        Encoder::load(&fixture.weights, &wider).unwrap_err().to_string(),
        "tensor `encoder.conv_in.weight` in vae.safetensors has shape [3, 3, 3, 3, 3], expected [4, 3, 3, 3, 3]"
    );
    assert_eq!(
        Decoder::load(&(&fixture.weights / "encoder"), &config()).unwrap_err().to_string(),
        "tensor `encoder.decoder.conv_in.weight` is missing from vae.safetensors"
    );
}

#[test]
fn numbers_that_are_not_finite_are_told_with_their_frame() {
    let fixture = Fixture::open();
    let video = fixture.get("in.video").copy();
    let _ = video.narrow(2, 5, 1).fill_(f64::NAN);
    let error = fixture.encoder().encode(&video, &chunks_of(3), None, &mut |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "encoding gave numbers that are not finite in frame 2");

    let latents = fixture.get("in.latent").copy();
    let _ = latents.narrow(2, 2, 1).fill_(f64::INFINITY);
    let mut emitted = 0;
    let mut emit = |chunk: Tensor| emitted += chunk.size()[2];
    let error = fixture.decoder().decode(&latents, &chunks_of(1), &mut |_, _| {}, &mut emit).unwrap_err();
    assert_eq!(error.to_string(), "decoding gave numbers that are not finite in frame 5");
    assert_eq!(emitted, 5);
}

#[test]
fn sixteen_bits_are_as_good_as_the_reference_in_sixteen_bits() {
    let fixture = Fixture::of_kind(Kind::BFloat16);
    let relative = |found: &Tensor, reference: &Tensor| {
        let off = (found - reference).norm().double_value(&[]) / reference.norm().double_value(&[]);
        println!("off by {off:.1e}");
        off
    };
    // diffusers in bf16 is off from itself in f32 by 7.5e-3 and 3.0e-2.
    let latents = encode(&fixture.encoder(), &fixture.get("in.video"), Way::default());
    assert!(relative(&latents, &fixture.get("out.encoded")) < 1.5e-2);
    let pixels = Tensor::cat(&decode(&fixture.decoder(), &fixture.get("in.latent"), Way::default()), 2);
    assert!(relative(&pixels, &fixture.get("out.decoded")) < 5e-2);
}
