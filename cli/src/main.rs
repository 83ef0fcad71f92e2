//! The `gen5` command.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use gen5_cli::{Streams, streams};

fn main() -> ExitCode {
    if let Some(code) = gen5_cli::serve_gpus() {
        return code;
    }
    gen5_cli::catch_file_size_signal();
    let streams = Streams {
        input: &mut *streams::input(),
        out: &mut *streams::output(),
        messages: &mut io::stderr(),
        is_terminal: io::stdout().is_terminal(),
        messages_on_terminal: io::stderr().is_terminal(),
    };
    gen5_cli::exit(gen5_cli::run_in(std::env::args_os(), streams))
}
