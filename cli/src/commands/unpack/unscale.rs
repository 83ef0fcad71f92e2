//! Latents as a sampler has them, made those that a decoder takes: what ComfyUI and sd-scripts expect in their files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use gen5::Latent;

use crate::picture::{Hints, Layout, Previews, guess_of};
use crate::terminal::{count, escape};
use crate::values::Normalization;

/// How latents are unscaled, and what is to be said of it.
pub(super) struct Unscale {
    /// By which model's numbers, if anything was asked for.
    by: Option<Previews>,
    /// The model's name.
    model: String,
    /// Latents, by position, for each model that was guessed and what it was guessed from.
    guessed: BTreeMap<(&'static str, String), BTreeSet<usize>>,
    /// Latents that are left as they are because nothing was asked for.
    left: BTreeSet<usize>,
}

impl Unscale {
    pub(super) fn new(by: Option<Previews>, model: String) -> Self {
        Self { by, model, guessed: BTreeMap::new(), left: BTreeSet::new() }
    }

    /// How a latent was scaled, if that is to be undone. `shape` is its own, or that of an image in it.
    pub(super) fn of(&mut self, latent: &Latent, shape: &[usize]) -> Result<Option<Normalization>> {
        let key = latent.key().unwrap_or_default();
        let layout = Layout::guess(shape, Hints { key, model: &self.model, ..Hints::default() });
        let has = || format!("latent {} has {}", escape(key), count(layout.channels(), "channel"));
        let model = match self.by {
            None => {
                self.left.insert(latent.index());
                return Ok(None);
            }
            Some(Previews::Off) => return Ok(None),
            Some(Previews::By(model)) => {
                let (name, channels) = (model.name(), model.channels());
                ensure!(channels == layout.channels(), "{}, and those of {name} have {channels}", has());
                model
            }
            Some(Previews::Auto) => {
                let guess = guess_of(&layout, &self.model).with_context(|| {
                    format!(
                        "{}, and the model is \"{}\": that does not tell how it is scaled; --unscale sd15, sdxl, sd3 or flux \
                         does, and none has it written as it is",
                        has(),
                        escape(&self.model)
                    )
                })?;
                let latents = self.guessed.entry((guess.preview.name(), guess.why)).or_default();
                latents.insert(latent.index());
                guess.preview
            }
        };
        Ok(Some(model.normalization()))
    }

    /// What is to be said of files for this program.
    pub(super) fn notes(&self, program: &str) -> Vec<String> {
        let guessed = self.guessed.iter().map(|((model, why), latents)| {
            format!("{} unscaled as those of {model} are, going by {why}", count(latents.len(), "latent"))
        });
        let left = (!self.left.is_empty()).then(|| {
            format!(
                "{} written as stored, and {program} takes latents unscaled, as a VAE gives them: if they are a sampler's, \
                 --unscale auto undoes the model's scale",
                count(self.left.len(), "latent")
            )
        });
        guessed.chain(left).collect()
    }
}
