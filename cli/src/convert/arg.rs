//! What `--latent` and `--from` take.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, ensure};

use super::Kind;
use crate::terminal::escape;

/// The arrays of one file on the command line, as `[KEY=]FILE` or `[KEY=]FILE:NAME`.
///
/// FILE is a `.npy`, `.npz`, `.safetensors` or `.latent` file, or `-` for standard input, and NAME picks one array of all but
/// the first. A text that names a file is that file, whatever characters it has. Otherwise the first `=` ends the key,
/// and the `:` is looked for only behind `-` and the extensions of the latter, so that `C:\noise.npz` is no array of a file
/// `C`.
///
/// ```
/// let arg: gen5_cli::convert::LatentArg = "initial_noise=batch.npz:noise".parse()?;
/// assert_eq!(arg.key.as_deref(), Some("initial_noise"));
/// assert_eq!(arg.path.to_str(), Some("batch.npz"));
/// assert_eq!(arg.member.as_deref(), Some("noise"));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatentArg {
    /// The key to store the array under.
    pub key: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// The array of the file that is meant, where not all are.
    pub member: Option<String>,
}

impl FromStr for LatentArg {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, (path, member)) = match text.split_once('=') {
            // A file that is there, or an array of it, is meant even if its name has a `=`.
            Some((key, file)) if existing(text).is_none() => {
                ensure!(!key.is_empty(), "\"{}\" has no key before the =", escape(text));
                (Some(key.to_owned()), file_and_member(file))
            }
            _ => (None, file_and_member(text)),
        };
        ensure!(!path.is_empty(), "\"{}\" names no file", escape(text));
        ensure!(member != Some(""), "\"{}\" has no array name behind the :", escape(text));
        Ok(Self { key, path: path.into(), member: member.map(str::to_owned) })
    }
}

/// The file and the array in `FILE[:NAME]`.
fn file_and_member(text: &str) -> (&str, Option<&str>) {
    existing(text)
        .or_else(|| members(text).next().map(|(path, member)| (path, Some(member))))
        .unwrap_or((text, None))
}

/// The file and the array in `FILE[:NAME]`, if there is such a file.
fn existing(text: &str) -> Option<(&str, Option<&str>)> {
    let whole = Path::new(text).is_file().then_some((text, None));
    whole.or_else(|| {
        members(text).find(|(path, _)| Path::new(path).is_file()).map(|(path, member)| (path, Some(member)))
    })
}

/// Every way to part the text at a `:` behind the extension of a file that holds several arrays.
fn members(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices(':')
        .filter_map(|(at, colon)| Some((text.get(..at)?, text.get(at + colon.len()..)?)))
        .filter(|(path, _)| {
            *path == "-" || matches!(Kind::of(Path::new(path)), Some(Kind::Npz | Kind::Safetensors))
        })
}

/// A folder on the command line, as `[KEY=]DIR`. A text that names a folder is that folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderArg {
    /// The key of the latent that the arrays make.
    pub key: Option<String>,
    /// The folder.
    pub path: PathBuf,
}

impl FromStr for FolderArg {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, path) = match text.split_once('=') {
            Some((key, path)) if !Path::new(text).is_dir() => (Some(key), path),
            _ => (None, text),
        };
        ensure!(key != Some(""), "\"{}\" has no key before the =", escape(text));
        ensure!(!path.is_empty(), "\"{}\" names no folder", escape(text));
        Ok(Self { key: key.map(str::to_owned), path: path.into() })
    }
}
