//! Options of `gen5 diff`.

use std::path::PathBuf;

use clap::Args;

/// Compare two files and report how they differ.
///
/// Compares the metadata (member by member), the environment, the image, and the values of the
/// latents, regardless of how they are stored. Data with the same recorded hash in both files is
/// not read; other latents are read block by block, and their hashes are checked. The exit code is
/// 0 if the files are the same, and 4 if they differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 diff run.gen5 again.gen5
  gen5 diff run.gen5 other-gpu.gen5 --tolerance 1e-3
  gen5 diff run.gen5 again.gen5 --json | jq '.latents[] | select(.result == \"differs\")'")]
pub(crate) struct DiffArgs {
    /// File to compare
    pub(crate) file: PathBuf,

    /// File to compare it with
    pub(crate) other: PathBuf,

    /// Treat latents as the same if no value differs by more than X, regardless of their dtypes
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = tolerance)]
    pub(crate) tolerance: Option<f64>,

    /// Print the result as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses the largest difference to ignore.
fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(tolerance) if (0.0..f64::INFINITY).contains(&tolerance) => Ok(tolerance),
        _ => Err("expected a number of 0 or more, such as 1e-3".into()),
    }
}
