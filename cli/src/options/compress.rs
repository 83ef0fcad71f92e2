//! The values of `--compress`.

use clap::ValueEnum;
use gen5::Compression;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compress {
    Auto,
    Zstd,
    Shuffled,
    None,
}

impl From<Compress> for Compression {
    fn from(compress: Compress) -> Self {
        match compress {
            Compress::Auto => Self::Auto,
            Compress::Zstd => Self::Zstd,
            Compress::Shuffled => Self::Shuffled,
            Compress::None => Self::Raw,
        }
    }
}
