//! What `wanctl`, `wanctl-engine` and the tests share: the pipeline from clips to one film.
//!
//! The engine is no part of it: its modules belong to the program `wanctl-engine`, so that only that one needs libtorch.

pub mod pipeline;
