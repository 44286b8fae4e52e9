//! The engine: the one part that knows tensors, run as a program of its own so that its death is only a message.
#![allow(clippy::disallowed_types, reason = "this module owns tensors")]
#![allow(clippy::assign_op_pattern, reason = "`+=` changes a tensor in place, and others may share it")]

pub(crate) mod jobs;
pub(crate) mod layers;
pub(crate) mod rife;
pub(crate) mod torch;
pub(crate) mod wan;
pub(crate) mod weights;
