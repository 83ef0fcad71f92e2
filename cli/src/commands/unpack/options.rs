//! Options of `gen5 unpack`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::options::{CaptureArgs, PreviewArg};

/// Take a file apart: latents, image, metadata and environment.
///
/// DIR gets the latents in the format that is asked for, index.json (where which latent is), image.<ext>, metadata.json
/// (the manifest as it is stored) and environment.json. Every hash is checked on the way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 unpack run.gen5 -o run
  gen5 unpack run.gen5 -o run --format safetensors
  gen5 unpack cache.gen5 -o cache --format original
  gen5 unpack run.gen5 -o ComfyUI/input --format comfyui --unscale auto")]
pub(crate) struct UnpackArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The folder to write; it has to be new or empty
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// What becomes of the latents
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Npy)]
    pub(crate) format: Format,

    /// For ComfyUI and kohya, which take latents as a VAE gives them (kohya not those of FLUX.1): undo the scale and shift
    /// that a model's sampler works with. auto goes by the model's name, and says so; sd15
    /// is good for Stable Diffusion 2, and sd3 for 3.5, too; none says that latents are unscaled. Those that came from such
    /// files are known to be
    #[arg(long, value_enum, value_name = "MODEL")]
    pub(crate) unscale: Option<PreviewArg>,

    /// Write into a folder that has files already, replacing those of the same names
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Write chunks of unknown types, too: unknown/*.bin. Without it they are checked, and standard error reports them
    #[arg(long)]
    pub(crate) unknown: bool,

    /// Do not compare the file's environment with this machine's, of which standard error tells else
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment_check: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// Tell what was written as JSON: an object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// latents/*.npy, one each; bfloat16 as float32, which holds it exactly
    Npy,
    /// All in latents.npz; bfloat16 as float32
    Npz,
    /// All in latents.safetensors, in their own types, with the metadata as its texts
    Safetensors,
    /// The files that were packed, in latents/, by name, with all their arrays and texts; latents of other files as .npy
    Original,
    /// .latent files for ComfyUI
    Comfyui,
    /// .npz caches for kohya's sd-scripts
    Kohya,
    /// .safetensors caches for musubi-tuner, of files that were such
    Musubi,
}
