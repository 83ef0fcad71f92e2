//! What is shown of a file, and how.

use clap::{Args, ValueEnum};

use super::Rows;
use crate::picture::{self, Preview, Previews};

/// What is looked at, and how.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// Only the latent of this key, or #N for the one at position N, from 0; give it as often as you like
    #[arg(long = "latent", value_name = "KEY")]
    pub(crate) latents: Vec<String>,

    /// Only these rows of latents: images of a batch, or steps; from 0, the end not included
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    pub(crate) rows: Option<Rows>,

    /// The model whose published factors turn latents into previews; auto guesses it from the channels and the model's
    /// name, and says so. sd15 is good for Stable Diffusion 2, and sd3 for 3.5, too
    #[arg(long, value_enum, value_name = "MODEL", default_value_t = PreviewArg::Auto)]
    pub(crate) preview: PreviewArg,

    /// Images or steps side by side [default: as many as there is room for]
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
pub(crate) enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub(crate) fn colors(self) -> picture::Theme {
        match self {
            Self::Light => picture::Theme::LIGHT,
            Self::Dark => picture::Theme::DARK,
        }
    }
}
