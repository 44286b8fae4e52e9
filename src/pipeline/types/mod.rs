//! Sizes, rates, frames and their pixels, exit codes, progress, cancellation. No input or output.

pub mod cancel;
pub mod error;
pub mod pixels;
pub mod progress;
pub mod video;
