//! Billhook's daemon: a billing hook becomes an operation, an operation becomes attempts, an attempt calls one plugin.
//!
//! Core modules hold values and decisions and do no IO; edge modules talk to one outside world each; drivers put them
//! together. Imports only go from drivers to edges to core.

// Core.
pub mod admission;
mod hex;
pub mod journal;
pub mod lane;
pub mod mask;
pub mod operation;
pub mod order;
pub mod placement;
pub mod problem;
pub mod request;
pub mod retention;
pub mod retry;
pub mod verdict;
mod words;

// Edges: one outside world each.
pub mod awake;
pub mod body;
pub mod clock;
pub mod config;
pub mod plugin;
pub mod seal;
pub mod store;
pub mod wire;

// Drivers.
pub mod attempt;
pub mod cli;
pub mod engine;
pub mod metrics;
pub mod panel;
pub mod server;
pub mod views;
