//! The argument of `--latent` and `--from`.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap_lex::OsStrExt;

use super::Kind;
use crate::terminal::shown;

/// The arrays of one file on the command line, as `[KEY=]FILE` or `[KEY=]FILE:NAME`.
///
/// FILE is a `.npy`, `.npz`, `.safetensors` or `.latent` file, or `-` for standard input. NAME
/// selects one array, except in a `.npy` file. An argument that names an existing file means that
/// file, whatever characters it contains. Otherwise the first `=` ends the key, and a `:` only
/// counts after `-` or the extension of a file with several arrays, so `C:\noise.npz` is not read as
/// an array of a file `C`.
///
/// ```
/// let arg = gen5_cli::convert::LatentArg::parse("initial_noise=batch.npz:noise")?;
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
    /// The selected array of the file; `None` for all.
    pub member: Option<String>,
}

impl LatentArg {
    /// Parses an argument.
    ///
    /// # Errors
    ///
    /// If a part is empty, or if the key or the array's name is not UTF-8.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self> {
        let text = text.as_ref();
        let (key, (path, member)) = match text.split_once("=") {
            // An existing file, or an array in one, takes precedence even if its name contains `=`.
            Some((key, file)) if existing(text).is_none() => {
                (Some(key_of(key, text)?), file_and_member(file))
            }
            _ => (None, file_and_member(text)),
        };
        ensure!(!path.is_empty(), "\"{}\" does not name a file", quoted(text));
        ensure!(member != Some(OsStr::new("")), "\"{}\" has no array name after the :", quoted(text));
        let member = member.map(|name| {
            let name = name.to_str().map(str::to_owned);
            name.with_context(|| format!("\"{}\" has an array name that is not UTF-8", quoted(text)))
        });
        Ok(Self { key, path: path.into_owned().into(), member: member.transpose()? })
    }
}

/// The key before a `=`.
fn key_of(key: &OsStr, text: &OsStr) -> Result<String> {
    ensure!(!key.is_empty(), "\"{}\" has no key before the =", quoted(text));
    let key = key.to_str().with_context(|| format!("\"{}\" has a key that is not UTF-8", quoted(text)))?;
    Ok(key.to_owned())
}

/// An argument quoted for errors.
fn quoted(text: &OsStr) -> String {
    shown(Path::new(text))
}

/// A path, and the name of an array in it.
type FileAndMember<'t> = (Cow<'t, OsStr>, Option<&'t OsStr>);

/// The file and the array in `FILE[:NAME]`.
fn file_and_member(text: &OsStr) -> FileAndMember<'_> {
    let first = || members(text).next().map(|(path, member)| (path.into(), Some(member)));
    existing(text).or_else(first).unwrap_or((text.into(), None))
}

/// The file and the array in `FILE[:NAME]`, if there is such a file.
fn existing(text: &OsStr) -> Option<FileAndMember<'_>> {
    if Path::new(text).is_file() {
        return Some((text.into(), None));
    }
    let mut members = members(text);
    members.find(|(path, _)| Path::new(path).is_file()).map(|(path, member)| (path.into(), Some(member)))
}

/// Every split of the text at a `:` after the extension of a file with several arrays.
fn members(text: &OsStr) -> impl Iterator<Item = (OsString, &OsStr)> {
    let mut path = OsString::new();
    let mut rest = Some(text);
    let parted = std::iter::from_fn(move || {
        let (piece, after) = rest?.split_once(":")?;
        path.push(piece);
        let parted = (path.clone(), after);
        path.push(":");
        rest = Some(after);
        Some(parted)
    });
    parted.filter(|(path, _)| {
        path == "-" || matches!(Kind::of(Path::new(path)), Some(Kind::Npz | Kind::Safetensors))
    })
}

/// A folder on the command line, as `[KEY=]DIR`. An argument that names an existing folder means
/// that folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderArg {
    /// The key of the latent that the arrays form.
    pub key: Option<String>,
    /// The folder.
    pub path: PathBuf,
}

impl FolderArg {
    /// Parses an argument.
    ///
    /// # Errors
    ///
    /// If a part is empty, or if the key is not UTF-8.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self> {
        let text = text.as_ref();
        let (key, path) = match text.split_once("=") {
            Some((key, path)) if !Path::new(text).is_dir() => (Some(key_of(key, text)?), path),
            _ => (None, text),
        };
        ensure!(!path.is_empty(), "\"{}\" does not name a folder", quoted(text));
        Ok(Self { key, path: path.into() })
    }
}
