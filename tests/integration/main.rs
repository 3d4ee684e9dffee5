//! Promises to users, held against a host and a fake panel.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of a test's own function")]

mod apiscp;
mod at_once;
mod bad_answers;
mod bad_requests;
mod canary;
mod clock;
mod commits;
mod contract;
mod crash;
mod dcimanager;
mod disk;
mod doubt;
mod groups;
mod hosts;
mod kill;
mod known;
mod lanes;
mod lifecycle;
mod limits;
mod loader;
mod moved;
mod openapi;
mod reload;
mod restored;
mod rootpanel;
mod rootpanel_crash;
mod secrets;
mod sockets;
mod solidcp;
mod solidcp_crash;
mod supervisor;
mod virtfusion_hooks;
