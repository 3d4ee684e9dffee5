//! Promises to users, held against a host and a fake panel.

mod at_once;
mod commits;
mod crash;
mod doubt;
mod kill;
mod known;
mod lifecycle;
mod secrets;
mod sockets;
