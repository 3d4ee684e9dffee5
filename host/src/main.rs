//! The program: see `billhook --help`.

/// Many small values of short lives, freed by other threads than made them: the system's allocator takes a tenth of the
/// daemon's processor time for them, this one half of that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    billhook::cli::main()
}
