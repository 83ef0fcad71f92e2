//! The `gen5` command.

use std::io::{self, BufWriter};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout());
    let code = gen5_cli::run(std::env::args_os(), &mut out, &mut io::stderr());
    ExitCode::from(code)
}
