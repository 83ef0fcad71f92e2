//! The command line: every command, and the options that all commands share.

use std::path::Path;

use clap::{Parser, Subcommand};

use crate::commands::cat::CatArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::diff::DiffArgs;
use crate::commands::env::EnvArgs;
use crate::commands::info::InfoArgs;
use crate::commands::ls::LsArgs;
use crate::commands::man::ManArgs;
use crate::commands::merge::MergeArgs;
use crate::commands::pack::PackArgs;
use crate::commands::render::RenderArgs;
use crate::commands::repack::RepackArgs;
use crate::commands::report::ReportArgs;
use crate::commands::set::SetArgs;
use crate::commands::show::ShowArgs;
use crate::commands::split::SplitArgs;
use crate::commands::unpack::UnpackArgs;
use crate::options::{CommonArgs, FileArgs};

/// Store generated images with the latents, settings and environment that made them.
///
/// Exit codes: 0 success, 1 failure, 2 incorrect usage, 3 the file is damaged or not a GEN5 file, 4
/// the compared files or environments differ (env, diff), 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "gen5", bin_name = "gen5", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(Box<PackArgs>),
    Unpack(UnpackArgs),
    /// Show the latents, image, metadata and environment of files.
    #[command(after_help = "Examples:
  gen5 info run.gen5
  gen5 info -r runs --json | jq -r .path
  curl -s https://example.org/run.gen5 | gen5 info -")]
    Info(InfoArgs),
    Ls(LsArgs),
    Cat(CatArgs),
    Diff(DiffArgs),
    Show(ShowArgs),
    Render(RenderArgs),
    Report(ReportArgs),
    /// Verify files by checking every hash.
    #[command(after_help = "Examples:
  gen5 verify run.gen5
  gen5 verify -r runs --quiet --json | jq -r 'select(.ok | not) | .path'")]
    Verify(FileArgs),
    /// Print a digest of each file's entire contents, for citing or signing.
    ///
    /// The digest is the SHA-256 of the file's header and chunk table. The table has the hash of
    /// every payload, so if `gen5 verify` also succeeds, a file with the cited digest is the file
    /// that was cited.
    #[command(after_help = "Examples:
  gen5 fingerprint run.gen5
  gen5 verify run.gen5 && gen5 fingerprint run.gen5")]
    Fingerprint(FileArgs),
    Env(EnvArgs),
    Set(SetArgs),
    Repack(RepackArgs),
    Merge(MergeArgs),
    Split(SplitArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

impl Command {
    /// The path in the command's `--json` object: its output, or the file that `show` reads. `None`
    /// without `--json`, and for commands that print other JSON.
    pub(crate) fn json_path(&self) -> Option<&Path> {
        let (json, path) = match self {
            Self::Pack(args) => (args.json, &args.out),
            Self::Unpack(args) => (args.json, &args.output),
            Self::Show(args) => (args.json, &args.file),
            Self::Render(args) => (args.json, &args.output),
            Self::Report(args) => (args.json, &args.output),
            Self::Set(args) => (args.json, args.output.as_ref().unwrap_or(&args.file)),
            Self::Repack(args) => (args.json, &args.out),
            Self::Merge(args) => (args.json, &args.output),
            Self::Split(args) => (args.json, &args.output),
            _ => return None,
        };
        json.then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn every_command_has_an_example_and_no_option_clashes() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let first = format!("gen5 {}", command.get_name());
            assert!(examples.starts_with("Example") && examples.contains(&first), "{first}: {examples}");
        }
    }
}
