//! The files that latents came from, as recorded in `model_info`.
//!
//! Records name latents by key and row, so they must be updated whenever latents move. Otherwise, a
//! restored file would contain the values of another.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gen5::{Extra, Latent, Reader};

use crate::convert::layouts::Source;
use crate::output::Output;
use crate::same_json::same_json;
use crate::terminal::{count, human_size, shown};

/// The member of `model_info` that tells of them.
pub(crate) const SOURCES: &str = Source::MEMBER;

/// The members that tell where a file's latents come from: the files that `merge` made it of, and what `split` says it is
/// part of.
pub(crate) const MERGED_FROM: &str = "merged_from";
pub(crate) const PART_OF: &str = "part_of";

/// Bytes of the sources. Half of what a reader takes as a file's whole table.
const MAX_SOURCES: usize = 64 << 20;

/// The sources that a `model_info` has.
pub(crate) fn sources(model_info: &Extra) -> Result<Vec<Source>> {
    Source::list(model_info.get(SOURCES)).with_context(|| {
        format!("{SOURCES}, which tells of the files that were packed, is not as it has to be")
    })
}

/// Leaves out of metadata from elsewhere what tells of latents, and so is not true of these, and says so. `own` is what these
/// have for it, if they have metadata already, and is kept.
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
        let (from, members) = (shown(from), foreign.join(", "));
        output.note(&format!("{from}: left out, since it tells of the latents of another file: {members}"));
    }
}

/// Takes the sources out of a file's `model_info`. Those that are not understood cannot follow their latents, and are left
/// out, which is said.
pub(crate) fn take_sources(model_info: &mut Extra, path: &Path, output: &mut Output<'_>) -> Vec<Source> {
    let sources = sources(model_info);
    model_info.remove(SOURCES);
    sources.unwrap_or_else(|error| {
        output.note(&format!("{}: {error:#}; it is left out, since latents go elsewhere", shown(path)));
        Vec::new()
    })
}

/// The latents that sources name: of several with one key, the first.
pub(crate) fn latents_by_key(reader: &Reader) -> HashMap<String, Latent> {
    let mut latents = HashMap::new();
    for latent in reader.latents() {
        if let Some(key) = latent.key() {
            latents.entry(key.to_owned()).or_insert(latent);
        }
    }
    latents
}

/// Puts sources into a `model_info` that has none, if there are any.
pub(crate) fn put_sources(model_info: &mut Extra, sources: &[Source]) -> Result<()> {
    if !sources.is_empty() {
        model_info.insert_json(SOURCES, to_text(sources)?)?;
    }
    Ok(())
}

/// Sources as the text of their member.
pub(crate) fn to_text(sources: &[Source]) -> Result<String> {
    let text = serde_json::to_string(sources)?;
    ensure!(
        text.len() <= MAX_SOURCES,
        "what the files say besides their latents comes to {}, and {} is what one file takes; pack them as several",
        human_size(text.len() as u64),
        human_size(MAX_SOURCES as u64)
    );
    Ok(text)
}

/// Says that so many sources of a file did not follow their latents.
pub(crate) fn note_lost(lost: usize, path: &Path, output: &mut Output<'_>) {
    if lost > 0 {
        let files = count(lost, "file");
        output.note(&format!(
            "{}: {files} left out of {SOURCES}: not all latents of a file stay whole, and together",
            shown(path)
        ));
    }
}
