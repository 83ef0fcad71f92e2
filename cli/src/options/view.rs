//! Options for drawing a file's latents.

use clap::{Args, ValueEnum};
use gen5_picture::{Preview, Previews, Theme};

use super::RowRange;

/// Which latents to draw, and how.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Only the latent with this key, or #N for the latent at position N, counting from 0; can be
    /// repeated
    #[arg(long = "latent", value_name = "KEY")]
    pub(crate) latents: Vec<String>,

    /// Only rows A to B-1 of each latent, counting from 0. Rows are images of a batch, or steps
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    pub(crate) rows: Option<RowRange>,

    /// Model whose published factors turn latents into previews. auto guesses it from the number of
    /// channels and the model's name, and reports the guess. sd15 also suits Stable Diffusion 2,
    /// and sd3 also suits 3.5
    #[arg(long, value_enum, value_name = "MODEL", default_value_t = PreviewArg::Auto)]
    pub(crate) preview: PreviewArg,

    /// Number of images or steps side by side [default: as many as fit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) columns: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PreviewArg {
    Auto,
    None,
    Sd15,
    Sdxl,
    Sd3,
    Flux,
}

impl PreviewArg {
    pub(crate) fn previews(self) -> Previews {
        match self {
            Self::Auto => Previews::Auto,
            Self::None => Previews::Off,
            Self::Sd15 => Previews::By(Preview::Sd15),
            Self::Sdxl => Previews::By(Preview::Sdxl),
            Self::Sd3 => Previews::By(Preview::Sd3),
            Self::Flux => Previews::By(Preview::Flux),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ThemeArg {
    Light,
    Dark,
}

impl ThemeArg {
    pub(crate) fn colors(self) -> Theme {
        match self {
            Self::Light => Theme::LIGHT,
            Self::Dark => Theme::DARK,
        }
    }
}
