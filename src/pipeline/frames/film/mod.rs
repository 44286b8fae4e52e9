//! What the film is: rate, size, colours. Everything that the first input or the user decides for all of them.

mod remarks;

use crate::pipeline::{
    frames::grid_crop::{self, GridCrop},
    media::{Clip, Codec, Effort, FilmFormat, Sampling, Still, X264Preset},
    options::{EngineChoice, FilmSettings, ResolvedCommon},
    plan::{self, Continued, Places, Source},
    types::{
        progress::Warning,
        video::{Fps, Layout, Matrix, Range, Size},
    },
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

/// What is asked of a film's shape; what is not comes from its inputs.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub fps: Option<Fps>,
    pub size: Option<Size>,
    pub made: MadeSize,
    /// Keeps odd sizes and RGB; everything else ends as 4:2:0.
    pub lossless: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum MadeSize {
    /// The engine takes every size.
    OfFilm,
    /// The nearest one that a model takes.
    OnGrid,
    Asked(Size),
}

impl MadeSize {
    pub fn new(engine: EngineChoice, asked: Option<Size>) -> Self {
        match engine {
            EngineChoice::Wan => asked.map_or(Self::OnGrid, Self::Asked),
            EngineChoice::Auto | EngineChoice::Rife | EngineChoice::Dissolve => Self::OfFilm,
        }
    }
}

/// An input as the film uses it.
#[derive(Debug, Clone)]
pub enum Input {
    Clip { clip: Box<Clip>, sampling: Sampling },
    Still(Still),
}

impl Input {
    pub fn clip(&self) -> Option<&Clip> {
        match self {
            Self::Clip { clip, .. } => Some(clip),
            Self::Still(_) => None,
        }
    }
}

/// All inputs, in the order of the plan's.
#[derive(Debug)]
pub struct Inputs {
    pub film: Film,
    pub all: Vec<Input>,
    pub warnings: Vec<Warning>,
}

/// What a journey is made of.
#[derive(Debug, Default)]
pub struct JourneyFiles {
    pub continued: Option<Clip>,
    /// Whether the film begins with the clip that is gone on from.
    pub in_film: bool,
    pub images: Vec<Still>,
    pub structure: Vec<Clip>,
    pub references: Vec<Still>,
}

/// Default frame rate of a travel: what Wan was trained on.
const JOURNEY_FPS: i64 = 16;

impl Inputs {
    /// Of clips, of which there is at least one.
    pub fn new(clips: Vec<Clip>, common: &ResolvedCommon, lossless: bool) -> Self {
        let made = MadeSize::new(*common.engine, *common.made_size);
        let shape = Shape { fps: *common.fps, size: *common.size, made, lossless };
        let first = &clips[0];
        let size = first.picture.size;
        let film = Film::new(&shape, first.fps, size, Some(first));
        let all: Vec<Input> = clips.into_iter().map(|clip| film.take(clip)).collect();
        let warnings = film.warnings(&all, shape.size.unwrap_or(size));
        Self { film, all, warnings }
    }

    /// Of a journey with at least one image or a clip to go on from, and what it needs to be planned.
    pub fn journey(files: JourneyFiles, shape: &Shape) -> (Self, Places) {
        let JourneyFiles { continued, in_film, images, structure, references } = files;
        let rate = continued.as_ref().map(|clip| clip.fps).or(Fps::new(JOURNEY_FPS, 1)).expect("16 is above 0");
        // The planner refuses a journey without images.
        let of_image = images.first().map_or(Size::new(2, 2), |still| still.size);
        let size = continued.as_ref().map_or(of_image, |clip| clip.picture.size);
        let film = Film::new(shape, rate, size, continued.as_ref());
        let clips = |clips: Vec<Clip>| clips.into_iter().map(|clip| film.take(clip)).collect::<Vec<_>>();
        let stills = |stills: Vec<Still>| stills.into_iter().map(Input::Still).collect::<Vec<_>>();
        let continued = clips(continued.into_iter().collect());
        let (images, structure, references) = (stills(images), clips(structure), stills(references));
        let sources = |all: &[Input]| all.iter().map(|take| source(take, &film)).collect::<Vec<_>>();
        let places = Places {
            images: sources(&images),
            continued: sources(&continued).pop().map(|clip| Continued { clip, in_film }),
            structure: sources(&structure),
            references: sources(&references),
        };
        let mut all = [continued, images, structure].concat();
        let warnings = film.warnings(&all, shape.size.unwrap_or(size));
        all.extend(references);
        (Self { film, all, warnings }, places)
    }

    /// The inputs as the planner needs them.
    pub fn sources(&self) -> Vec<Source> {
        self.all.iter().map(|take| source(take, &self.film)).collect()
    }
}

fn source(take: &Input, film: &Film) -> Source {
    match take {
        Input::Clip { clip, sampling } => Source {
            path: clip.path.clone(),
            frames: clip.frames,
            fps: clip.fps,
            size: clip.picture.size,
            resampled_frames: matches!(sampling, Sampling::Resampled(_)).then(|| sampling.frames()),
            still: false,
        },
        Input::Still(still) => Source {
            path: still.path.clone(),
            frames: 1,
            fps: film.fps,
            size: still.size,
            resampled_frames: None,
            still: true,
        },
    }
}

impl Film {
    /// `fps` and `size` where none are asked; with the colours of the first clip, where there is one.
    fn new(shape: &Shape, fps: Fps, size: Size, first: Option<&Clip>) -> Self {
        let asked = shape.size.unwrap_or(size);
        let size = if shape.lossless { asked } else { asked.even() };
        // Images are sRGB, whose primaries are those of BT.709.
        let bt709 = || Some("bt709".to_owned());
        let (matrix, range, primaries, transfer) = match first.map(|clip| &clip.picture.color) {
            // RGB has all levels, and means nothing by it.
            Some(color) if first.is_some_and(|clip| clip.picture.is_rgb()) => {
                (color.matrix, Range::Limited, color.primaries.clone(), color.transfer.clone())
            }
            Some(color) => (color.matrix, color.range, color.primaries.clone(), color.transfer.clone()),
            None => (Matrix::Bt709, Range::Limited, bt709(), bt709()),
        };
        let layout = if shape.lossless { Layout::Rgb } else { Layout::Yuv420 { matrix, range } };
        let made_size = match shape.made {
            MadeSize::OfFilm => size,
            MadeSize::OnGrid => grid_crop::on_grid(size),
            MadeSize::Asked(made) => made,
        };
        Self { fps: shape.fps.unwrap_or(fps), size, made_size, layout, primaries, transfer }
    }

    fn take(&self, clip: Clip) -> Input {
        Input::Clip { sampling: clip.at_rate(self.fps), clip: Box::new(clip) }
    }

    pub fn for_plan(&self) -> plan::Film {
        plan::Film { fps: self.fps, size: self.size, made_size: self.made_size }
    }

    /// Between the film's picture and the one that the engine sees.
    pub fn window(&self) -> GridCrop {
        GridCrop::new(self.size, self.made_size)
    }

    pub fn format(&self, settings: &FilmSettings) -> FilmFormat {
        FilmFormat {
            size: self.size,
            fps: self.fps,
            layout: self.layout,
            codec: settings.codec,
            crf: settings.crf,
            effort: Effort::Film(settings.x264_preset.unwrap_or(X264Preset::Medium)),
            primaries: self.primaries.clone(),
            transfer: self.transfer.clone(),
            key_frames: vec![],
        }
    }

    /// For guide and mask videos: small frames counts, near lossless, in limited range whatever the film has.
    pub fn draft(&self, key_frames: Vec<usize>) -> FilmFormat {
        let matrix = match self.layout {
            Layout::Yuv420 { matrix, .. } => matrix,
            Layout::Rgb => Matrix::Bt709,
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

/// 25 or 23.976, for people.
pub fn plain(fps: Fps) -> String {
    let text = format!("{:.3}", fps.as_f64());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
