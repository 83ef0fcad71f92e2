//! The command line of gen5, as a library: `main` only hands over the arguments, so that tests reach every part.

mod args;
mod commands;
pub mod convert;
mod failure;
pub mod names;
mod progress;
pub mod terminal;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::commands::{Output, info, pack, unpack, verify};
use crate::failure::Status;

/// Runs the command that `args` ask for (the program's name first). Results go to `out`, messages to `messages`.
/// Returns the exit code: 0 fine, 1 could not be done, 2 wrong usage, 3 the file is damaged or no GEN5 file.
pub fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write, messages: &mut dyn Write) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version were asked for, so they are results; clap colours what goes to a terminal.
            let printed = error.print();
            let usage = if error.use_stderr() { Status::Usage } else { Status::Fine };
            return if printed.is_ok() { usage.code() } else { Status::Failed.code() };
        }
    };
    let mut output = Output { out, messages };
    let result = match &cli.command {
        Command::Pack(args) => pack::run(args, &mut output),
        Command::Unpack(args) => unpack::run(args, &mut output),
        Command::Info(args) => info::run(args, &mut output),
        Command::Verify(args) => verify::run(args, &mut output),
    };
    let result = result.and_then(|status| {
        output.out.flush()?;
        Ok(status)
    });
    match result {
        Ok(status) => status.code(),
        // Whoever read the results has seen enough.
        Err(error) if failure::is_closed_pipe(&error) => Status::Fine.code(),
        Err(error) => output.report(&error).code(),
    }
}
