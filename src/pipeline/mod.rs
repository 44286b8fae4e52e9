//! From clips to one film: facts, then a plan, then frames, then the engine, then one file.

pub mod between;
pub mod cancel;
pub mod checkpoint;
pub mod child;
pub mod dissolve;
pub mod engine;
pub mod fault;
pub mod film;
pub mod footage;
pub mod guide;
pub mod job;
pub mod media;
pub mod output;
pub mod pixels;
pub mod plan;
pub mod progress;
pub mod render;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod sheet;
pub mod soundtrack;
pub mod task;
pub mod video;
pub mod window;
mod words;
mod yaml;
