//! What each part of a Wan model's work takes of a device's memory, told before any of it begins.
//!
//! Weights are counted by the shapes that the models' headers give. What is computed beside them follows what
//! `src/engine/wan` holds at its peak; docs/performance.md has estimates beside measured ones. They are no promises: an
//! allocator keeps more than it is asked for, and other programs take their share.

use std::fs;

#[cfg(unix)]
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::pipeline::{
    job::{Dtype, Offload, Part, VaeTile},
    system::environment::HOST_MEMORY,
    types::{
        error::{ErrorCode, ErrorDetails, Reportable},
        video::Size,
    },
    weights::{Checkpoint, CheckpointError, ModelFiles, ModelKind},
};

/// How a seam is made, as far as memory goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Of the frames that the model makes.
    pub size: Size,
    pub frames: usize,
    /// Images that are shown beside them, each a latent of its own.
    pub references: usize,
    /// What the networks compute in; `auto` is a number of four bytes, as on the CPU.
    pub dtype: Dtype,
    /// The layers' weights in 8 bits.
    pub packed: bool,
    /// Numbers of LoRAs that are not merged into the weights.
    pub beside: u64,
    pub offload: Offload,
    /// Whether the device is a GPU, with memory of its own: the next layer is brought while one works.
    pub ahead: bool,
    pub rows: RowsAtOnce,
    pub vae_tile: VaeTile,
}

/// How many rows (patches of the latents) the transformer computes together where rows do not depend on each other. More
/// of them keep a GPU busier; the CPU gains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsAtOnce {
    /// All on a GPU where memory allows, else [`SLICE`].
    Auto,
    All,
    Slices,
}

/// What a part takes at its peak, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Need {
    pub part: Part,
    /// Where nothing is spared.
    pub whole: u64,
    /// Where all is spared that may be.
    pub least: u64,
}

/// Numbers of a model that are loaded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    text: u64,
    /// What the text encoder holds for each row of text.
    text_row: u64,
    vae: u64,
    vae_base: u64,
    pub(crate) transformer: Transformer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transformer {
    /// In the layers, which may be brought one by one, and in the largest of them.
    blocks: u64,
    block: u64,
    /// Beside them: what is computed in the run's numbers, and what always in f32.
    rest: u64,
    rest_f32: u64,
    pub(crate) dim: u64,
    ffn: u64,
    pub(crate) vace: bool,
}

/// Rows of a slice, see [`RowsAtOnce`].
pub const SLICE: u64 = 4096;
/// Numbers in a head of every Wan model's attention.
const HEAD_DIM: u64 = 128;
/// Of a text at its longest.
const ROWS: u64 = 512;
/// Of four bytes: the VAE is small, and what it loses no later step brings back.
const F32: u64 = 4;
/// What the process takes beside tensors on the CPU: libtorch's code, and scratch memory of its threads.
const PROCESS: u64 = 250_000_000;
/// What an allocator holds back and a device's own libraries take.
const MARGIN: f64 = 1.1;
/// The smallest tile that `auto` takes, in pixels.
pub const LEAST_TILE: u32 = 128;

impl Sizes {
    /// By the headers of the files.
    pub fn of(models: &ModelFiles) -> Result<Self, CheckpointError> {
        let what = |paths: &[_]| Checkpoint::open(paths)?.what();
        let vae = what(&models.vae)?;
        let vae_base = match &vae {
            ModelKind::Vae(facts) => facts.base_dim as u64,
            _ => 0,
        };
        let text = what(&models.text)?;
        let text_row = match &text {
            // The widest of a layer: what the gate and the other half make, the residual beside them, and what each word
            // is to each of the others.
            ModelKind::TextEncoder(facts) => (2 * facts.ff + 4 * facts.dim) as u64 + 3 * facts.heads as u64 * ROWS,
            _ => 0,
        };
        let facts = &models.transformer;
        Ok(Self {
            // One layer at a time is read, and of the table of all words only the rows of a prompt.
            text: numbers(&text, |name| name.starts_with("encoder.block.0.")),
            text_row,
            vae: numbers(&vae, |_| true),
            vae_base,
            transformer: Transformer::of(
                &ModelKind::Transformer(facts.clone()),
                facts.dim,
                facts.ffn,
                facts.vace.is_some(),
            ),
        })
    }

    /// What each part takes.
    pub fn needs(&self, work: &Work) -> Vec<Need> {
        let need = |part, whole: u64, least: u64| Need { part, whole, least };
        let text = self.text(work.dtype);
        let vae = |part| {
            let (whole, least) = self.vae(work, part);
            need(part, whole, least)
        };
        let (most, fewest) = match work.rows {
            RowsAtOnce::Auto if work.ahead && !work.packed => (RowsAtOnce::All, RowsAtOnce::Slices),
            RowsAtOnce::Auto => (RowsAtOnce::Slices, RowsAtOnce::Slices),
            chosen => (chosen, chosen),
        };
        let (stay, leave) = match work.offload {
            Offload::Auto => (Offload::None, Offload::Blocks),
            chosen => (chosen, chosen),
        };
        let denoise = need(Part::Denoise, self.denoise(work, stay, most), self.denoise(work, leave, fewest));
        let own = if work.ahead { 0 } else { PROCESS };
        let parts = [need(Part::Text, text, text), vae(Part::Encode), denoise, vae(Part::Decode)];
        parts.map(|Need { part, whole, least }| need(part, whole + own, least + own)).into()
    }

    /// [`RowsAtOnce::Auto`] on a device that has so many bytes, used or not: the same device computes the same rows together
    /// at any time. Layers that can all stay there come first.
    pub fn rows_at_once(&self, work: &Work, has: u64) -> RowsAtOnce {
        let fits = |offload, rows| self.denoise(work, offload, rows) <= has;
        match (work.rows, work.offload) {
            // Products in 8 bits hold what goes in in f32 as well.
            (RowsAtOnce::Auto, _) if !work.ahead || work.packed => RowsAtOnce::Slices,
            (RowsAtOnce::Auto, offload) => {
                let offload = match offload {
                    Offload::Auto if fits(Offload::None, RowsAtOnce::Slices) => Offload::None,
                    Offload::Auto => Offload::Blocks,
                    chosen => chosen,
                };
                if fits(offload, RowsAtOnce::All) { RowsAtOnce::All } else { RowsAtOnce::Slices }
            }
            (chosen, _) => chosen,
        }
    }

    /// What all layers of the transformer take.
    pub fn blocks(&self, work: &Work) -> u64 {
        self.transformer.blocks * if work.packed { 1 } else { bytes(work.dtype) }
    }

    fn text(&self, dtype: Dtype) -> u64 {
        margin(self.text * bytes(dtype) + ROWS * self.text_row * F32)
    }

    /// Whole, and with the smallest tiles that may be.
    fn vae(&self, work: &Work, part: Part) -> (u64, u64) {
        let pixels = u64::from(work.size.width) * u64::from(work.size.height);
        // Half of the network at a time.
        let of = |pixels: u64| self.vae / 2 * F32 + pixels * vae_bytes_per_pixel(self.vae_base, F32, part, work.ahead);
        let tile = |side: u32| of(pixels.min(u64::from(side) * u64::from(side)));
        match work.vae_tile {
            VaeTile::Off => (of(pixels), of(pixels)),
            VaeTile::Pixels(side) => (tile(side), tile(side)),
            VaeTile::Auto => (of(pixels), tile(LEAST_TILE)),
        }
    }

    fn denoise(&self, work: &Work, offload: Offload, rows: RowsAtOnce) -> u64 {
        let Transformer { blocks, block, rest, rest_f32, dim, ffn, vace } = self.transformer;
        let number = bytes(work.dtype);
        // Of the main layers and of VACE's, one each where the next one is brought ahead, and that one.
        let at_once = match work.ahead {
            true if vace => 4,
            true => 2,
            false => 1,
        };
        let here = if offload == Offload::Blocks { (block * at_once).min(blocks) } else { blocks };
        let weights = match work.packed {
            // One product at a time is widened.
            true => here + dim * ffn * number,
            false => here * number,
        };
        let weights = weights + (rest + work.beside) * number + rest_f32 * F32;

        let latents = (work.frames.div_ceil(4) + work.references) as u64;
        let patches = latents * u64::from(work.size.width / 16) * u64::from(work.size.height / 16);
        let rows = if rows == RowsAtOnce::All { patches } else { patches.min(SLICE) };
        let streams = if vace { 2 } else { 1 };
        // The residual stream in f32, and beside it VACE's with what it starts from.
        let residual = patches * dim * (streams * F32 + if vace { number } else { 0 });
        if work.ahead {
            // Where libtorch's allocator keeps a block for each, by what it reserved under scripts/check_cuda.py. A block is
            // used again for what fits into it: for slices of the feed-forward that is one of the queries.
            let rotation = patches * HEAD_DIM / 2 * 2 * F32;
            let qkv = 3 * patches * dim * number;
            // Norm, product, norm and rotation of the queries; for slices also the head, beside what attention gave.
            let project = rows * dim * (number + 3 * F32);
            let head = patches * dim * (F32 + number);
            // In 8 bits a product is f32, then scaled, then rounded.
            let (piece, feed) = match work.packed {
                true => (rows * ffn * F32, rows * ffn * (2 * F32 + number)),
                false => (rows * ffn * number, rows * ffn * number),
            };
            let largest = if rows == patches { patches * dim * F32 } else { patches * dim * number };
            let feed = if piece > largest { feed } else { 0 };
            let lora = if work.beside > 0 { rows * ffn * number } else { 0 };
            let head = if rows == patches { 0 } else { head };
            let computed = residual + rotation + qkv + project + head + feed;
            // Tensors of 1 to 10 MiB share blocks of 20 (libtorch 2.11, c10/cuda/CUDACachingAllocator.cpp), the rest of which
            // is lost: squares of a 1.3B model leave a tenth.
            let square = dim * dim * if work.packed { 1 } else { number };
            let held = if square < 10 << 20 { 112 } else { 102 };
            return percent(weights, held) + percent(computed + lora, 103);
        }
        // Queries, keys, values and what they see; norm, rotation and products of a slice.
        let attention = 4 * patches * dim * number + rows * dim * (4 * F32 + 2 * number);
        let feed = patches * dim * number + rows * (ffn * number + dim * (2 * F32 + 2 * number));
        weights + margin(residual + attention.max(feed))
    }
}

impl Transformer {
    fn of(what: &ModelKind, dim: usize, ffn: usize, vace: bool) -> Self {
        let in_block = |name: &str| name.starts_with("blocks.") || name.starts_with("vace_blocks.");
        // As `src/engine/wan/dit` reads them.
        let in_f32 = |name: &str| {
            ["patch_embedding", "vace_patch_embedding", "condition_embedder.time", "proj_out", "scale_shift_table"]
                .iter()
                .any(|place| name.starts_with(place))
        };
        let one = |prefix: &str| numbers(what, |name| name.starts_with(prefix));
        Self {
            blocks: numbers(what, in_block),
            block: one("blocks.0.").max(one("vace_blocks.0.")),
            rest: numbers(what, |name| !in_block(name) && !in_f32(name)),
            rest_f32: numbers(what, in_f32),
            dim: dim as u64,
            ffn: ffn as u64,
            vace,
        }
    }
}

/// Of the tensors that `of` takes.
fn numbers(what: &ModelKind, of: impl Fn(&str) -> bool) -> u64 {
    let tensors = what.tensors().unwrap_or_default();
    tensors.iter().filter(|(name, _)| of(name)).map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}

/// What encoding or decoding in chunks of one latent holds for each pixel of the picture, with numbers of so many bytes.
pub fn vae_bytes_per_pixel(base_dim: u64, number: u64, part: Part, gpu: bool) -> u64 {
    // On a GPU in pictures of `base_dim` channels, by what libtorch's allocator reserved at 832 x 480
    // (scripts/check_cuda.py); what cuDNN takes on the side is not in it.
    match part {
        Part::Encode if gpu => return 38 * base_dim * number,
        _ if gpu => return 62 * base_dim * number,
        _ => {}
    }
    // In pictures of `base_dim` channels. Two frames of what each convolution saw are remembered, level by level 14, 6,
    // 3 and 2 of them; the widest residual block holds its four frames, the same behind two earlier ones, and the four
    // that it makes.
    let pictures = (14 + 6 + 3 + 2) + 4 + (2 + 4) + 4;
    // A quarter for what libtorch's convolutions need on the side: what was measured at 416 x 240, and 4 % more.
    pictures * base_dim * number * 5 / 4
}

fn margin(bytes: u64) -> u64 {
    (bytes as f64 * MARGIN) as u64
}

fn percent(bytes: u64, percent: u64) -> u64 {
    bytes / 100 * percent
}

fn bytes(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::Auto | Dtype::F32 | Dtype::Fp8 => 4,
        Dtype::F16 | Dtype::Bf16 => 2,
    }
}

/// What cannot be done in a device's memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {} frames of {} takes at least {} of memory, and {device} has {}", doing(need.part), work.frames, work.size, giga(need.least), giga(*has))]
pub struct TooLittle {
    pub need: Need,
    pub work: Work,
    pub device: Box<str>,
    pub has: u64,
    /// Options with which it would fit, and what they take.
    pub instead: Vec<(String, u64)>,
}

/// Refuses work that cannot fit into `has` bytes of `device`.
pub fn refuse(sizes: &Sizes, work: &Work, device: &str, has: u64) -> Result<(), TooLittle> {
    let most = |work: &Work| sizes.needs(work).into_iter().max_by_key(|need| need.least).expect("there are parts");
    let need = most(work);
    if need.least <= has {
        return Ok(());
    }
    let blocks = Work { offload: Offload::Blocks, ..*work };
    let tiles = Work { vae_tile: VaeTile::Pixels(LEAST_TILE * 2), ..*work };
    let half = Work { dtype: Dtype::Bf16, ..*work };
    let packed = Work { packed: true, ..*work };
    let both = Work { dtype: Dtype::Bf16, ..blocks };
    let all = Work { vae_tile: tiles.vae_tile, ..both };
    let instead = [
        ("--offload blocks", blocks),
        ("--vae-tile 256", tiles),
        ("--dtype bf16", half),
        ("--dtype fp8", packed),
        ("--offload blocks --dtype bf16", both),
        ("--offload blocks --dtype bf16 --vae-tile 256", all),
    ];
    let fits = instead.iter().map(|(options, work)| ((*options).to_owned(), most(work).least));
    // The first are the ones that change least.
    let instead: Vec<_> = fits.filter(|(_, least)| *least <= has).take(2).collect();
    Err(TooLittle { need, work: *work, device: device.into(), has, instead })
}

impl Reportable for TooLittle {
    fn code(&self) -> ErrorCode {
        ErrorCode::Memory
    }

    fn details(&self) -> ErrorDetails {
        let fewer = "make fewer frames (--gap, --context) or smaller ones (--size)";
        let with: Vec<_> =
            self.instead.iter().map(|(options, takes)| format!("{options} takes {}", giga(*takes))).collect();
        let help = match with.is_empty() {
            true => fewer.to_owned(),
            false => format!("{}; or {fewer}", with.join("; ")),
        };
        ErrorDetails {
            wanted: Some(format!("{} of memory", giga(self.need.least))),
            found: Some(format!("{} on {}", giga(self.has), self.device)),
            help: Some(help),
            ..ErrorDetails::default()
        }
    }
}

fn doing(part: Part) -> &'static str {
    match part {
        Part::Text => "reading the prompt for",
        Part::Encode => "encoding",
        Part::Load | Part::Denoise => "denoising",
        Part::Decode => "decoding",
        Part::Motion | Part::Frames => "making",
    }
}

/// As people say it: 1 GB is a billion bytes.
pub fn giga(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// How much memory the host is said to have, in bytes: some virtual machines report little of it at first. The error says how
/// it is written.
pub fn host_override() -> Result<Option<u64>, String> {
    let Some(text) = HOST_MEMORY.get() else { return Ok(None) };
    let text = text.to_string_lossy();
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(Some(size.as_u64())),
        _ => Err(format!("{} is `{text}`, wanted a size such as 64GB or 32GiB", HOST_MEMORY.name)),
    }
}

/// All memory that a process of this machine may have, used or not; none where the machine does not say.
pub fn host() -> Option<u64> {
    if let Ok(Some(bytes)) = host_override() {
        return Some(bytes);
    }
    let machine = || {
        let facts = fs::read_to_string("/proc/meminfo").ok()?;
        let total = facts.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    // A container's own; a number, or `max`.
    let group = || fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?.trim().parse().ok();
    // `ulimit -v`, as batch systems set it.
    #[cfg(unix)]
    let limit = || getrlimit(Resource::As).current;
    #[cfg(not(unix))]
    let limit = || None;
    [machine(), group(), limit()].into_iter().flatten().min()
}

mod published;
#[cfg(test)]
mod tests;
