//! `billhook completions`: what a shell needs to complete arguments.

use super::answer::{Answer, Exit};
use clap::{CommandFactory, ValueEnum};
use clap_complete::shells;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The script; with `--json` as one text.
pub(super) fn print(shell: Shell) -> Answer {
    Answer::new(script(shell), script(shell).into(), Exit::Done)
}

fn script(shell: Shell) -> String {
    let mut command = super::Cli::command();
    let mut script = Vec::new();
    match shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut command, "billhook", &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, "billhook", &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut command, "billhook", &mut script),
    }
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for word in ["timeline", "search", "export", "with-bodies", "remote-id"] {
                assert!(script.contains(word), "{shell:?} {word}");
            }
        }
    }
}
