//! Promises to users, held against a host and a fake panel.

mod crash;
mod kill;
mod lifecycle;
