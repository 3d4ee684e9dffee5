//! The floor: see the library.

use billhook_bench::floor::{Store, serve};
use clap::Parser;
use std::path::PathBuf;

/// Serves hooks on a unix socket until it is killed.
#[derive(Parser)]
struct Args {
    /// Which library writes.
    #[arg(long)]
    store: Store,
    /// The database, which must not exist yet.
    #[arg(long)]
    database: PathBuf,
    /// The socket.
    #[arg(long)]
    socket: PathBuf,
    /// The panel's address, `http://127.0.0.1:8080`.
    #[arg(long)]
    panel: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    serve(args.store, &args.database, &args.socket, args.panel).await
}
