//! Conversion of latents from the sampler's scale to the decoder's, which ComfyUI and sd-scripts
//! expect in their files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use gen5::Latent;
use gen5::metadata::Extra;
use gen5_picture::text::{count, escape};
use gen5_picture::{Guess, Hints, Layout, Normalization, Preview, Previews, guess_preview};

use crate::convert::layouts::FileLayout;

/// The scaling to undo for a program, and the resulting notes.
pub(super) struct Unscale {
    /// The program whose files are written.
    program: FileLayout,
    /// The model that `--unscale` selects, if given.
    by: Option<Previews>,
    /// The model's name.
    model: String,
    /// Notes, each with the positions of the latents it applies to.
    notes: BTreeMap<String, BTreeSet<usize>>,
}

impl Unscale {
    pub(super) fn new(program: FileLayout, by: Option<Previews>, model_info: &Extra) -> Self {
        let model = model_info.get("model_name").and_then(|name| serde_json::from_str(name).ok());
        Self { program, by, model: model.unwrap_or_default(), notes: BTreeMap::new() }
    }

    /// The scaling of a latent to undo, if any. `shape` is the latent's, or that of one image in
    /// it. `is_unscaled` means that its source file already had it unscaled.
    pub(super) fn of(
        &mut self,
        latent: &Latent,
        shape: &[usize],
        is_unscaled: bool,
    ) -> Result<Option<Normalization>> {
        let key = latent.key().unwrap_or_default();
        let layout = Layout::guess(shape, Hints { key, model: &self.model, ..Hints::default() });
        let guess = guess_preview(&layout, &self.model);
        let Some(by) = self.by.filter(|_| !is_unscaled) else {
            self.leave(latent, guess.as_ref(), is_unscaled);
            return Ok(None);
        };
        let has = || format!("latent {} has {}", escape(key), count(layout.channels(), "channel"));
        let (model, why) = match by {
            Previews::Off => return Ok(None),
            Previews::By(model) => {
                let name = model.name();
                let channels = model.channels();
                ensure!(channels == layout.channels(), "{}, but those of {name} have {channels}", has());
                (model, None)
            }
            Previews::Auto => {
                // The number of channels alone is too little evidence for changing values.
                let guess = guess.filter(|guess| guess.by_name).with_context(|| {
                    format!(
                        "{}, and the model is \"{}\", which does not determine its scale: give \
                         it with --unscale sd15, sdxl, sd3 or flux, or write it as stored with \
                         --unscale none",
                        has(),
                        escape(&self.model)
                    )
                })?;
                (guess.preview, Some(format!(", judging by {}", guess.why)))
            }
        };
        let name = model.name();
        let program = self.program.name();
        if self.takes_scaled(model) {
            let why = why.unwrap_or_default();
            self.note(latent, format!("written as stored: {program} expects those of {name} scaled{why}"));
            return Ok(None);
        }
        if let Some(why) = why {
            self.note(latent, format!("unscaled as latents of {name}{why}"));
        }
        Ok(Some(model.normalization()))
    }

    /// Whether the program expects latents of this model in the sampler's scale.
    fn takes_scaled(&self, model: Preview) -> bool {
        self.program == FileLayout::Kohya && model == Preview::Flux
    }

    /// Notes possible problems with a latent that is written unchanged.
    fn leave(&mut self, latent: &Latent, guess: Option<&Guess>, is_unscaled: bool) {
        let takes_scaled = guess.is_some_and(|guess| guess.by_name && self.takes_scaled(guess.preview));
        let program = self.program.name();
        match (is_unscaled, takes_scaled) {
            (true, true) => {
                self.note(latent, format!("written unscaled, as stored, but {program} expects them scaled"));
            }
            (false, false) => {
                let what = format!(
                    "written as stored, but {program} expects unscaled latents, as a VAE returns \
                     them: if they are from a sampler, --unscale auto undoes the model's scale"
                );
                self.note(latent, what);
            }
            // The explicit request cannot be fulfilled.
            (true, false) if matches!(self.by, Some(Previews::By(_))) => {
                self.note(latent, "written as stored, because already unscaled".to_owned());
            }
            _ => {}
        }
    }

    fn note(&mut self, latent: &Latent, what: String) {
        self.notes.entry(what).or_default().insert(latent.index());
    }

    /// The collected notes.
    pub(super) fn notes(&self) -> Vec<String> {
        let notes = self.notes.iter();
        notes.map(|(what, latents)| format!("{} {what}", count(latents.len(), "latent"))).collect()
    }
}
