//! One run: its folder, the engine processes, the film's frames and sound, a script for Slurm.

pub mod command;
pub mod engine;
pub mod error;
pub mod folder;
pub mod guide;
pub mod names;
pub mod project;
pub mod render;
pub mod resolver;
pub mod session;
pub mod slurm;
pub mod soundtrack;
