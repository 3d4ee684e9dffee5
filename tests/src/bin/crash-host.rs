//! The host as the crash suite runs it. The product has no such hooks.

use billhook_tests::crash_host::{Args, serve};
use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("crash-host: {text}");
            ExitCode::FAILURE
        }
    }
}
