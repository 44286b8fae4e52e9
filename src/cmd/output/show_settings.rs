//! Settings, presets and weights as text for people: every value beside who said it.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use wanctl::pipeline::{
    inspect::Memory,
    job::{
        Dtype,
        memory::{Need, Sizes, Work, giga},
        schedule::Step,
    },
    options::{Generation, Kind, Lora, Part, Preset, ResolvedOptions, Sampling},
    weights::{Lacking, name as weights},
};

/// What the work takes of memory, where the numbers are chosen by the device: on a GPU and on the CPU.
pub(crate) fn memory(sizes: &Sizes, work: &Work) -> String {
    let on = |place: &str, dtype: Dtype, ahead: bool| {
        let needs = sizes.needs(&Work { dtype, ahead, ..*work });
        let most = |of: fn(&Need) -> u64| giga(needs.iter().map(of).max().unwrap_or(0));
        let (whole, least) = (most(|need| need.whole), most(|need| need.least));
        match whole == least {
            true => format!("{whole}{place}"),
            false => format!("{whole}{place}, at least {least}"),
        }
    };
    let lines = match work.dtype {
        Dtype::Auto => vec![on(" on a GPU (bf16)", Dtype::Bf16, true), on(" on the CPU (f32)", Dtype::F32, false)],
        dtype => vec![on("", dtype, true)],
    };
    format!("about {}", lines.join("; "))
}

/// The same of what is inspected.
pub(crate) fn memory_of(Memory { sizes, work, sure, .. }: &Memory) -> String {
    let by = if *sure { "" } else { ", for a model of its name: the weights are not here" };
    format!("{}{by}", memory(sizes, work))
}

/// A line for each source, the built-in one last.
pub(crate) fn by_source(values: Vec<(String, String, String)>) -> Vec<String> {
    let mut sources: Vec<&str> = vec![];
    for (_, _, from) in &values {
        if !sources.contains(&from.as_str()) {
            sources.push(from);
        }
    }
    // The built-in ones are the longest and least interesting.
    sources.sort_by_key(|from| *from == "built-in");
    let line = |from: &str| {
        let of_it = values.iter().filter(|value| value.2 == from).map(|(name, value, _)| format!("{name} {value}"));
        format!("{from}: {}", of_it.collect::<Vec<_>>().join(", "))
    };
    let lines = sources.iter().enumerate().map(|(number, from)| {
        let head = if number == 0 { "settings" } else { "" };
        format!("{head:<8} {}", line(from))
    });
    lines.collect()
}

/// Everything that was resolved, as lines of text.
pub(crate) fn lines(options: &ResolvedOptions) -> Vec<String> {
    by_source(resolved(options))
}

/// Name, value and source of every option, those of the model among them.
pub(crate) fn resolved(options: &ResolvedOptions) -> Vec<(String, String, String)> {
    let mut values = match &options.kind {
        // What a join is asked says nothing of pieces that are there already.
        Kind::Stitch(_) => vec![],
        Kind::Join(_) | Kind::Travel(_) => sourced(options),
    };
    values.sort_by_key(|(name, _, _)| name != "engine");
    values.extend(options.generation().into_iter().flat_map(sourced));
    values
}

/// Name, value and source of everything that has a source.
pub(crate) fn sourced(settings: &impl Serialize) -> Vec<(String, String, String)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(settings) else { return vec![] };
    let value = |(name, field): (String, Value)| {
        let from = field.get("from")?.as_str()?.to_owned();
        let text = match (name.as_str(), field.get("value")?) {
            // The table of steps has them.
            ("phases" | "guidance" | "loras" | "ranges" | "structure_use", Value::Array(list)) if list.is_empty() => {
                return None;
            }
            // What nobody asked for goes without saying.
            (
                "strength" | "desaturate" | "brightness" | "later" | "curve" | "treatment" | "structure_use"
                | "lengths",
                _,
            ) if from == "built-in" => {
                return None;
            }
            ("frames" | "overlap", Value::Array(list)) if list.iter().all(|other| *other == list[0]) => {
                text(list.first()?)
            }
            ("frames" | "overlap" | "seeds", list) => each(list, " ", text),
            ("negative_prompts", list) => each(list, " / ", Value::to_string),
            ("later", tone) => format!("saturation {} brightness {}", tone["saturation"], tone["brightness"]),
            ("curve", Value::Object(curve)) => format!("sharpened by {}", curve["sharpened"]),
            ("structure_use", list) => format!("over {} stretches of the film", list.as_array().map_or(0, Vec::len)),
            ("phases", phases) => each(phases, "+", |phase| format!("{} {}", phase["steps"], text(&phase["expert"]))),
            ("loras", loras) => each(loras, ", ", |lora| {
                format!("{} {}", weights(Path::new(&text(&lora["file"]))), text(&lora["weights"]))
            }),
            ("ranges", ranges) => each(ranges, ", ", text),
            ("guidance", list) => each(list, ";", text),
            ("prompts", Value::Array(list)) => each(&Value::Array(list.clone()), " / ", Value::to_string),
            ("seed", seed) if *seed == -1 => "random".into(),
            ("cfg_zero_steps", zero) if *zero == 0 => return None,
            ("negative_prompt", value) => value.to_string(),
            (_, Value::Null | Value::Bool(false)) => return None,
            ("looped" | "anchors", Value::Bool(true)) => "on".into(),
            (_, value) => text(value),
        };
        Some((name.replace('_', " "), text, from))
    };
    // A range says how much is made, and where.
    let ranged = fields.get("ranges").is_some_and(|ranges| ranges["value"] != serde_json::json!([]));
    let counts = |(name, _): &(String, Value)| !(ranged && ["gap", "mode"].contains(&name.as_str()));
    fields.into_iter().filter(counts).filter_map(value).collect()
}

fn each(list: &Value, between: &str, one: impl Fn(&Value) -> String) -> String {
    list.as_array().map_or(String::new(), |list| list.iter().map(one).collect::<Vec<_>>().join(between))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // 5.0 is 5 to people.
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join("x"),
        other => other.to_string(),
    }
}

/// How all is sampled; where segments are sampled in several ways, each way with its segments and with what is said of
/// them alone.
pub(crate) fn samplers(generation: &Generation) -> String {
    let Generation { sampling, segments, .. } = generation;
    if segments.is_empty() {
        return sampler(sampling);
    }
    let mut ways: Vec<(&Sampling, Vec<String>)> = vec![];
    for (segment, own) in (0..segments.len()).map(|segment| (segment + 1, generation.sampling_of(segment))) {
        match ways.iter_mut().find(|(way, _)| way.equals(own)) {
            Some((_, segments)) => segments.push(segment.to_string()),
            None => ways.push((own, vec![segment.to_string()])),
        }
    }
    let of_all = sourced(sampling);
    let mut lines = vec![];
    for (way, segments) in ways {
        lines.push(format!("{:<8} {}", Part::Segment, segments.join(", ")));
        lines.extend(by_source(sourced(way).into_iter().filter(|value| !of_all.contains(value)).collect()));
        lines.push(sampler(way));
    }
    lines.join("\n")
}

/// Step by step: timestep, expert, guidance, and how strong each LoRA is.
fn sampler(sampling: &Sampling) -> String {
    let mut lines = vec![];
    for (number, Lora { file, weights: multiplier, .. }) in sampling.loras.iter().enumerate() {
        lines.push(format!("lora {:<3} {} ({multiplier})", number + 1, weights(file)));
    }
    let loras = (1..=sampling.loras.len()).map(|number| format!("{:>8}", format!("lora {number}"))).collect::<String>();
    lines.push(format!("sampler  {:>4} {:>10} {:>7} {:>9}{loras}", "step", "timestep", "expert", "guidance"));
    for (number, Step { timestep, expert, guidance, .. }) in sampling.schedule.iter().enumerate() {
        let strengths = sampling.loras.iter().map(|lora| format!("{:>8}", lora.strengths[number].to_string()));
        let strengths = strengths.collect::<String>();
        lines.push(format!("         {:>4} {timestep:>10.3} {expert:>7} {guidance:>9}{strengths}", number + 1));
    }
    lines.join("\n")
}

/// A preset: what it is, where it is from, what it asks, and whether it can run here.
pub(crate) fn preset(
    preset: &Preset,
    values: Vec<(String, String, String)>,
    sampling: Option<&Sampling>,
    lacks: &[Lacking],
) -> String {
    let Preset { name, aliases, about, path, values: asked, fps, max_frames, .. } = preset;
    let mut lines = vec![name.clone()];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    if !about.is_empty() {
        row("about", about.clone());
    }
    if !aliases.is_empty() {
        row("aliases", aliases.join(", "));
    }
    row("from", path.as_ref().map_or("built in".into(), |path| path.display().to_string()));
    if let Some(published) = &asked.wan.model_files {
        row("models", published.at.join(", "));
    }
    let trained = [fps.map(|fps| format!("{fps} fps")), max_frames.map(|frames| format!("{frames} frames at a time"))];
    let trained: Vec<String> = trained.into_iter().flatten().collect();
    if !trained.is_empty() {
        row("trained", trained.join(", "));
    }
    for lack in lacks {
        row("not here", [vec![lack.part.clone()], lack.names.clone()].concat().join("\n              "));
    }
    lines.extend(by_source(values).into_iter().map(|line| format!("  {line}")));
    lines.extend(
        sampling
            .iter()
            .flat_map(|sampling| sampler(sampling).lines().map(|line| format!("  {line}")).collect::<Vec<_>>()),
    );
    lines.join("\n")
}
