//! What the film is: rate, size, colours. Everything that the first clip or the user decides for all clips.

use std::path::PathBuf;

use super::{
    media::{Clip, Codec, Effort, FilmFormat, Sampling, Timing},
    plan::{self, Source},
    progress::Warning,
    settings::{EngineChoice, FilmSettings, Settings},
    video::{Fps, Layout, Range, Size},
    window::{self, Window},
};

#[derive(Debug, Clone)]
pub struct Film {
    pub fps: Fps,
    pub size: Size,
    /// The size in which the engine makes frames.
    pub made_size: Size,
    pub layout: Layout,
    primaries: Option<String>,
    transfer: Option<String>,
}

/// Clips as the film uses them.
#[derive(Debug)]
pub struct Cast {
    pub film: Film,
    pub clips: Vec<Clip>,
    pub samplings: Vec<Sampling>,
    pub warnings: Vec<Warning>,
}

impl Cast {
    /// `lossless` keeps odd sizes and RGB; everything else ends as 4:2:0.
    pub fn new(clips: Vec<Clip>, settings: &Settings, lossless: bool) -> Self {
        let first = &clips[0];
        let fps = settings.fps.unwrap_or(first.fps);
        let asked = settings.size.unwrap_or(first.picture.size);
        let size = if lossless { asked } else { asked.even() };
        let color = &first.picture.color;
        let layout = match lossless {
            true => Layout::Rgb,
            false => Layout::Yuv420 { matrix: color.matrix, range: color.range },
        };
        let (primaries, transfer) = (color.primaries.clone(), color.transfer.clone());
        let made_size = match *settings.engine {
            EngineChoice::Wan => settings.made_size.unwrap_or_else(|| window::on_grid(size)),
            EngineChoice::Auto | EngineChoice::Rife | EngineChoice::Dissolve => size,
        };
        let film = Film { fps, size, made_size, layout, primaries, transfer };
        let samplings: Vec<Sampling> = clips.iter().map(|clip| clip.at_rate(fps)).collect();
        let mut warnings = vec![];
        if size != asked {
            warnings.push(warning(
                "odd_size",
                None,
                format!("4:2:0 video cannot hold {asked}, so the film is {size}; --lossless keeps all of it"),
            ));
        }
        for (clip, sampling) in clips.iter().zip(&samplings) {
            warnings.extend(remarks(clip, sampling, &film, asked));
        }
        Self { film, clips, samplings, warnings }
    }

    /// The clips as the planner needs them.
    pub fn sources(&self) -> Vec<Source> {
        let source = |(clip, sampling): (&Clip, &Sampling)| Source {
            path: clip.path.clone(),
            frames: clip.frames,
            fps: clip.fps,
            size: clip.picture.size,
            resampled_frames: matches!(sampling, Sampling::Resampled(_)).then(|| sampling.frames()),
            still: false,
        };
        self.clips.iter().zip(&self.samplings).map(source).collect()
    }
}

impl Film {
    pub fn for_plan(&self) -> plan::Film {
        plan::Film { fps: self.fps, size: self.size, made_size: self.made_size }
    }

    /// Between the film's picture and the one that the engine sees.
    pub fn window(&self) -> Window {
        Window::new(self.size, self.made_size)
    }

    pub fn format(&self, settings: &FilmSettings) -> FilmFormat {
        FilmFormat {
            size: self.size,
            fps: self.fps,
            layout: self.layout,
            codec: settings.codec,
            crf: settings.crf,
            effort: Effort::Film,
            primaries: self.primaries.clone(),
            transfer: self.transfer.clone(),
            key_frames: vec![],
        }
    }

    /// For guide and mask videos: small frames counts, near lossless, in limited range whatever the film has.
    pub fn draft(&self, key_frames: Vec<usize>) -> FilmFormat {
        let matrix = match self.layout {
            Layout::Yuv420 { matrix, .. } => matrix,
            Layout::Rgb => super::video::Matrix::Bt709,
        };
        FilmFormat {
            size: self.made_size.even(),
            fps: self.fps,
            layout: Layout::Yuv420 { matrix, range: Range::Limited },
            codec: Codec::H264,
            crf: 6,
            effort: Effort::Draft,
            primaries: self.primaries.clone(),
            transfer: self.transfer.clone(),
            key_frames,
        }
    }
}

/// What of a clip does not reach the film as it is.
fn remarks(clip: &Clip, sampling: &Sampling, film: &Film, asked: Size) -> Vec<Warning> {
    let (name, path) = (clip.name(), Some(clip.path.clone()));
    let mut remarks = vec![];
    let mut remark = |code, message| remarks.push(warning(code, path.clone(), message));
    if clip.timing == Timing::Variable {
        let rate = plain(film.fps);
        remark(
            "variable_rate",
            format!("{name} has a variable frame rate and was resampled to a constant {rate} fps by its timestamps"),
        );
    } else if matches!(sampling, Sampling::Resampled(_)) {
        remark("resampled", format!("{name} runs at {} fps and was resampled to {}", plain(clip.fps), plain(film.fps)));
    }
    if clip.picture.size != asked {
        remark("resized", format!("{name} is {} and was fitted to {}", clip.picture.size, film.size));
    }
    if clip.picture.bits > 8 {
        remark("depth", format!("{name} has {} bits a sample, the film has 8", clip.picture.bits));
    }
    if clip.picture.interlaced {
        remark(
            "interlaced",
            format!("{name} is interlaced and was taken as it is; deinterlace it first for a clean result"),
        );
    }
    if let (Some(decoded), Some(promised)) = (clip.counts.decoded, clip.counts.container)
        && decoded != promised
    {
        remark("count", format!("{name} says it has {promised} frames, {decoded} were counted by decoding"));
    }
    remarks
}

fn warning(code: &'static str, file: Option<PathBuf>, message: String) -> Warning {
    Warning { code, file, message }
}

/// 25 or 23.976, for people.
pub fn plain(fps: Fps) -> String {
    let text = format!("{:.3}", fps.as_f64());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
