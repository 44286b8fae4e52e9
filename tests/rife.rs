//! The embedded network.
#![cfg(feature = "torch")]
