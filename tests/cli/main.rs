//! `wanctl` driven as a user drives it: the built program, an empty folder, a clean environment.

#![allow(clippy::disallowed_methods, reason = "a test's own environment")]
#![allow(clippy::disallowed_types, reason = "tests start programs")]
#![allow(clippy::unwrap_used, reason = "a failure of the test's own is a failure of the test")]

mod bad_clips;
mod bad_options;
mod bad_outputs;
mod bad_programs;
mod chains;
mod checkpoints;
mod colours;
mod crew;
#[cfg(feature = "torch")]
mod cuda;
mod engine;
mod film;
mod films_again;
mod first_use;
mod guide;
mod harness;
#[cfg(feature = "torch")]
mod images;
mod inspect;
mod interrupt;
mod material;
#[cfg(feature = "torch")]
mod memory;
mod presets;
mod range;
mod real_clips;
#[cfg(feature = "torch")]
mod references;
mod refusals;
#[cfg(feature = "torch")]
mod rife;
mod shapes;
mod slurm;
mod sound;
mod sound_checked;
mod sound_timing;
mod sound_tracks;
mod stories;
mod tasks;
mod texts;
mod travel;
mod travel_parts;
mod travel_tasks;
#[cfg(feature = "torch")]
mod travel_wan;
#[cfg(feature = "torch")]
mod wan;
#[cfg(feature = "torch")]
mod wan_runs;
#[cfg(feature = "torch")]
mod wan_weights;
