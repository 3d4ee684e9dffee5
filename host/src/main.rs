//! The program: see `billhook --help`.

fn main() -> std::process::ExitCode {
    billhook::cli::main()
}
