//! Options of `gen5 unpack`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::options::{CaptureArgs, PreviewArg};

/// Unpack latents, image, metadata and environment into a folder.
///
/// DIR receives the latents in the chosen format, index.json (which lists the file of each latent),
/// image.<ext>, metadata.json (the manifest as stored) and environment.json. Every hash is checked
/// during unpacking.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 unpack run.gen5 -o run
  gen5 unpack run.gen5 -o run --format safetensors
  gen5 unpack cache.gen5 -o cache --format original
  gen5 unpack run.gen5 -o ComfyUI/input --format comfyui --unscale auto")]
pub(crate) struct UnpackArgs {
    /// File to unpack
    pub(crate) file: PathBuf,

    /// Folder to write; it must be new or empty unless --force is given
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Format of the latents
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Npy)]
    pub(crate) format: Format,

    /// Undo the scale and shift that the model's sampler works with. Only for --format comfyui and
    /// kohya, whose programs expect latents as a VAE produces them (kohya: except those of FLUX.1).
    /// auto selects the model by its name and reports the choice; sd15 also suits Stable Diffusion
    /// 2, and sd3 also suits 3.5; none means that latents are already unscaled. Latents packed from
    /// files of these programs are recognized as unscaled
    #[arg(long, value_enum, value_name = "MODEL")]
    pub(crate) unscale: Option<PreviewArg>,

    /// Write into a folder that already contains files, replacing files of the same name
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Also write chunks of unknown types, to unknown/*.bin. By default, they are checked, and
    /// reported on standard error
    #[arg(long)]
    pub(crate) unknown: bool,

    /// Skip the environment check. By default, differences from this machine are reported on
    /// standard error
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment_check: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One latents/*.npy file for each latent; bfloat16 becomes float32, which represents it
    /// exactly
    Npy,
    /// All latents in latents.npz; bfloat16 becomes float32
    Npz,
    /// All latents in latents.safetensors, in their own dtypes, with the metadata as text entries
    Safetensors,
    /// The files that were packed, in latents/, under their names and with all their arrays and
    /// text; other latents become .npy files
    Original,
    /// .latent files for ComfyUI
    Comfyui,
    /// .npz caches for kohya's sd-scripts
    Kohya,
    /// .safetensors caches for musubi-tuner, only for latents packed from such caches
    Musubi,
}
