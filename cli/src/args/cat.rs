//! Options of `gen5 cat`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Write the values of a latent to standard output.
///
/// They come as they are, little-endian and in C order, or as a .npy array, however large the latent is. Hashes are
/// checked on the way: only when the exit code is 0 are all values those that were stored.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 cat run.gen5 noise > noise.f32
  gen5 cat run.gen5 trajectory --rows 49.. --npy > last.npy
  gen5 cat run.gen5 '#0' | sha256sum")]
pub(crate) struct CatArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The latent's key, or #N for the one at position N, from 0
    pub(crate) key: String,

    /// Only these rows, from 0, the end not included; 2.. and ..5 leave out an end. Rows count along the first axis that
    /// is longer than 1
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    pub(crate) rows: Option<Rows>,

    /// As a .npy array; bfloat16 as float32, which holds it exactly
    #[arg(long)]
    pub(crate) npy: bool,
}

/// Rows of a latent, as they are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// The first.
    pub(crate) start: usize,
    /// The first that is not among them; `None` for all that come.
    pub(crate) end: Option<usize>,
}

impl FromStr for Rows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, default| match text.is_empty() {
            true => Some(default),
            false => text.parse().ok().map(Some),
        };
        let rows = text
            .split_once("..")
            .and_then(|(start, end)| Some(Self { start: number(start, Some(0))??, end: number(end, None)? }));
        match rows {
            Some(Self { start, end: Some(end) }) if end < start => {
                Err(format!("it ends before it starts; is {end}..{start} meant?"))
            }
            Some(rows) => Ok(rows),
            None => Err("expected A..B, A.. or ..B, such as 0..8".to_owned()),
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = self;
        match end {
            Some(end) => write!(f, "{start}..{end}"),
            None => write!(f, "{start}.."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn rows_that_are_none_are_refused() {
        let rows = |text: &str| text.parse().map(|rows: Rows| (rows.start, rows.end));
        let table =
            [("0..8", (0, Some(8))), ("2..", (2, None)), ("..5", (0, Some(5))), ("3..3", (3, Some(3)))];
        for (text, expected) in table {
            assert_eq!(rows(text), Ok(expected), "{text}");
        }
        assert_eq!(rows("3..1"), Err("it ends before it starts; is 1..3 meant?".to_owned()));
        for text in ["1", "a..b", "1-2", "", "-1..", "1..2..3"] {
            assert_eq!(rows(text), Err("expected A..B, A.. or ..B, such as 0..8".to_owned()), "{text}");
        }
    }
}
