//! The `gen5` command.

use std::io::{self, BufWriter, IsTerminal};
use std::process::ExitCode;

use gen5_cli::Streams;
use gen5_cli::colour::Colours;

fn main() -> ExitCode {
    let is_terminal = io::stdout().is_terminal();
    let mut out = BufWriter::new(io::stdout());
    let colours = Colours::detect();
    let streams = Streams { out: &mut out, messages: &mut io::stderr(), is_terminal, colours };
    let code = gen5_cli::run_in(std::env::args_os(), streams);
    ExitCode::from(code)
}
