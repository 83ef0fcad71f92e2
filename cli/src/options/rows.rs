//! A range of rows of a latent, as typed on the command line.

use std::fmt;
use std::str::FromStr;

/// A range of rows of a latent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRange {
    /// The first row.
    pub(crate) start: usize,
    /// One past the last row; `None` for an open range.
    pub(crate) end: Option<usize>,
}

impl FromStr for RowRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |text: &str, default| if text.is_empty() { Some(default) } else { text.parse().ok().map(Some) };
        let rows = text
            .split_once("..")
            .and_then(|(start, end)| Some(Self { start: number(start, Some(0))??, end: number(end, None)? }));
        match rows {
            Some(Self { start, end: Some(end) }) if end < start => {
                Err(format!("it ends before it starts; did you mean {end}..{start}?"))
            }
            Some(rows) => Ok(rows),
            None => Err("expected A..B, A.. or ..B, such as 0..8".to_owned()),
        }
    }
}

impl fmt::Display for RowRange {
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
    use super::RowRange;

    #[test]
    fn rows_that_are_none_are_refused() {
        let rows = |text: &str| text.parse().map(|rows: RowRange| (rows.start, rows.end));
        let table =
            [("0..8", (0, Some(8))), ("2..", (2, None)), ("..5", (0, Some(5))), ("3..3", (3, Some(3)))];
        for (text, expected) in table {
            assert_eq!(rows(text), Ok(expected), "{text}");
        }
        assert_eq!(rows("3..1"), Err("it ends before it starts; did you mean 1..3?".to_owned()));
        for text in ["1", "a..b", "1-2", "", "-1..", "1..2..3"] {
            assert_eq!(rows(text), Err("expected A..B, A.. or ..B, such as 0..8".to_owned()), "{text}");
        }
    }
}
