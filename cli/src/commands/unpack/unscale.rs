//! Latents as a sampler has them, made those that a decoder takes: what ComfyUI and sd-scripts expect in their files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use gen5::Latent;

use crate::picture::{Hints, Layout, Previews, guess_of};
use crate::terminal::{count, escape};
use crate::values::Normalization;

/// How latents are unscaled, and which have been.
pub(super) struct Unscale {
    /// By which model's factors; not at all if nothing is asked for.
    by: Option<Previews>,
    /// The model's name.
    model: String,
    /// The latents that are unscaled, by position, for each model and what led to it.
    done: BTreeMap<(&'static str, String), BTreeSet<usize>>,
    /// Those that were left as they are because nothing was asked for.
    left: BTreeSet<usize>,
}

impl Unscale {
    pub(super) fn new(by: Option<Previews>, model: String) -> Self {
        Self { by, model, done: BTreeMap::new(), left: BTreeSet::new() }
    }

    /// How a latent was scaled, if that is to be undone.
    pub(super) fn of(&mut self, latent: &Latent) -> Result<Option<Normalization>> {
        let key = latent.key().unwrap_or_default();
        let layout = Layout::guess(latent.shape(), Hints { key, model: &self.model, ..Hints::default() });
        let (name, channels) = (escape(key), count(layout.channels(), "channel"));
        let (model, why) = match self.by {
            None => {
                self.left.insert(latent.index());
                return Ok(None);
            }
            Some(Previews::Off) => return Ok(None),
            Some(Previews::By(model)) => {
                ensure!(
                    model.channels() == layout.channels(),
                    "latent {name} has {channels}, and those of {} have {}",
                    model.name(),
                    model.channels()
                );
                (model, "as was asked for".to_owned())
            }
            Some(Previews::Auto) => {
                let guess = guess_of(&layout, &self.model).with_context(|| {
                    let model = escape(&self.model);
                    format!("latent {name} has {channels}, and the model is {model:?}: that does not tell how it is scaled; --unscale sd15, sdxl, sd3 or flux does, and none writes it as it is")
                })?;
                (guess.preview, format!("going by {}", guess.why))
            }
        };
        self.done.entry((model.name(), why)).or_default().insert(latent.index());
        Ok(Some(model.normalization()))
    }

    /// What is to be said of files for this program.
    pub(super) fn notes(&self, program: &str) -> Vec<String> {
        let done = self.done.iter().map(|((model, why), latents)| {
            format!("{} unscaled as those of {model} are, {why}", count(latents.len(), "latent"))
        });
        let left = (!self.left.is_empty()).then(|| {
            format!(
                "{} written as stored, and {program} takes latents unscaled, as a VAE gives them: --unscale auto undoes the model's scale",
                count(self.left.len(), "latent")
            )
        });
        done.chain(left).collect()
    }
}
