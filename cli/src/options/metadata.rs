//! Metadata of a new file.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

#[derive(Debug, Args)]
#[command(next_help_heading = "Metadata")]
pub(crate) struct MetadataArgs {
    /// A JSON object with the members of model_info (or a metadata.json that `unpack` wrote); the flags below override
    /// it
    #[arg(long, value_name = "FILE.json")]
    pub(crate) metadata: Option<PathBuf>,

    /// Name of the model
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model_name: Option<String>,

    /// Version of the model
    #[arg(long, value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model_version: Option<String>,

    /// The prompt
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// A word to find the image by; give it as often as you like
    #[arg(long = "tag", value_name = "WORD")]
    pub(crate) tags: Vec<String>,

    /// When the image was made, ISO 8601 [default: now]
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Option<String>,

    /// A generation setting: seed=42, steps=50 and sampler=ddim are required if there is any; also cfg_scale,
    /// scheduler, eta, guidance, precision, deterministic, and names of your own, whose values are JSON if they can be, or
    /// else text
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) settings: Vec<String>,

    /// Do not look for text in the image, or in .latent files
    #[arg(long)]
    pub(crate) no_image_text: bool,
}
