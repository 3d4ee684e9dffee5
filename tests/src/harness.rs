//! A whole host beside a fake panel of any kind, on one manual clock: hooks go in, time moves, the panel is asked what
//! became of it.

pub mod artifacts;
pub mod daemon;
pub mod description;
pub mod front;
mod process;
mod provider;
mod rig;
mod saved;

pub use process::{Cut, Process};
pub use provider::{PanelOf, Provider, RunningOf};
pub use rig::{Host, PLATFORM, Rig, STORE, Setup, StoreOn, body, temp_folder};
pub use saved::Saved;
