//! The program: see `billhook --help`.

/// A hook makes some thousands of small values on several threads, and frees them on others: a fifth of its time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    billhook::cli::main()
}
