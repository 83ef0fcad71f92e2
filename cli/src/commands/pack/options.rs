//! Options of `gen5 pack`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::convert::{FolderArg, LatentArg};
use crate::options::CaptureArgs;
use crate::options::{Compress, MetadataArgs};

/// Make a GEN5 file of latents, image and metadata.
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
    /// The file to write; its name ends in .gen5, or it is - for standard output
    pub(crate) out: PathBuf,

    /// Latents: a .npy file (float16 or float32), or all arrays of a .npz or .safetensors file (bfloat16, too) under the
    /// names they have there; KEY=FILE gives another name, FILE:NAME picks one array of several. FILE may be a pattern such
    /// as 'steps/*.npy', or - for standard input. ComfyUI's .latent files and the caches of kohya's sd-scripts and
    /// musubi-tuner are known: what they have besides latents is kept, and `unpack --format original` gives it back
    #[arg(long = "latent", value_name = "[KEY=]FILE", required_unless_present = "folders", num_args = 1..,
        value_parser = OsStringValueParser::new().try_map(LatentArg::parse))]
    pub(crate) latents: Vec<LatentArg>,

    /// All such files of a folder, in natural order (2 before 10): arrays that agree in shape and dtype become the rows of
    /// one latent, called `latents` or KEY, or, if images have several sizes, `latents/152x104` or KEY/152x104 for each;
    /// what agrees with no other is called after its file. Folders in it are not looked into
    #[arg(long = "from", id = "folders", value_name = "[KEY=]DIR", num_args = 1..,
        value_parser = OsStringValueParser::new().try_map(FolderArg::parse))]
    pub(crate) folders: Vec<FolderArg>,

    /// The image, stored byte for byte. What a generator wrote into it (prompt, settings, model, LoRAs as tags) fills the
    /// metadata that is not given
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,

    /// Whether latents are compressed. auto tries some of the values, and compresses what shrinks to 85 % or less: noise
    /// stays raw, so that it can be mapped. shuffled is best for noise, but the Python package cannot read such a file
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Compress::Auto)]
    pub(crate) compress: Compress,

    /// Level of zstd, from -131072 (fastest) to 22 (smallest for most data) [default: 3, and -100 for shuffled]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) level: Option<i32>,

    /// Round to float16; values that would become infinite are refused
    #[arg(long)]
    pub(crate) float16: bool,

    /// Accept NaN and infinity
    #[arg(long)]
    pub(crate) allow_non_finite: bool,

    /// The environment that made the image, as `unpack` writes it to environment.json. Without it, that of this machine
    /// is stored: operating system, processor, GPUs, and the versions of Python packages; and hardware_info
    /// is filled in from this machine if the metadata has none
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["no_environment", "python"])]
    pub(crate) environment: Option<PathBuf>,

    /// Store no environment, and nothing else of this machine
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// Replace the file if it is there
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Tell what was written as JSON: an object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}
