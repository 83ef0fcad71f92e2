//! Options of what helps in using gen5: `completions` and `man`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Print what makes a shell complete the words of gen5.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 completions bash > ~/.local/share/bash-completion/completions/gen5
  gen5 completions fish > ~/.config/fish/completions/gen5.fish
  gen5 completions zsh > ~/.zfunc/_gen5    # a folder of fpath, before compinit")]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Write the manual: gen5.1, and a page for each command.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  gen5 man -o ~/.local/share/man/man1 && man gen5-pack")]
pub(crate) struct ManArgs {
    /// The folder to write to; it is made if it is not there
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Replace pages that are there
    #[arg(long, short)]
    pub(crate) force: bool,
}
