//! The command line of gen5 as a library. `main` only passes the arguments, so tests can reach
//! every part.

pub mod budget;
mod cli;
mod commands;
mod compare_json;
mod context;
pub mod convert;
pub mod embedded;
mod failure;
mod gpu_process;
pub mod graphics;
mod input;
mod interrupt;
mod metadata;
pub mod names;
mod options;
mod output;
mod page;
mod progress;
pub mod streams;
mod suggest;
pub mod terminal;
mod threads;
mod transfer;
mod unknown;
mod usage;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::time::Instant;

use clap::{CommandFactory, Parser};

use crate::cli::Cli;
use crate::cli::Command;
use crate::commands::cat;
use crate::commands::completions;
use crate::commands::diff;
use crate::commands::env;
use crate::commands::fingerprint;
use crate::commands::info;
use crate::commands::ls;
use crate::commands::man;
use crate::commands::merge;
use crate::commands::pack;
use crate::commands::render;
use crate::commands::repack;
use crate::commands::report;
use crate::commands::set;
use crate::commands::show;
use crate::commands::split;
use crate::commands::unpack;
use crate::commands::verify;
use crate::context::Context;
use crate::failure::Status;
pub use crate::gpu_process::serve_gpus;
use crate::input::Inputs;
pub use crate::interrupt::{catch_file_size_signal, exit};
use crate::options::ColorMode;
use crate::output::{Output, Voice};

/// Runs the command in `args`, whose first element is the program's name. Results and help go to
/// `out`, messages to `messages`.
///
/// Returns the exit code: 0 for success, 1 for failure, 2 for wrong usage, 3 for a file that is
/// damaged or not GEN5, 4 if the compared items differ, and 128 plus the signal's number after an
/// [interrupt](exit).
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    out: &mut (dyn Write + Send),
    messages: &mut (dyn Write + Send),
) -> u8 {
    run_in(
        args,
        Streams { input: &mut io::empty(), out, messages, is_terminal: false, messages_on_terminal: false },
    )
}

/// The streams of a command.
pub struct Streams<'a> {
    /// The input read for the path `-`.
    pub input: &'a mut (dyn Read + Send),
    /// Results.
    pub out: &'a mut (dyn Write + Send),
    /// Messages.
    pub messages: &'a mut (dyn Write + Send),
    /// Whether results go to a terminal. Binary values are not written to one.
    pub is_terminal: bool,
    /// Whether messages go to a terminal.
    pub messages_on_terminal: bool,
}

/// Like [`run`], with information about the streams.
pub fn run_in(args: impl IntoIterator<Item = OsString>, streams: Streams<'_>) -> u8 {
    let Streams { input, out, messages, is_terminal, messages_on_terminal } = streams;
    let start = Instant::now();
    let mut results = Results(out);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let on_terminal = [is_terminal, messages_on_terminal];
            return decline(error, on_terminal, &mut results, messages).code();
        }
    };
    let colours =
        [is_terminal, messages_on_terminal].map(|on_terminal| has_colours(cli.common.color, on_terminal));
    let voice = Voice::new(&cli.common, colours);
    let output = Output {
        out: &mut results,
        is_terminal,
        messages,
        voice,
        json_path: cli.command.json_path(),
        notes: Vec::new(),
        worst: Status::Fine,
    };
    let mut context = Context { input: Inputs::new(input), output };
    let result = threads::on(cli.common.jobs, &mut context, |context| dispatch(&cli.command, context));
    let output = &mut context.output;
    match result.and_then(|()| Ok(output.out.flush()?)) {
        Ok(()) => {}
        // The reader of the results closed the pipe, but errors found before still count.
        Err(error) if failure::is_closed_pipe(&error) => {}
        Err(error) if interrupt::is_cause(&error) => {
            output.report(&interrupt::Interrupted.into());
            return interrupt::exit_code();
        }
        Err(error) => output.fail(&error),
    }
    output.detail(|| format!("{} ms", start.elapsed().as_millis()));
    output.worst.code()
}

/// Prints the requested help as a result, or the error in the command line as a message.
fn decline(
    error: clap::Error,
    [out_on_terminal, messages_on_terminal]: [bool; 2],
    out: &mut dyn Write,
    messages: &mut dyn Write,
) -> Status {
    let coloured = |on_terminal| has_colours(ColorMode::Auto, on_terminal);
    if error.use_stderr() {
        // If messages cannot be written, only the exit code remains.
        let _ = messages.write_all(usage::text(error, coloured(messages_on_terminal)).as_bytes());
        return Status::Usage;
    }
    let help = usage::text(error, coloured(out_on_terminal));
    match out.write_all(help.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Status::Fine,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Fine,
        Err(error) => {
            let _ = writeln!(messages, "gen5: {error}");
            Status::Failed
        }
    }
}

/// Runs one command.
fn dispatch(command: &Command, context: &mut Context<'_>) -> anyhow::Result<()> {
    match command {
        Command::Pack(args) => pack::run(args, context),
        Command::Unpack(args) => unpack::run(args, context),
        Command::Info(args) => info::run(args, context),
        Command::Ls(args) => ls::run(args, context),
        Command::Cat(args) => cat::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Render(args) => render::run(args, context),
        Command::Report(args) => report::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Fingerprint(args) => fingerprint::run(args, context),
        Command::Env(args) => env::run(args, context),
        Command::Set(args) => set::run(args, context),
        Command::Repack(args) => repack::run(args, context),
        Command::Merge(args) => merge::run(args, context),
        Command::Split(args) => split::run(args, context),
        Command::Completions(args) => completions::run(args, Cli::command(), &mut context.output),
        Command::Man(args) => man::run(args, Cli::command(), &mut context.output),
    }
}

/// Whether to use colours, according to the option and the environment.
fn has_colours(mode: ColorMode, on_terminal: bool) -> bool {
    match mode {
        ColorMode::Always => true,
        ColorMode::Never => false,
        ColorMode::Auto if anstyle_query::no_color() => false,
        ColorMode::Auto if anstyle_query::clicolor_force() => true,
        ColorMode::Auto => {
            on_terminal && anstyle_query::clicolor() != Some(false) && anstyle_query::term_supports_color()
        }
    }
}

/// The stream for results. Its errors say that the results could not be written.
struct Results<'a>(&'a mut (dyn Write + Send));

impl Write for Results<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(of_results)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(of_results)
    }
}

fn of_results(error: io::Error) -> io::Error {
    match error.kind() {
        // Callers retry this one.
        io::ErrorKind::Interrupted => error,
        kind => io::Error::new(kind, format!("could not write the results: {error}")),
    }
}
