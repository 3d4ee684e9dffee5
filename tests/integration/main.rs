//! Promises to users, held against a host and a fake panel.

mod at_once;
mod commits;
mod crash;
mod doubt;
mod known;
mod kill;
mod lifecycle;
mod secrets;
mod sockets;
