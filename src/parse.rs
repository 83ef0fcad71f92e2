//! The names that users write, as text and back: dtypes, compressions and versions.

use std::fmt;
use std::str::FromStr;

use crate::element::Dtype;
use crate::error::{Error, Result};
use crate::wire::Version;
use crate::writer::Compression;

/// Parses the name in a record: `float16`, `bfloat16` or `float32`.
impl FromStr for Dtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let dtype = Self::ALL.iter().copied().find(|dtype| dtype.name() == name);
        dtype.ok_or_else(|| Error::argument("dtype", "float16, bfloat16 or float32", format!("{name:?}")))
    }
}

impl Compression {
    /// All values.
    pub const ALL: &'static [Self] = &[Self::Auto, Self::Raw, Self::Zstd, Self::Shuffled];

    /// Returns the name: `auto`, `raw`, `zstd` or `shuffled`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Raw => "raw",
            Self::Zstd => "zstd",
            Self::Shuffled => "shuffled",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Parses the [name](Self::name).
impl FromStr for Compression {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let compression = Self::ALL.iter().copied().find(|compression| compression.name() == name);
        compression
            .ok_or_else(|| Error::argument("compression", "auto, raw, zstd or shuffled", format!("{name:?}")))
    }
}

/// Parses two numbers with a point between them: `1.0`.
impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once('.')
            .filter(|(major, minor)| is_number(major) && is_number(minor))
            .and_then(|(major, minor)| Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? }))
            .ok_or_else(|| {
                Error::argument("version", "a major and a minor number, such as 1.0", format!("{text:?}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.to_string().parse::<Dtype>().unwrap(), *dtype);
        }
        for compression in Compression::ALL {
            assert_eq!(compression.to_string().parse::<Compression>().unwrap(), *compression);
        }
        for version in [Version::V1_0, Version::V1_1, Version { major: 0, minor: 255 }] {
            assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for text in ["", "float64", "F16", "float16 "] {
            assert!(text.parse::<Dtype>().is_err(), "{text}");
        }
        assert_eq!(
            "gzip".parse::<Compression>().unwrap_err().to_string(),
            "compression: expected auto, raw, zstd or shuffled, found \"gzip\""
        );
        for text in ["", "1", "1.", ".1", "1.0.0", "+1.0", "1.256", "1.-1", " 1.0"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
