//! The `gen5` command.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use gen5_cli::Streams;

fn main() -> ExitCode {
    if let Some(code) = gen5_cli::serve_gpus() {
        return code;
    }
    gen5_cli::catch_file_size_signal();
    let is_terminal = io::stdout().is_terminal();
    // On a terminal a line is seen when it is complete.
    let mut out: Box<dyn Write + Send> =
        if is_terminal { Box::new(io::stdout()) } else { Box::new(BufWriter::new(io::stdout())) };
    let streams = Streams {
        input: &mut io::stdin(),
        out: &mut out,
        messages: &mut io::stderr(),
        is_terminal,
        messages_on_terminal: io::stderr().is_terminal(),
    };
    gen5_cli::exit(gen5_cli::run_in(std::env::args_os(), streams))
}
