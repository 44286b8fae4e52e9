//! From clips to one film: facts, then a plan, then frames, then the engine, then one file.

pub mod frames;
pub mod inspect;
pub mod job;
pub mod media;
pub mod options;
pub mod plan;
pub mod report;
pub mod run;
pub mod system;
pub mod types;
pub mod weights;
pub mod worker_tasks;
