//! Options of `gen5 pack`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::convert::{FolderArg, LatentArg};
use crate::options::CaptureArgs;
use crate::options::{Compress, MetadataArgs};

/// Pack latents, an image and metadata into a GEN5 file.
#[derive(Debug, Args)]
#[command(override_usage = "gen5 pack <OUT> (--latent <[KEY=]FILE>... | --from <[KEY=]DIR>...) [OPTIONS]")]
#[command(after_help = "Examples:
  gen5 pack run.gen5 --latent noise.npy --model-name SD3 --model-version 3.0
  gen5 pack run.gen5 --latent noise.npy --image ComfyUI_00001_.png
  gen5 pack run.gen5 --latent initial_noise=noise.npy steps.safetensors --image out.png \\
      --metadata model_info.json --set seed=42 --set steps=50 --set sampler=ddim --compress zstd
  gen5 pack cache.gen5 --from train/cache --model-name SDXL --model-version 1.0 --no-environment
  gen5 cat run.gen5 noise --npy | gen5 pack noise.gen5 --latent noise=- --metadata run.json")]
pub(crate) struct PackArgs {
    /// File to write; the name must end in .gen5, or be - for standard output
    pub(crate) out: PathBuf,

    /// Latents to pack: a .npy file (float16 or float32), or all arrays of a .npz or .safetensors
    /// file (which can also be bfloat16) under their own names. KEY=FILE sets the key, and
    /// FILE:NAME selects a single array. FILE can be a pattern such as 'steps/*.npy', or - for
    /// standard input. ComfyUI's .latent files and the caches of kohya's sd-scripts and
    /// musubi-tuner are recognized: their other data is also kept, and `unpack --format original`
    /// restores it
    #[arg(long = "latent", value_name = "[KEY=]FILE", required_unless_present = "folders", num_args = 1..,
        value_parser = OsStringValueParser::new().try_map(LatentArg::parse))]
    pub(crate) latents: Vec<LatentArg>,

    /// Pack all files of these types in a folder, in natural order (2 before 10). Arrays of the
    /// same shape and dtype become the rows of one latent, named `latents` or KEY. If images have
    /// several sizes, each size becomes a latent, such as `latents/152x104` or KEY/152x104. An
    /// array that matches no other is named after its file. Subfolders are ignored
    #[arg(long = "from", id = "folders", value_name = "[KEY=]DIR", num_args = 1..,
        value_parser = OsStringValueParser::new().try_map(FolderArg::parse))]
    pub(crate) folders: Vec<FolderArg>,

    /// Image to store, byte for byte. Information that its generator embedded (prompt, settings,
    /// model, LoRAs as tags) fills in any metadata not given
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,

    /// How to compress latents. auto tries a sample of the values and compresses a latent if it
    /// shrinks to 85% or less; noise stays raw, so that it can be memory-mapped. shuffled is best
    /// for noise, but the Python package cannot read such a file
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Compress::Auto)]
    pub(crate) compress: Compress,

    /// zstd compression level, from -131072 (fastest) to 22 (smallest for most data) [default: 3,
    /// or -100 for shuffled]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) level: Option<i32>,

    /// Round values to float16; a value that would become infinite is an error
    #[arg(long)]
    pub(crate) float16: bool,

    /// Accept NaN and infinite values
    #[arg(long)]
    pub(crate) allow_non_finite: bool,

    /// JSON file with the environment that made the image, such as the environment.json that
    /// `unpack` writes. By default, this machine's environment is stored (operating system,
    /// processor, GPUs and versions of Python packages), and hardware_info is filled in from this
    /// machine if the metadata has none
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["no_environment", "python"])]
    pub(crate) environment: Option<PathBuf>,

    /// Store no environment, and no other information about this machine
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// Replace the file if it exists
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}
