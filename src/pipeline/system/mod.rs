//! The operating system around the program: text files, output paths, child processes, environment variables.

pub mod child;
pub mod environment;
pub mod file_names;
pub mod output;
pub mod text;
pub(crate) mod yaml;
