//! Options of `gen5 diff`.

use std::path::PathBuf;

use clap::Args;

/// Tell how two files differ.
///
/// Compared are metadata, member by member, environment, image and the values of the latents, however they are stored.
/// What both files record under the same hash is not read; other latents are read block by block, and their hashes
/// checked. The exit code is 0 if the files are the same, 4 if they differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 diff run.gen5 again.gen5
  gen5 diff run.gen5 other-gpu.gen5 --tolerance 1e-3
  gen5 diff run.gen5 again.gen5 --json | jq '.latents[] | select(.result == \"differs\")'")]
pub(crate) struct DiffArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The file it is compared with
    pub(crate) other: PathBuf,

    /// Latents are the same if no value differs by more than this, whatever their dtypes
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = tolerance)]
    pub(crate) tolerance: Option<f64>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A difference that is allowed.
fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(tolerance) if (0.0..f64::INFINITY).contains(&tolerance) => Ok(tolerance),
        _ => Err("expected a number from 0 on, such as 1e-3".into()),
    }
}
