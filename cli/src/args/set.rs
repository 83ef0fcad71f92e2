//! Options of `gen5 set`.

use std::path::PathBuf;

use clap::Args;

/// Change the metadata of a file.
///
/// Latents, image and environment are carried as they are, without being decompressed or checked. A new file takes the
/// place of the old one when it is complete; the file's fingerprint is another one then. Several changes of one file at once
/// wait for each other.
#[derive(Debug, Args)]
#[command(override_usage = "gen5 set <FILE> <NAME=VALUE>... [OPTIONS]")]
#[command(after_help = "Examples:
  gen5 set run.gen5 prompt='a lighthouse at dusk' tags=sea,favourite
  gen5 set run.gen5 seed=42 steps=50 sampler=ddim hardware_info.machine_name=render-3
  gen5 set run.gen5 --unset hardware_info.machine_name -o shared.gen5
  ssh render-3 cat run.gen5 | gen5 set - tags=sea >run.gen5")]
pub(crate) struct SetArgs {
    /// The file; - is standard input, and the file with the changes goes to standard output then
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

    /// Write another file, and leave this one as it is; - is standard output
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// Replace OUT if it is there
    #[arg(long, short, requires = "output")]
    pub(crate) force: bool,

    /// Tell what was written as JSON: an object
    #[arg(long)]
    pub(crate) json: bool,
}
