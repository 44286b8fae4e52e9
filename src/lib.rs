//! What `wanctl` and `wanctl-engine` share: the pipeline from clips to one film and, with the feature `torch`, the engine.

#[cfg(feature = "torch")]
pub mod engine;
pub mod pipeline;
