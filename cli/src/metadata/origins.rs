//! The files that latents came from, as recorded in `model_info`.
//!
//! Records name latents by key and row, so they must be updated whenever latents move. Otherwise, a
//! restored file would contain the values of another.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gen5::metadata::Extra;
use gen5::{Latent, Reader};
use gen5_picture::text::{count, human_size};

use crate::compare_json::same_json;
use crate::convert::layouts::SourceFile;
use crate::output::Output;
use crate::terminal::shown;

/// The member of `model_info` that records the sources.
pub(crate) const SOURCES: &str = SourceFile::MEMBER;

/// The members that record where a file's latents come from: the files that `merge` combined, and
/// the whole that `split` divided.
pub(crate) const MERGED_FROM: &str = "merged_from";
pub(crate) const PART_OF: &str = "part_of";

/// Limit on the bytes of the sources: half of the reader's limit on a table.
const MAX_SOURCES: usize = 64 << 20;

/// The sources recorded in `model_info`.
pub(crate) fn sources(model_info: &Extra) -> Result<Vec<SourceFile>> {
    SourceFile::list(model_info.get(SOURCES))
        .with_context(|| format!("{SOURCES}, the record of the packed files, is not valid"))
}

/// Removes the records about latents from another file's metadata, since they do not apply here,
/// and notes this. `own` is the existing metadata of these latents, if any; its records are kept.
pub(crate) fn leave_out_foreign(model_info: &mut Extra, own: &Extra, from: &Path, output: &mut Output<'_>) {
    let mut foreign = vec![SOURCES, MERGED_FROM, PART_OF];
    foreign.retain(|name| match (model_info.get(name), own.get(name)) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(given), Some(own)) => !same_json(given, own),
    });
    for name in &foreign {
        model_info.remove(name);
    }
    if !foreign.is_empty() {
        let from = shown(from);
        let members = foreign.join(", ");
        output.note(&format!("{from}: left out because it describes the latents of another file: {members}"));
    }
}

/// Takes the sources out of a file's `model_info`. Sources that cannot be parsed cannot be updated,
/// so they are dropped with a note.
pub(crate) fn take_sources(model_info: &mut Extra, path: &Path, output: &mut Output<'_>) -> Vec<SourceFile> {
    let sources = sources(model_info);
    model_info.remove(SOURCES);
    sources.unwrap_or_else(|error| {
        output.note(&format!("{}: {error:#}; it is left out because the latents are moved", shown(path)));
        Vec::new()
    })
}

/// The latents by key, for lookups from sources. The first latent with a key wins.
pub(crate) fn latents_by_key(reader: &Reader) -> HashMap<String, Latent> {
    let mut latents = HashMap::new();
    for latent in reader.latents() {
        if let Some(key) = latent.key() {
            latents.entry(key.to_owned()).or_insert(latent);
        }
    }
    latents
}

/// Adds sources to a `model_info` without any, unless the list is empty.
pub(crate) fn put_sources(model_info: &mut Extra, sources: &[SourceFile]) -> Result<()> {
    if !sources.is_empty() {
        model_info.insert_json(SOURCES, to_text(sources)?)?;
    }
    Ok(())
}

/// Sources as the text of their member.
pub(crate) fn to_text(sources: &[SourceFile]) -> Result<String> {
    let text = serde_json::to_string(sources)?;
    ensure!(
        text.len() <= MAX_SOURCES,
        "the files have {} of data other than latents, but one file takes at most {}; pack them \
         into several files",
        human_size(text.len() as u64),
        human_size(MAX_SOURCES as u64)
    );
    Ok(text)
}

/// Notes the number of sources of a file that did not follow their latents.
pub(crate) fn note_lost(lost: usize, path: &Path, output: &mut Output<'_>) {
    if lost > 0 {
        let files = count(lost, "file");
        output.note(&format!(
            "{}: {files} left out of {SOURCES}, because not all latents of a file stay whole and together",
            shown(path)
        ));
    }
}
