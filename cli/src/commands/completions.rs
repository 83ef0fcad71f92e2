//! `gen5 completions`: shell completion scripts.

use anyhow::Result;
use clap_complete::aot;

use crate::output::Output;
use clap::{Args, ValueEnum};

/// Print a shell completion script.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 completions bash > ~/.local/share/bash-completion/completions/gen5
  gen5 completions fish > ~/.config/fish/completions/gen5.fish
  gen5 completions zsh > ~/.zfunc/_gen5    # a folder of fpath, before compinit")]
pub(crate) struct CompletionsArgs {
    /// Shell to generate the script for
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// `gen5` is the command line to complete.
pub(crate) fn run(args: &CompletionsArgs, mut gen5: clap::Command, output: &mut Output<'_>) -> Result<()> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    // Write to memory first: clap panics if a write fails.
    let mut script = Vec::new();
    aot::generate(shell, &mut gen5, "gen5", &mut script);
    Ok(output.out.write_all(&script)?)
}
