//! What the benchmark measures the daemon beside. `cargo xtask bench` starts these programs and reads their figures.
//!
//! The *floor* is the least that anybody could do who keeps the daemon's promises of durability: a socket, a durable
//! intent, the call, a durable outcome, the answer. It has two forms, since two libraries write to SQLite at different
//! speeds. The *panel* only answers. The *load* is one thread that keeps a number of callers busy.

pub mod clock;
pub mod floor;
pub mod http;
pub mod load;
pub mod sample;
pub mod tables;
