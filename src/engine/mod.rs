//! The engine: the one part that knows tensors, run as a program of its own so that its death is only a message.
#![allow(clippy::disallowed_types, reason = "this room owns tensors")]

pub(crate) mod torch;
