//! Options for the metadata of a new file.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

#[derive(Debug, Args)]
#[command(next_help_heading = "Metadata")]
pub(crate) struct MetadataArgs {
    /// JSON object with the members of model_info, or a metadata.json that `unpack` wrote. The
    /// options below override its members
    #[arg(long, value_name = "FILE.json")]
    pub(crate) metadata: Option<PathBuf>,

    /// Name of the model
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model_name: Option<String>,

    /// Version of the model
    #[arg(long, value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model_version: Option<String>,

    /// Prompt that generated the image
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// Tag to find the image by; can be repeated
    #[arg(long = "tag", value_name = "WORD")]
    pub(crate) tags: Vec<String>,

    /// Date when the image was made, in ISO 8601 format [default: now]
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Option<String>,

    /// Generation setting; can be repeated. If any is given, seed, steps and sampler are required,
    /// such as seed=42, steps=50 and sampler=ddim. Others are cfg_scale, scheduler, eta, guidance,
    /// precision, deterministic, and names of your own, whose values are stored as JSON if valid,
    /// and otherwise as text
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) settings: Vec<String>,

    /// Do not read metadata from text embedded in the image or in .latent files
    #[arg(long)]
    pub(crate) no_image_text: bool,
}
