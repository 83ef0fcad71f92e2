//! The inputs of `pack`: files and folders of latents, and the metadata in them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gen5_picture::text::{count, dimensions, escape};

use super::options::PackArgs;
use crate::convert::layouts::{FileLayout, SourceFile, comfyui};
use crate::convert::{ArrayFile, InputFile, LatentArg, LatentArray, find, folder};
use crate::embedded::Text;
use crate::failure::usage_error;
use crate::input::Expected;
use crate::input::Inputs;
use crate::input::files::expand;
use crate::metadata::image_text::ImageText;
use crate::metadata::origins::to_text;
use crate::output::Output;
use crate::streams::is_dash;
use crate::suggest::folder_of;
use crate::terminal::shown;

/// All latents, and the other data of their files.
#[derive(Default)]
pub(super) struct PackInputs {
    pub(super) arrays: Vec<LatentArray>,
    /// Texts with information on how the latents were made.
    pub(super) texts: Vec<ImageText>,
    sources: Vec<SourceFile>,
}

impl PackInputs {
    /// Finds all requested latents.
    pub(super) fn read(args: &PackArgs, input: &Inputs<'_>, output: &mut Output<'_>) -> Result<Self> {
        let mut inputs = Self::default();
        for arg in &args.latents {
            for path in paths(arg)? {
                let arg = LatentArg { path, ..arg.clone() };
                let file = if is_dash(&arg.path) {
                    InputFile::kept(&arg.path, input.spool(Expected::Arrays)?)
                } else {
                    InputFile::at(&arg.path)
                };
                let found = find(&arg, &file)?;
                inputs.arrays.extend(found.arrays.iter().cloned());
                inputs.text(&found, &arg.path);
                inputs.keep(found, output);
            }
        }
        for arg in &args.folders {
            let found = folder::read(arg)?;
            note_found(&found, &arg.path, output);
            inputs.arrays.extend(found.arrays);
            // With several files, the text of one does not apply to all.
            if let [only] = &*found.files {
                inputs.text(only, &arg.path);
            }
            for mut file in found.files {
                file.is_worth_keeping = true;
                inputs.keep(file, output);
            }
        }
        Ok(inputs)
    }

    /// Adds the text of a file, if it says how its latent was made.
    fn text(&mut self, found: &ArrayFile, path: &Path) {
        if found.source.layout == FileLayout::Comfyui
            && let Some(prompt) = found.source.metadata.get(comfyui::PROMPT)
        {
            let text = Text { keyword: comfyui::PROMPT.to_owned(), text: prompt };
            self.texts.push(ImageText::of_latents(shown(path), text));
        }
    }

    fn keep(&mut self, found: ArrayFile, output: &mut Output<'_>) {
        if let Some(note) = found.note {
            output.note(&note);
        }
        if found.is_worth_keeping {
            self.sources.push(found.source);
        }
    }

    /// The record of the source files, as the text of its member; `None` if empty.
    pub(super) fn sources(&self) -> Result<Option<String>> {
        match &*self.sources {
            [] => Ok(None),
            sources => to_text(sources).map(Some),
        }
    }
}

/// The files of an argument, which may be a pattern.
fn paths(arg: &LatentArg) -> Result<Vec<PathBuf>> {
    let paths = expand(&arg.path)?;
    if let (Some(key), [first, _, ..]) = (&arg.key, &*paths) {
        let key = escape(key);
        let pattern = shown(&arg.path);
        let files = count(paths.len(), "file");
        let folder = shown(folder_of(first));
        return Err(usage_error(format!(
            "{key}={pattern}: the pattern matches {files}, too many for one key; --from \
             {key}={folder} makes one latent of all files in the folder"
        )));
    }
    Ok(paths)
}

/// Reports the result of reading a folder.
fn note_found(found: &folder::Folder, path: &Path, output: &mut Output<'_>) {
    let files = count(found.files.len(), "file");
    let latents = match &*found.arrays {
        [only] => format!("{} {}", only.key, dimensions(&only.shape, "x")),
        all => count(all.len(), "latent"),
    };
    let others = match found.others {
        0 => String::new(),
        others => format!("; {} skipped", count(others, "other")),
    };
    output.note(&format!("{}: {files} as {latents}{others}", shown(path)));
}
