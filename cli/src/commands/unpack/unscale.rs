//! Conversion of latents from the sampler's scale to the decoder's, which ComfyUI and sd-scripts
//! expect in their files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use gen5::{Extra, Latent};

use crate::convert::layouts::Layout as Program;
use crate::picture::{Guess, Hints, Layout, Preview, Previews, guess_of};
use crate::terminal::{count, escape};
use crate::values::Normalization;

/// How latents are unscaled for a program, and what is to be said of it.
pub(super) struct Unscale {
    /// Whose files are written.
    program: Program,
    /// By which model's numbers, if anything was asked for.
    by: Option<Previews>,
    /// The model's name.
    model: String,
    /// Latents, by position, of which the same is to be said.
    told: BTreeMap<String, BTreeSet<usize>>,
}

impl Unscale {
    pub(super) fn new(program: Program, by: Option<Previews>, model_info: &Extra) -> Self {
        let model = model_info.get("model_name").and_then(|name| serde_json::from_str(name).ok());
        Self { program, by, model: model.unwrap_or_default(), told: BTreeMap::new() }
    }

    /// How a latent was scaled, if that is to be undone. `shape` is its own, or that of an image in it; what `is_unscaled`
    /// came so from its file.
    pub(super) fn of(
        &mut self,
        latent: &Latent,
        shape: &[usize],
        is_unscaled: bool,
    ) -> Result<Option<Normalization>> {
        let key = latent.key().unwrap_or_default();
        let layout = Layout::guess(shape, Hints { key, model: &self.model, ..Hints::default() });
        let guess = guess_of(&layout, &self.model);
        let Some(by) = self.by.filter(|_| !is_unscaled) else {
            self.leave(latent, guess.as_ref(), is_unscaled);
            return Ok(None);
        };
        let has = || format!("latent {} has {}", escape(key), count(layout.channels(), "channel"));
        let (model, why) = match by {
            Previews::Off => return Ok(None),
            Previews::By(model) => {
                let (name, channels) = (model.name(), model.channels());
                ensure!(channels == layout.channels(), "{}, and those of {name} have {channels}", has());
                (model, None)
            }
            Previews::Auto => {
                // To change values, the number of channels alone is too little.
                let guess = guess.filter(|guess| guess.by_name).with_context(|| {
                    format!(
                        "{}, and the model is \"{}\": that does not tell how it is scaled; --unscale sd15, sdxl, sd3 or flux \
                         does, and none has it written as it is",
                        has(),
                        escape(&self.model)
                    )
                })?;
                (guess.preview, Some(format!(", going by {}", guess.why)))
            }
        };
        let (name, program) = (model.name(), self.program.name());
        if self.takes_scaled(model) {
            let why = why.unwrap_or_default();
            self.tell(latent, format!("written as stored: {program} takes those of {name} scaled{why}"));
            return Ok(None);
        }
        if let Some(why) = why {
            self.tell(latent, format!("unscaled as those of {name} are{why}"));
        }
        Ok(Some(model.normalization()))
    }

    /// Whether the program wants latents of this model as its sampler has them.
    fn takes_scaled(&self, model: Preview) -> bool {
        self.program == Program::Kohya && model == Preview::Flux
    }

    /// Says what may be wrong with a latent that is written as it is.
    fn leave(&mut self, latent: &Latent, guess: Option<&Guess>, is_unscaled: bool) {
        let takes_scaled = guess.is_some_and(|guess| guess.by_name && self.takes_scaled(guess.preview));
        let program = self.program.name();
        match (is_unscaled, takes_scaled) {
            (true, true) => {
                self.tell(latent, format!("written unscaled, as stored, and {program} takes them scaled"));
            }
            (false, false) => {
                let what = format!(
                    "written as stored, and {program} takes latents unscaled, as a VAE gives them: if they are a sampler's, \
                     --unscale auto undoes the model's scale"
                );
                self.tell(latent, what);
            }
            // What was asked for by name is not done.
            (true, false) if matches!(self.by, Some(Previews::By(_))) => {
                self.tell(latent, "written as stored, since unscaled already".to_owned());
            }
            _ => {}
        }
    }

    fn tell(&mut self, latent: &Latent, what: String) {
        self.told.entry(what).or_default().insert(latent.index());
    }

    /// What is to be said.
    pub(super) fn notes(&self) -> Vec<String> {
        let told = self.told.iter();
        told.map(|(what, latents)| format!("{} {what}", count(latents.len(), "latent"))).collect()
    }
}
