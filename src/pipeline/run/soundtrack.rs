//! Which clip is heard when: the plan's timeline, told in samples.

use crate::pipeline::{
    frames::film::{Input, Inputs},
    media::{Sound, SoundPart, SoundSource, Soundtrack, Voice},
    plan::{FramePlan, Mode, Origin, TimelineItem},
    types::video::{Fps, Time},
};

/// A fade shorter than this can click.
const LEAST_FADE_FRAMES: usize = 2;

/// A stretch of the soundtrack in frames of the film. None is heard in silence, two where they cross.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    heard: Vec<Heard>,
    frames: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    input: usize,
    /// The first frame that is heard.
    frame: usize,
    /// Whether it begins and ends here, and the frames of the fade there.
    fades: [Option<usize>; 2],
}

/// None where no clip that is heard has sound.
pub fn soundtrack<'a>(plan: &FramePlan, inputs: &'a Inputs) -> Option<Soundtrack<'a>> {
    let stretches = stretches(plan);
    let clips =
        || stretches.iter().flat_map(|stretch| &stretch.heard).filter_map(|heard| inputs.all[heard.input].clip());
    let mut sounds = clips().filter_map(|clip| clip.sound.as_ref());
    // What an empty track says of itself is worth less than what another one has.
    let model = sounds.clone().find(|sound| !sound.is_empty()).or_else(|| sounds.next())?;
    let rate = rate_of(model);
    let mut position = 0;
    let parts = stretches.iter().map(|Stretch { heard, frames }| {
        let samples = samples_at(position + frames, plan.fps, rate) - samples_at(position, plan.fps, rate);
        position += frames;
        let voices = heard.iter().filter_map(|Heard { input, frame, fades }| {
            let room = if fades.iter().all(Option::is_some) { samples / 2 } else { samples };
            let fade = |fade: Option<usize>| {
                let frames = fade.map_or(0, |fade| fade.max(LEAST_FADE_FRAMES));
                samples_at(frames, plan.fps, rate).min(room)
            };
            let [fade_in, fade_out] = fades.map(fade);
            match &inputs.all[*input] {
                Input::Clip { clip, .. } => clip.sound.as_ref().map(|sound| {
                    let source = SoundSource { path: &clip.path, sound };
                    Voice { source, from: plan.fps.time_of(*frame), fade_in, fade_out }
                }),
                Input::Still(_) => None,
            }
        });
        SoundPart { voices: voices.collect(), samples }
    });
    Some(Soundtrack { rate, layout: model.layout.clone(), channels: model.channels, parts: parts.collect() })
}

/// A file of the user's own as the film's sound, cut or filled with silence to the film's length.
pub fn soundtrack_of_file<'a>(plan: &FramePlan, source: SoundSource<'a>) -> Soundtrack<'a> {
    let rate = rate_of(source.sound);
    let voice = Voice { source, from: Time::default(), fade_in: 0, fade_out: 0 };
    let part = SoundPart { voices: vec![voice], samples: samples_at(plan.frames(), plan.fps, rate) };
    Soundtrack { rate, layout: source.sound.layout.clone(), channels: source.sound.channels, parts: vec![part] }
}

/// Players and encoders stop at 96 kHz.
fn rate_of(sound: &Sound) -> u32 {
    if sound.rate > 96_000 { 48_000 } else { sound.rate }
}

/// Computed from the film's start, never accumulated, so that a thousand clips drift by nothing.
fn samples_at(frame: usize, fps: Fps, rate: u32) -> u64 {
    let time: Time = fps.time_of(frame);
    (time * i64::from(rate)).round().to_integer() as u64
}

/// A range: nothing of the sound is touched. A journey or a stitch: clips are heard where they are seen.
fn stretches(plan: &FramePlan) -> Vec<Stretch> {
    let ranges = plan.seams.iter().any(|seam| seam.range.is_some());
    match ranges {
        true => vec![stretch(0, 0, plan.frames(), [None, None])],
        false if plan.journey.is_some() || plan.seams.is_empty() => as_seen(plan),
        false => as_joined(plan),
    }
}

fn stretch(input: usize, frame: usize, frames: usize, fades: [Option<usize>; 2]) -> Stretch {
    Stretch { heard: vec![Heard { input, frame, fades }], frames }
}

fn as_seen(plan: &FramePlan) -> Vec<Stretch> {
    let heard = |origin: Origin, frame: usize, fades| match origin {
        Origin::Input(input) => Some(Heard { input, frame, fades }),
        Origin::Gap(_) => None,
    };
    let mut stretches: Vec<Stretch> = vec![];
    for (at, piece) in plan.timeline.iter().enumerate() {
        let frames = piece.frames().len();
        let heard = match piece {
            TimelineItem::Copy { input, frames } => {
                // Where it crosses with a neighbour, it fades there.
                let cut = |neighbour: Option<&TimelineItem>| {
                    neighbour.filter(|piece| !matches!(piece, TimelineItem::Cross { .. })).map(|_| LEAST_FADE_FRAMES)
                };
                let before = at.checked_sub(1).and_then(|before| plan.timeline.get(before));
                let fades = [cut(before), cut(plan.timeline.get(at + 1))];
                vec![Heard { input: *input, frame: frames.start, fades }]
            }
            TimelineItem::Cross { from, to, .. } => {
                let over = [
                    heard(from.origin, from.frames.start, [None, Some(frames)]),
                    heard(to.origin, to.frames.start, [Some(frames), None]),
                ];
                over.into_iter().flatten().collect()
            }
            TimelineItem::Made { .. } | TimelineItem::Blend { .. } => vec![],
        };
        stretches.push(Stretch { heard, frames });
    }
    stretches
}

/// Insert: every clip whole, silence between. Replace: made frames stand where the clips' own stood, so every clip is
/// heard to its end, also under what was made.
fn as_joined(plan: &FramePlan) -> Vec<Stretch> {
    let lengths: Vec<usize> = plan.inputs.iter().map(|source| source.length()).collect();
    let after = |clip: usize| plan.seams.iter().find(|seam| seam.between[0] == clip);
    let before = |clip: usize| plan.seams.iter().find(|seam| seam.between[1] == clip);
    let closing = plan.seams.iter().find(|seam| seam.between[1] == 0);
    let replaces = plan.seams.iter().any(|seam| seam.mode == Mode::Replace);
    // Under replace a loop's closing piece takes the place of the first clip's head, which stands at the film's end.
    let wrapped = closing.filter(|_| replaces).map_or(0, |seam| seam.removed[1]);

    let mut stretches = vec![];
    for (clip, &length) in lengths.iter().enumerate() {
        let start = if clip == 0 { wrapped } else { 0 };
        let fade_in = before(clip).filter(|_| start == 0).map(|seam| seam.blend[1]);
        let fade_out = after(clip).map(|seam| seam.blend[0]);
        stretches.push(stretch(clip, start, length - start, [fade_in, fade_out]));
        if let Some(seam) = after(clip).filter(|_| !replaces) {
            stretches.push(Stretch { heard: vec![], frames: seam.used.gap });
        }
    }
    if let Some(seam) = closing.filter(|_| wrapped > 0) {
        stretches.push(stretch(0, 0, wrapped, [Some(seam.blend[1]), None]));
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{
        plan::{self, Align, Blend, Film, JoinParams, MaskRule, Source},
        types::video::Size,
    };

    fn plans() -> impl Iterator<Item = FramePlan> {
        let fps: Fps = "30000/1001".parse().unwrap();
        let size = Size::new(64, 36);
        let source =
            move |frames| Source { path: "a.mp4".into(), frames, fps, size, resampled_frames: None, still: false };
        let lengths = [vec![40], vec![40, 30], vec![25, 60, 33]];
        let shapes = [(Mode::Insert, false), (Mode::Replace, false), (Mode::Insert, true), (Mode::Replace, true)];
        lengths.into_iter().flat_map(move |lengths| {
            shapes.into_iter().filter_map(move |(mode, looped)| {
                let sources = lengths.iter().map(|&frames| source(frames)).collect();
                let (align, mask_rule, blend) = (Align::Latent, MaskRule::Exact, Blend::UpTo(0));
                let ask = JoinParams { context: 5, gap: 8, mode, align, mask_rule, blend, looped, anchors: false };
                plan::join(sources, Film { fps, size, made_size: size }, &ask).ok()
            })
        })
    }

    #[test]
    fn the_sound_is_as_long_as_the_film() {
        let mut seen = 0;
        for plan in plans() {
            seen += 1;
            let frames: usize = stretches(&plan).iter().map(|stretch| stretch.frames).sum();
            assert_eq!(frames, plan.frames());
        }
        assert_eq!(seen, 10);
    }

    #[test]
    fn every_frame_of_a_clip_that_is_in_the_film_is_heard_when_it_is_seen() {
        for plan in plans() {
            let heard: Vec<Option<(usize, usize)>> = stretches(&plan)
                .iter()
                .flat_map(|s| (0..s.frames).map(|i| s.heard.first().map(|heard| (heard.input, heard.frame + i))))
                .collect();
            let mut at = 0;
            for piece in &plan.timeline {
                for frame in piece.frames() {
                    if let plan::TimelineItem::Copy { input, .. } | plan::TimelineItem::Blend { input, .. } = piece {
                        assert_eq!(heard[at], Some((*input, frame)));
                    }
                    at += 1;
                }
            }
        }
    }

    #[test]
    fn a_stitch_is_heard_as_it_is_seen_and_both_where_two_cross() {
        let (fps, size) = ("16".parse().unwrap(), Size::new(64, 36));
        let source = |frames| Source { path: "a.mp4".into(), frames, fps, size, resampled_frames: None, still: false };
        for overlaps in [[0, 0], [3, 0], [0, 1], [5, 4]] {
            let ask = plan::StitchAsk {
                pieces: vec![(0, 0..20), (1, 4..20), (2, 0..9)],
                overlaps: overlaps.to_vec(),
                curve: plan::Curve::Even,
            };
            let film = Film { fps, size, made_size: size };
            let plan = plan::stitch(vec![source(20), source(20), source(20)], film, &ask).unwrap();
            let stretches = stretches(&plan);
            assert_eq!(stretches.iter().map(|stretch| stretch.frames).sum::<usize>(), plan.frames());
            for (stretch, piece) in stretches.iter().zip(&plan.timeline) {
                let seen = match piece {
                    TimelineItem::Copy { input, frames } => vec![(*input, frames.start)],
                    TimelineItem::Cross { from, to, .. } => [from, to]
                        .into_iter()
                        .map(|stretch| match stretch.origin {
                            Origin::Input(input) => (input, stretch.frames.start),
                            Origin::Gap(_) => panic!("nothing is made"),
                        })
                        .collect(),
                    other => panic!("{other:?}"),
                };
                let heard: Vec<_> = stretch.heard.iter().map(|heard| (heard.input, heard.frame)).collect();
                assert_eq!(heard, seen, "{overlaps:?}");
            }
            // What begins or ends in a film does so gently; its own ends are left alone.
            let fades: Vec<_> = stretches.iter().flat_map(|stretch| &stretch.heard).map(|heard| heard.fades).collect();
            assert!(fades[0][0].is_none() && fades[fades.len() - 1][1].is_none());
            let cut = stretches.windows(2).filter(|pair| pair.iter().all(|stretch| stretch.heard.len() == 1));
            assert!(cut.into_iter().all(|pair| pair[0].heard[0].fades[1] == Some(LEAST_FADE_FRAMES)));
        }
    }
}
