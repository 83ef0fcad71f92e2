//! `gen5 completions`: what makes a shell complete `gen5`.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::aot;

use crate::args::{Cli, CompletionsArgs, Shell};
use crate::output::Output;

pub(crate) fn run(args: &CompletionsArgs, output: &mut Output<'_>) -> Result<()> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    // It panics where it cannot write, which memory cannot refuse.
    let mut script = Vec::new();
    aot::generate(shell, &mut Cli::command(), "gen5", &mut script);
    Ok(output.out.write_all(&script)?)
}
