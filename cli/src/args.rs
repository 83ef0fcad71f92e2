//! The command line as it is typed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::convert::LatentArg;

/// Keep generated images with the latents, settings and environment that made them.
///
/// Exit codes: 0 fine, 1 could not be done, 2 wrong usage, 3 the file is damaged or no GEN5 file, 4 what was
/// compared differs (env, diff).
#[derive(Debug, Parser)]
#[command(name = "gen5", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Threads to work on; all cores if it is not given
    #[arg(long, short, global = true, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<usize>,
}

/// A number of threads.
fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=MAX_JOBS) => Ok(jobs),
        _ => Err(format!("expected a number from 1 to {MAX_JOBS}")),
    }
}

/// More threads than this are a slip of the finger.
const MAX_JOBS: usize = 4096;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(Box<PackArgs>),
    Unpack(UnpackArgs),
    /// Show what files hold.
    #[command(after_help = "Examples:
  gen5 info run.gen5
  gen5 info --json *.gen5")]
    Info(InfoArgs),
    Ls(LsArgs),
    Cat(CatArgs),
    Diff(DiffArgs),
    /// Check every hash of files.
    #[command(after_help = "Examples:
  gen5 verify run.gen5
  gen5 verify --json *.gen5")]
    Verify(FileArgs),
    /// Print a digest for each file that stands for all it holds: to be cited, or signed.
    ///
    /// It is the SHA-256 of the file's header and chunk table, which has the hash of every payload: together with `gen5
    /// verify` it tells that a file is the one that was cited.
    #[command(after_help = "Examples:
  gen5 fingerprint run.gen5
  gen5 verify run.gen5 && gen5 fingerprint run.gen5")]
    Fingerprint(FileArgs),
    Env(EnvArgs),
    Set(SetArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Change the metadata of a file.
///
/// Latents, image and environment are carried as they are, without being decompressed or checked. A new file takes the
/// place of the old one when it is complete; the file's fingerprint is another one then.
#[derive(Debug, Args)]
#[command(override_usage = "gen5 set <FILE> <NAME=VALUE>... [OPTIONS]")]
#[command(after_help = "Examples:
  gen5 set run.gen5 prompt='a lighthouse at dusk' tags=sea,favourite
  gen5 set run.gen5 seed=42 steps=50 sampler=ddim hardware_info.machine_name=render-3
  gen5 set run.gen5 --unset hardware_info.machine_name -o shared.gen5")]
pub(crate) struct SetArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// A member and its value: prompt, model_name, version (the model's), date, tags (separated by commas, or a JSON array);
    /// the settings by their names (seed, steps, sampler, cfg_scale, negative_prompt, …, and those that the file has);
    /// OBJECT.NAME for a member of generation_settings or hardware_info; other names are your own, their values JSON if they
    /// can be, or else text
    #[arg(value_name = "NAME=VALUE", required_unless_present_any = ["unset", "metadata"])]
    pub(crate) changes: Vec<String>,

    /// Take a member out; give it as often as you like
    #[arg(long, value_name = "NAME")]
    pub(crate) unset: Vec<String>,

    /// A JSON object to start from instead of the file's own metadata: the members of model_info, or a metadata.json that
    /// `unpack` wrote
    #[arg(long, value_name = "FILE.json")]
    pub(crate) metadata: Option<PathBuf>,

    /// Write another file, and leave this one as it is
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// Replace OUT if it is there
    #[arg(long, short, requires = "output")]
    pub(crate) force: bool,
}

/// Show the environment of this machine, or how that of a file differs.
///
/// Without FILE, what `pack` would store: versions of Python packages, operating system, GPUs, processor. With
/// FILE, how its environment differs from this machine's, with OTHER from that of another file, in the words of the
/// Python package. The exit code is 0 if they are the same, 4 if they differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 env
  gen5 env run.gen5; test $? = 4 && echo 'not as it was made'
  gen5 env run.gen5 other.gen5 --json")]
pub(crate) struct EnvArgs {
    /// The file whose environment is compared
    pub(crate) file: Option<PathBuf>,

    /// The file it is compared with, instead of this machine
    #[arg(conflicts_with = "python")]
    pub(crate) other: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) python: PythonArg,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PythonArg {
    /// The Python interpreter that makes images here, which tells its packages without importing them [default: that of
    /// the active virtual or conda environment, or else python3 on PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
}

/// Make a GEN5 file of latents, image and metadata.
#[derive(Debug, Args)]
#[command(override_usage = "gen5 pack <OUT> --latent <[KEY=]FILE>... [OPTIONS]")]
#[command(after_help = "Examples:
  gen5 pack run.gen5 --latent noise.npy --model-name SD3 --model-version 3.0
  gen5 pack run.gen5 --latent noise.npy --image out.png
  gen5 pack run.gen5 --latent initial_noise=noise.npy steps.safetensors --image out.png \\
      --metadata model_info.json --set seed=42 --set steps=50 --set sampler=ddim --compress zstd")]
pub(crate) struct PackArgs {
    /// The file to write; its name ends in .gen5
    pub(crate) out: PathBuf,

    /// Latents: a .npy file (float16 or float32), or all arrays of a .npz or .safetensors file (bfloat16, too) under the
    /// names they have there; KEY=FILE gives another name, FILE:NAME picks one array of several
    #[arg(long = "latent", value_name = "[KEY=]FILE", required = true, num_args = 1..)]
    pub(crate) latents: Vec<LatentArg>,

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
    pub(crate) python: PythonArg,

    /// Replace the file if it is there
    #[arg(long, short)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Metadata")]
pub(crate) struct MetadataArgs {
    /// A JSON object with the members of model_info (or a metadata.json that `unpack` wrote); the flags below override
    /// it
    #[arg(long, value_name = "FILE.json")]
    pub(crate) metadata: Option<PathBuf>,

    /// Name of the model
    #[arg(long, value_name = "NAME")]
    pub(crate) model_name: Option<String>,

    /// Version of the model
    #[arg(long, value_name = "VERSION")]
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

    /// Do not look for text in the image
    #[arg(long)]
    pub(crate) no_image_text: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Compress {
    Auto,
    Zstd,
    Shuffled,
    None,
}

/// Take a file apart: latents as .npy, image, metadata and environment.
///
/// DIR gets latents/*.npy (bfloat16 as float32), index.json (which file is which latent), image.<ext>, metadata.json (the
/// manifest as it is stored) and environment.json. Every hash is checked on the way.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  gen5 unpack run.gen5 -o run")]
pub(crate) struct UnpackArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The folder to write; it has to be new or empty
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Write into a folder that has files already, replacing those of the same names
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Do not compare the file's environment with this machine's, of which standard error tells else
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment_check: bool,

    #[command(flatten)]
    pub(crate) python: PythonArg,
}

/// Print what makes a shell complete the words of gen5.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 completions bash > ~/.local/share/bash-completion/completions/gen5
  gen5 completions fish > ~/.config/fish/completions/gen5.fish
  gen5 completions zsh > ~/.zfunc/_gen5    # a folder of fpath, before compinit")]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Write the manual: gen5.1, and a page for each command.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  gen5 man -o ~/.local/share/man/man1 && man gen5-pack")]
pub(crate) struct ManArgs {
    /// The folder to write to; it is made if it is not there
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Replace pages that are there
    #[arg(long, short)]
    pub(crate) force: bool,
}

/// What `info` shows.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,

    /// Tell how the environment of each file differs from this machine's, too
    #[arg(long)]
    pub(crate) check_environment: bool,

    /// The Python interpreter to check with, as that of `env`
    #[arg(long, value_name = "PATH", requires = "check_environment")]
    pub(crate) python: Option<PathBuf>,
}

/// List the latents of files, one a line, for pipes.
///
/// A line has, separated by tabs: key (nothing if the latent has none), dtype, shape (1x4x64x64, or scalar), bytes, bytes
/// as stored, and how it is stored (raw, zstd or shuffled). With several files the path comes first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 ls run.gen5
  gen5 ls run.gen5 | cut -f1
  gen5 ls --json *.gen5 | jq -r 'select(.compressed) | .key'")]
pub(crate) struct LsArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// As JSON lines: an object for each latent
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write the values of a latent to standard output.
///
/// They come as they are, little-endian and in C order, or as a .npy array, however large the latent is. Hashes are
/// checked on the way: only when the exit code is 0 are all values those that were stored.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 cat run.gen5 noise > noise.f32
  gen5 cat run.gen5 trajectory --rows 49.. --npy > last.npy
  gen5 cat run.gen5 '#0' | sha256sum")]
pub(crate) struct CatArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The latent's key, or #N for the one at position N, from 0
    pub(crate) key: String,

    /// Only these rows, from 0, the end not included; 2.. and ..5 leave out an end. Rows count along the first axis that
    /// is longer than 1
    #[arg(long, value_name = "A..B")]
    pub(crate) rows: Option<Rows>,

    /// As a .npy array; bfloat16 as float32, which holds it exactly
    #[arg(long)]
    pub(crate) npy: bool,
}

/// Tell how two files differ.
///
/// Compared are metadata, member by member, environment, image and the values of the latents, however they are stored.
/// What both files record under the same hash is not read; other latents are read block by block, and their hashes
/// checked. The exit code is 0 if the files are the same, 4 if they differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 diff run.gen5 again.gen5
  gen5 diff run.gen5 other-gpu.gen5 --tolerance 1e-3
  gen5 diff run.gen5 again.gen5 --json | jq '.latents[] | select(.result == \"differs\")'")]
pub(crate) struct DiffArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The file it is compared with
    pub(crate) other: PathBuf,

    /// Latents are the same if no value differs by more than this, whatever their dtypes
    #[arg(long, value_name = "X", value_parser = tolerance)]
    pub(crate) tolerance: Option<f64>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A difference that is allowed.
fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(tolerance) if (0.0..f64::INFINITY).contains(&tolerance) => Ok(tolerance),
        _ => Err("expected a number from 0 on, such as 1e-3".into()),
    }
}

/// Rows of a latent, as they are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// The first.
    pub(crate) start: usize,
    /// The first that is not among them; `None` for all that come.
    pub(crate) end: Option<usize>,
}

impl FromStr for Rows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, default| match text.is_empty() {
            true => Some(default),
            false => text.parse().ok().map(Some),
        };
        let rows = text
            .split_once("..")
            .and_then(|(start, end)| Some(Self { start: number(start, Some(0))??, end: number(end, None)? }));
        rows.ok_or_else(|| "expected A..B, A.. or ..B, such as 0..8".to_owned())
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = self;
        match end {
            Some(end) => write!(f, "{start}..{end}"),
            None => write!(f, "{start}.."),
        }
    }
}

/// Files to look at.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// As JSON: an object, or an array of them for several files
    #[arg(long)]
    pub(crate) json: bool,
}
