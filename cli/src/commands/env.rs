//! `gen5 env`: the environment of this machine, and how the environments of files differ from it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gen5::Environment;
use gen5::environment::{Captured, Component};
use gen5::metadata::HardwareInfo;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Status;
use crate::failure::of_file;
use crate::input::Inputs;
use crate::options::CaptureArgs;
use crate::output::environment::describe;
use crate::output::environment::{SortedDrift, capture};
use crate::output::members::Members;
use crate::output::{FailureReport, Output, path_text};
use crate::terminal::shown;
use clap::Args;
use gen5_picture::text::escape;
use std::path::PathBuf;

/// Show the environment of this machine, or compare it with that of a file.
///
/// Without FILE, prints the environment that `pack` would store: versions of Python packages,
/// operating system, GPUs, processor. With FILE, reports how its environment differs from this
/// machine's, or with OTHER, from that of another file, in the wording of the Python package. The
/// exit code is 0 if the environments are the same, and 4 if they differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 env
  gen5 env run.gen5; test $? = 4 && echo 'not as it was made'
  gen5 env run.gen5 other.gen5 --json")]
pub(crate) struct EnvArgs {
    /// File whose environment to compare
    pub(crate) file: Option<PathBuf>,

    /// File to compare it with, instead of this machine
    #[arg(conflicts_with_all = ["python", "no_python", "no_gpus"])]
    pub(crate) other: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// Print the result as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The JSON report of this machine.
#[derive(Serialize)]
struct Machine<'a> {
    environment: &'a [Component],
    hardware_info: &'a HardwareInfo,
    notes: &'a [String],
    milliseconds: Milliseconds,
}

#[derive(Serialize)]
struct Milliseconds {
    total: f64,
    python: Option<f64>,
    nvml_start: Option<f64>,
}

/// The JSON report of a file compared with another or with this machine.
#[derive(Serialize)]
struct ComparisonReport {
    path: String,
    /// The other file; null for this machine.
    other: Option<String>,
    same: bool,
    drift: SortedDrift,
}

pub(crate) fn run(args: &EnvArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let Some(path) = &args.file else {
        let captured = capture(&args.capture, output)?;
        return show(&captured, args.json, output);
    };
    let comparison = match compare(args, path, input, output) {
        Ok(comparison) => comparison,
        Err(error) if args.json => {
            output.json(&FailureReport { path: path_text(path), error: format!("{error:#}") })?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    if !comparison.is_same() {
        output.remember(Status::Different);
    }
    if args.json {
        let other = args.other.as_deref().map(path_text);
        let same = comparison.is_same();
        return output.json(&ComparisonReport { path: path_text(path), other, same, drift: comparison });
    }
    let file = shown(path);
    let (side, other) = match &args.other {
        Some(other) => ("second", shown(other)),
        None => ("current", "this machine".into()),
    };
    if comparison.is_same() {
        writeln!(output.out, "{file}: the environment matches that of {other}")?;
    } else {
        writeln!(output.out, "{file}: {} ({side}: {other})", comparison.summary())?;
    }
    Ok(comparison.write(output.out)?)
}

fn compare(args: &EnvArgs, path: &Path, input: &Inputs<'_>, output: &mut Output<'_>) -> Result<SortedDrift> {
    let file = environment_of(path, input)?;
    if let Some(other) = &args.other {
        return Ok(SortedDrift::with_file(&file, &environment_of(other, input)?));
    }
    let current = capture(&args.capture, output)?.environment;
    ensure!(
        args.capture.python.is_none() || current.get("python").is_some(),
        "the interpreter that --python names did not answer, so there is nothing to compare with"
    );
    Ok(SortedDrift::with_machine(&file, &current))
}

fn environment_of(path: &Path, input: &Inputs<'_>) -> Result<Environment> {
    let reader = input.open(path)?;
    let environment = reader.environment().map_err(|error| of_file(error, path))?;
    environment.with_context(|| format!("{} has no environment to compare", shown(path)))
}

fn show(captured: &Captured, json: bool, output: &mut Output<'_>) -> Result<()> {
    let Captured { environment, hardware, notes, timings, .. } = captured;
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
    if json {
        let milliseconds = Milliseconds {
            total: milliseconds(timings.total),
            python: timings.python.map(milliseconds),
            nvml_start: timings.nvml_start.map(milliseconds),
        };
        let environment = environment.components();
        return output.json(&Machine { environment, hardware_info: hardware, notes, milliseconds });
    }
    let environment = environment.components().iter().map(|component| ("environment", describe(component)));
    let mut took = format!("in {} ms", milliseconds(timings.total));
    if let Some(start) = timings.nvml_start {
        took += &format!("; starting NVML took {} ms of this", milliseconds(start));
    }
    for (name, text) in
        environment.chain([("hardware", Members::of(hardware).to_string()), ("captured", took)])
    {
        writeln!(output.out, "{name:<12} {}", escape(&text))?;
    }
    Ok(())
}
