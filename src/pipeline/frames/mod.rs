//! Frames by their place in the plan: decoded, resized to the model's grid, colour adjusted, cross-faded, or read from the
//! engine's output.

pub(crate) mod color_adjust;
pub mod dissolve;
pub mod film;
pub mod generated;
pub mod grid_crop;
pub mod source;
