//! Options of `gen5 show`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::options::{LookArgs, Theme};

/// Show what is in a file on the terminal: its image, and its latents as tiles with their statistics.
///
/// As `render` does, but right there. How the terminal shows pictures is told by its variables (TERM, TERM_PROGRAM, …), which
/// not all terminals that can do more set: --protocol says it. Elsewhere than on a terminal there is only the text.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 show run.gen5
  gen5 show run.gen5 --latent trajectory --columns 4
  gen5 show run.gen5 --protocol sixel
  gen5 show run.gen5 --protocol blocks | less -R
  gen5 show run.gen5 --json | jq '.latents[] | select(.nan > 0) | .key'")]
pub(crate) struct ShowArgs {
    /// The file
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) look: LookArgs,

    /// How pictures are sent: as kitty, iTerm2 or sixel terminals take them, or as half blocks in all colours or in 256
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProtocolArg::Auto)]
    pub(crate) protocol: ProtocolArg,

    /// Characters from left to right [default: those of the terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..=1000))]
    pub(crate) width: Option<u16>,

    /// What pictures stand on: light or dark, as the terminal does
    #[arg(long, value_enum, value_name = "THEME", default_value_t = Theme::Dark)]
    pub(crate) theme: Theme,

    /// The statistics of all latents as JSON instead: an object. They are of all values, also where what is shown is a
    /// sample
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
