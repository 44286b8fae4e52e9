//! The two VAEs: the original names, and diffusers 0.42.1's (`autoencoder_kl_wan.py`).

use super::{Table, known, numbered, renamed};

const TOP: Table = &[("conv1.", "quant_conv."), ("conv2.", "post_quant_conv.")];

/// Below `encoder.` and `decoder.`.
const SIDE: Table = &[
    ("conv1.", "conv_in."),
    ("head.0.gamma", "norm_out.gamma"),
    ("head.2.", "conv_out."),
    ("middle.1.", "mid_block.attentions.0."),
];

/// Below a residual block.
const BLOCK: Table = &[
    ("residual.0.gamma", "norm1.gamma"),
    ("residual.2.", "conv1."),
    ("residual.3.gamma", "norm2.gamma"),
    ("residual.6.", "conv2."),
    ("shortcut.", "conv_shortcut."),
];

/// Wan 2.1 counts all steps of its decoder in one row: three residual blocks and what enlarges, again and again.
const STEPS: usize = 4;

pub(super) fn canonical(name: &str) -> String {
    let side = ["encoder.", "decoder."].into_iter().find_map(|side| Some((side, name.strip_prefix(side)?)));
    match side {
        Some((side, rest)) => format!("{side}{}", below_side(rest).unwrap_or_else(|| rest.to_owned())),
        None => renamed(TOP, name).unwrap_or_else(|| name.to_owned()),
    }
}

fn below_side(name: &str) -> Option<String> {
    if let Some(name) = renamed(SIDE, name) {
        return Some(name);
    }
    if let Some((number, rest)) = name.strip_prefix("middle.").and_then(numbered) {
        let resnet = match number {
            "0" => 0,
            "2" => 1,
            _ => return None,
        };
        return Some(format!("mid_block.resnets.{resnet}.{}", block(rest)));
    }
    if let Some((level, rest)) = name.strip_prefix("downsamples.").and_then(numbered) {
        return Some(match rest.strip_prefix("downsamples.").and_then(numbered) {
            Some((_, rest)) if resamples(rest) => format!("down_blocks.{level}.downsampler.{rest}"),
            Some((step, rest)) => format!("down_blocks.{level}.resnets.{step}.{}", block(rest)),
            None => format!("down_blocks.{level}.{}", block(rest)),
        });
    }
    let (level, rest) = name.strip_prefix("upsamples.").and_then(numbered)?;
    Some(match rest.strip_prefix("upsamples.").and_then(numbered) {
        Some((_, rest)) if resamples(rest) => format!("up_blocks.{level}.upsampler.{rest}"),
        Some((step, rest)) => format!("up_blocks.{level}.resnets.{step}.{}", block(rest)),
        None => {
            let step: usize = level.parse().ok()?;
            let (level, step) = (step / STEPS, step % STEPS);
            match step + 1 {
                STEPS => format!("up_blocks.{level}.upsamplers.0.{rest}"),
                _ => format!("up_blocks.{level}.resnets.{step}.{}", block(rest)),
            }
        }
    })
}

fn block(name: &str) -> String {
    renamed(BLOCK, name).unwrap_or_else(|| name.to_owned())
}

fn resamples(name: &str) -> bool {
    name.starts_with("resample.") || name.starts_with("time_conv.")
}

/// Of a name that is ours. Other VAEs share most words, but norms with a gamma only Wan's have.
pub(super) fn knows(name: &str) -> bool {
    let side = name.strip_prefix("encoder.").or_else(|| name.strip_prefix("decoder."));
    let below = |rest: &str| {
        ["conv_in.", "conv_out.", "mid_block.", "norm_out.gamma"].iter().any(|start| rest.starts_with(start))
            || rest.starts_with("down_blocks.")
            || rest.starts_with("up_blocks.")
    };
    known(TOP, name) || side.is_some_and(below)
}
