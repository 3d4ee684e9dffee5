//! A whole host beside a fake panel, on one manual clock: hooks go in, time moves, the panel is asked what became of it.

pub mod artifacts;
mod rig;

pub use rig::{Host, Rig, Setup, body};
