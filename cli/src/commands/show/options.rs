//! Options of `gen5 show`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::options::{ThemeArg, ViewArgs};

/// Show a file's image and latents on the terminal, with statistics.
///
/// Latents are drawn as tiles, as `render` draws them. Terminal variables (TERM, TERM_PROGRAM, …)
/// determine how pictures are drawn. Not all capable terminals set them; for those, use --protocol.
/// If standard output is not a terminal and no protocol is given, only text is printed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 show run.gen5
  gen5 show run.gen5 --latent trajectory --columns 4
  gen5 show run.gen5 --protocol sixel
  gen5 show run.gen5 --protocol blocks | less -R
  gen5 show run.gen5 --json | jq '.latents[] | select(.nan > 0) | .key'")]
pub(crate) struct ShowArgs {
    /// File to show
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) view: ViewArgs,

    /// How to draw pictures: with the protocol of kitty, iTerm2 or sixel terminals, or as half
    /// blocks in all colours (blocks) or in 256 (blocks256)
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProtocolArg::Auto)]
    pub(crate) protocol: ProtocolArg,

    /// Width in characters [default: width of the terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..=1000))]
    pub(crate) width: Option<u16>,

    /// Background colour of pictures, to match the terminal
    #[arg(long, value_enum, value_name = "THEME", default_value_t = ThemeArg::Dark)]
    pub(crate) theme: ThemeArg,

    /// Print the statistics of all latents as a JSON object instead. They always cover all values,
    /// even of latents that are otherwise shown from a sample
    #[arg(long, conflicts_with_all = ["protocol", "width", "theme", "preview", "columns"])]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolArg {
    Auto,
    Kitty,
    Iterm2,
    Sixel,
    Blocks,
    Blocks256,
}
