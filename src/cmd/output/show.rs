//! Facts and plans as text for people.

use std::path::Path;

use wanctl::pipeline::{
    frames::film::plain,
    media::{Clip, DolbyVision, DynamicRange, RateSource, Still, Timing, Track, TrackKind, UNDER},
    weights::{ModelFiles, ModelKind, Survey, name as weights},
    worker_tasks::Task,
};

/// A clip's facts, a line each.
pub(crate) fn clip(clip: &Clip) -> String {
    let picture = &clip.picture;
    let mut lines = vec![];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    let seconds = *clip.duration.numer() as f64 / *clip.duration.denom() as f64;
    let rate = match clip.timing {
        Timing::Constant => format!("{} fps ({})", plain(clip.fps), clip.fps),
        Timing::Variable => format!("variable, taken as {} fps ({})", plain(clip.fps), why(clip.rate_source)),
    };
    row("frames", format!("{}, {seconds:.3} s, {rate}", clip.frames));
    let profile = picture.profile.as_deref().map_or(String::new(), |profile| format!(" {profile}"));
    row("video", format!("{}{profile}, {}, {} bit", picture.codec, picture.pixel_format, picture.bits));
    let mut size = picture.size.to_string();
    if picture.size != picture.coded {
        size += &format!(
            " as shown; stored {}, turned by {}°, pixel aspect {}",
            picture.coded, picture.rotation, picture.sample_aspect
        );
    }
    row("size", size);
    let color = &picture.color;
    let tagged = if color.tagged_matrix.is_some() { "tagged" } else { "untagged, by size" };
    row("colour", format!("{:?}, {:?} range ({tagged})", color.matrix, color.range).to_lowercase());
    let range = dynamic_range(picture.dynamic_range);
    let record = picture.dolby_vision.map(|DolbyVision { profile, compatibility }| {
        format!("Dolby Vision profile {profile}, base layer {compatibility}")
    });
    let told: Vec<String> = range.map(str::to_owned).into_iter().chain(record).collect();
    if !told.is_empty() {
        row("range", told.join(", "));
    }
    if clip.transparent {
        let [red, green, blue] = UNDER;
        row("alpha", format!("transparent in places; laid over white (#{red:02x}{green:02x}{blue:02x})"));
    }
    if let Some(damage) = &clip.damage {
        row("damage", format!("lacks parts, as recordings do: {damage}"));
    }
    match &clip.sound {
        Some(sound) => row("sound", format!("{}, {} Hz, {}", sound.codec, sound.rate, sound.layout)),
        None => row("sound", "none".into()),
    }
    if clip.left_out().is_some() {
        row("tracks", tracks(&clip.tracks));
    }
    row("file", format!("{}, {} bytes", clip.container, clip.bytes));
    if let Some(note) = &clip.note {
        let again = match Task::of_film(&clip.path, Some(note)) {
            Ok(task) => {
                let file = clip.path.to_string_lossy();
                format!("its settings are inside: wanctl {} --task {}", task.command(), shell_words::quote(&file))
            }
            Err(error) => error.to_string(),
        };
        row("made by", format!("wanctl; {again}"));
    }
    let counts = &clip.counts;
    if counts.decoded.is_some() {
        let told = |count: Option<usize>| count.map_or("nothing".into(), |count| count.to_string());
        let hidden = counts.hidden.map_or(String::new(), |hidden| format!(" ({hidden} hidden by an edit list)"));
        row(
            "counts",
            format!(
                "packets {}, header {}{hidden}, duration x rate {}, decoded {}: the last is believed",
                counts.packets,
                told(counts.container),
                told(counts.duration_times_rate),
                told(counts.decoded)
            ),
        );
    }
    lines.join("\n")
}

/// How many of each kind, then a line each.
fn tracks(tracks: &[Track]) -> String {
    let mut counts: Vec<(TrackKind, usize)> = vec![];
    for Track { kind, .. } in tracks {
        match counts.iter_mut().find(|(counted, _)| counted == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((*kind, 1)),
        }
    }
    let counts = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
    let taken = |track: &Track| format!("            {track}{}", if track.taken { ": taken" } else { "" });
    let lines = tracks.iter().map(taken);
    [vec![counts.collect::<Vec<_>>().join(", ")], lines.collect()].concat().join("\n")
}

/// None where there is nothing to say of it.
fn dynamic_range(range: DynamicRange) -> Option<&'static str> {
    match range {
        DynamicRange::Standard => None,
        DynamicRange::Pq => Some("HDR (PQ)"),
        DynamicRange::Hlg => Some("HDR (HLG)"),
        DynamicRange::DolbyVision => Some("Dolby Vision alone"),
        DynamicRange::Untagged => Some("HDR by an unknown curve"),
    }
}

/// Where a clip's rate comes from.
fn why(source: RateSource) -> String {
    match source {
        RateSource::Steps => "by all of its steps".into(),
        RateSource::Nominal { single, steps } => {
            format!("its header's rate: all frames lie on that grid, {single} of {steps} steps are single")
        }
        RateSource::Median => "by the median step".into(),
        RateSource::Raised { median } => {
            format!("one that keeps every frame, which {} fps of the median step would not", plain(median))
        }
    }
}

/// An image's facts, a line each.
pub(crate) fn still(still: &Still) -> String {
    let mut lines = vec!["  picture   a still image".to_owned()];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    row("format", format!("{}, {} bit", still.format, still.bits));
    let turned = still.orientation.map_or(String::new(), |turn| format!(" as shown; stored otherwise and {turn}"));
    row("size", format!("{}{turned}", still.size));
    if let Some(range) = dynamic_range(still.dynamic_range) {
        row("range", range.into());
    }
    if let Some(colours) = &still.colours {
        row("colour", format!("{colours}, brought to sRGB"));
    }
    if still.transparent {
        let [red, green, blue] = UNDER;
        row("alpha", format!("transparent in places; laid over white (#{red:02x}{green:02x}{blue:02x})"));
    }
    row("file", format!("{} bytes", still.bytes));
    lines.join("\n")
}

/// A checkpoint or LoRA, a line each.
pub(crate) fn checkpoint(survey: &Survey, problems: &[String]) -> String {
    let mut lines = vec![];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    row("what", survey.name.clone());
    if let Some(numbers) = survey.what.numbers() {
        row("numbers", numbers);
    }
    if let ModelKind::Lora(lora) = &survey.what {
        row("form", lora.form.name().into());
        let ranks = lora.ranks.iter().map(|(rank, modules)| format!("rank {rank} in {modules}"));
        let alpha = if lora.alpha { "with alpha" } else { "no alpha" };
        let differences = Some(format!("{} whole differences", lora.differences)).filter(|_| lora.differences > 0);
        let parts: Vec<String> = ranks.chain([alpha.into()]).chain(differences).collect();
        row("modules", format!("{}: {}", lora.modules, parts.join(", ")));
        row("for", lora.made_for());
    }
    if let Some(naming) = survey.naming {
        let prefix = survey.prefix.as_ref().map_or(String::new(), |prefix| format!(", {prefix} in front"));
        row("naming", format!("{naming}{prefix}"));
    }
    let unused = if survey.unused > 0 { format!(", {} that nothing reads", survey.unused) } else { String::new() };
    let numbers = rounded(survey.parameters, ["", "thousand", "million", "billion"]);
    row("tensors", format!("{}{unused}, {numbers} numbers", survey.tensors));
    row("kinds", kinds(survey));
    row("file", format!("{} in {}", bytes(survey.bytes), counted(survey.files.len(), "file")));
    // As many as help: a wrong model has a problem with every tensor.
    const MOST: usize = 5;
    for problem in problems.iter().take(MOST) {
        row("problem", problem.clone());
    }
    if problems.len() > MOST {
        row("problem", format!("and {} more", problems.len() - MOST));
    }
    lines.join("\n")
}

/// A whole model, part by part.
pub(crate) fn model(files: &ModelFiles, parts: &[(&str, Survey)]) -> String {
    let mut lines = vec![];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    row("numbers", files.transformer.numbers());
    for (part, survey) in parts {
        let place = survey.files.first().map_or(String::new(), |file| weights(file));
        row(part, format!("{}, {}, {}: {place}", survey.name, kinds(survey), bytes(survey.bytes)));
    }
    row("tokenizer", weights(&files.tokenizer));
    if let Some(boundary) = files.boundary {
        row("boundary", boundary.to_string());
    }
    if let Some(shift) = files.flow_shift {
        row("shift", shift.to_string());
    }
    lines.join("\n")
}

fn kinds(survey: &Survey) -> String {
    let kinds = survey.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}"));
    let scaled = Some(format!("{} with a scale", survey.scaled)).filter(|_| survey.scaled > 0);
    kinds.chain(scaled).collect::<Vec<_>>().join(", ")
}

pub(crate) fn bytes(bytes: u64) -> String {
    rounded(bytes, ["bytes", "kB", "MB", "GB"])
}

/// `1.42 billion` for 1 418 996 800.
fn rounded(number: u64, units: [&str; 4]) -> String {
    let steps = (number.max(1).ilog10() / 3).min(3);
    let shown = number as f64 / 1000_f64.powi(steps as i32);
    let digits = if steps == 0 { 0 } else { 2 };
    format!("{shown:.digits$} {}", units[steps as usize]).trim_end().to_owned()
}

pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Names can hold anything, also line breaks.
pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if name.chars().any(char::is_control) { format!("{name:?}") } else { name.into_owned() }
}
