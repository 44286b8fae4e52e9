//! Which clip is heard when: the plan's timeline, told in samples.

use super::{
    film::Cast,
    media::{SoundPart, Soundtrack},
    plan::{FramePlan, Mode},
    video::{Fps, Time},
};

/// A fade shorter than this can click.
const LEAST_FADE_FRAMES: usize = 2;

/// A stretch of the soundtrack in frames of the film.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    /// The clip and its first frame that is heard; None is silence.
    heard: Option<(usize, usize)>,
    frames: usize,
    /// Whether a seam lies at its start and its end, and the frames of the fade there.
    fades: [Option<usize>; 2],
}

/// None where no clip has sound.
pub fn soundtrack<'a>(plan: &FramePlan, cast: &'a Cast) -> Option<Soundtrack<'a>> {
    let model = cast.clips.iter().find_map(|clip| clip.sound.as_ref())?;
    // Players and encoders stop at 96 kHz.
    let rate = if model.rate > 96_000 { 48_000 } else { model.rate };
    let mut position = 0;
    let parts = stretches(plan).into_iter().map(|stretch| {
        let Stretch { heard, frames, fades } = stretch;
        let samples = samples_at(position + frames, plan.fps, rate) - samples_at(position, plan.fps, rate);
        position += frames;
        let [fade_in, fade_out] = fades.map(|fade| {
            let frames = fade.map_or(0, |fade| fade.max(LEAST_FADE_FRAMES));
            samples_at(frames, plan.fps, rate).min(samples / 2)
        });
        let heard = heard.map(|(input, frame)| (&cast.clips[input], plan.fps.time_of(frame)));
        let from = heard.filter(|(clip, _)| clip.sound.is_some());
        SoundPart { from, samples, fade_in, fade_out }
    });
    Some(Soundtrack { rate, layout: model.layout.clone(), channels: model.channels, parts: parts.collect() })
}

/// The length of the film in samples of `rate`.
pub fn total_samples(plan: &FramePlan, rate: u32) -> u64 {
    samples_at(plan.frames(), plan.fps, rate)
}

/// Computed from the film's start, never accumulated, so that a thousand clips drift by nothing.
fn samples_at(frame: usize, fps: Fps, rate: u32) -> u64 {
    let time: Time = fps.time_of(frame);
    (time * i64::from(rate)).round().to_integer() as u64
}

/// Insert: every clip whole, silence between. Replace: made frames stand where the clips' own stood, so every clip is
/// heard to its end, also under what was made. A range: nothing of the sound is touched.
fn stretches(plan: &FramePlan) -> Vec<Stretch> {
    if plan.seams.iter().any(|seam| seam.range.is_some()) {
        return vec![Stretch { heard: Some((0, 0)), frames: plan.frames(), fades: [None, None] }];
    }
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
        stretches.push(Stretch { heard: Some((clip, start)), frames: length - start, fades: [fade_in, fade_out] });
        if let Some(seam) = after(clip).filter(|_| !replaces) {
            stretches.push(Stretch { heard: None, frames: seam.used.gap, fades: [None, None] });
        }
    }
    if let Some(seam) = closing.filter(|_| wrapped > 0) {
        stretches.push(Stretch { heard: Some((0, 0)), frames: wrapped, fades: [Some(seam.blend[1]), None] });
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{
        plan::{self, Align, Blend, Film, JoinAsk, MaskRule, Source},
        video::Size,
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
                let ask = JoinAsk { context: 5, gap: 8, mode, align, mask_rule, blend, looped, anchors: false };
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
                .flat_map(|s| (0..s.frames).map(|i| s.heard.map(|(clip, start)| (clip, start + i))))
                .collect();
            let mut at = 0;
            for piece in &plan.timeline {
                for frame in piece.frames() {
                    if let plan::Piece::Copy { input, .. } | plan::Piece::Blend { input, .. } = piece {
                        assert_eq!(heard[at], Some((*input, frame)));
                    }
                    at += 1;
                }
            }
        }
    }
}
