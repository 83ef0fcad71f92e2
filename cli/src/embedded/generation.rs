//! Generation parameters found in an image's text.

use gen5::metadata::Extra;

use super::{MAX_SETTINGS, json};

/// Generation parameters from a generator's text. Settings without a field are in `more`; anything
/// not understood remains only in the text.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Generation {
    /// The generator whose format the text has: `AUTOMATIC1111`, `ComfyUI`.
    pub generator: String,
    /// The prompt.
    pub prompt: Option<String>,
    /// The negative prompt.
    pub negative_prompt: Option<String>,
    /// Seed of the random numbers.
    pub seed: Option<u64>,
    /// Sampling steps, at least 1.
    pub steps: Option<u64>,
    /// Name of the sampler, as the generator spells it.
    pub sampler: Option<String>,
    /// Name of the noise schedule, as the generator spells it.
    pub scheduler: Option<String>,
    /// Classifier-free guidance scale, from 0 up.
    pub cfg_scale: Option<f64>,
    /// Name of the model, without folder and extension.
    pub model_name: Option<String>,
    /// Hash of the model's file, or another identification of its version.
    pub model_hash: Option<String>,
    /// Names of the LoRAs, without folder and extension.
    pub tags: Vec<String>,
    /// Further settings with names in snake case, valid as members of GEN5's `generation_settings`.
    pub more: Extra,
}

impl Generation {
    /// An empty result from this generator.
    pub(super) fn new(generator: &str) -> Self {
        Self { generator: generator.to_owned(), ..Self::default() }
    }

    /// Whether a sampling setting or a prompt is known. Without one, text is not a generator's.
    pub(super) fn says_something(&self) -> bool {
        let prompt = self.prompt.as_ref().is_some_and(|prompt| !prompt.is_empty());
        prompt || self.negative_prompt.is_some() || self.seed.is_some() || self.steps.is_some()
    }

    /// Adds a JSON value under GEN5's name for it, or `model` and `model_hash`, in any spelling
    /// with the same snake case. The first value of a name wins. Values that GEN5's schema would
    /// reject are dropped.
    pub(super) fn take(&mut self, name: &str, value: &str) {
        let name = snake_case(name);
        match name.as_str() {
            "prompt" => fill(&mut self.prompt, json::text(value)),
            "negative_prompt" => fill(&mut self.negative_prompt, some_text(value)),
            "seed" => fill(&mut self.seed, json::integer(value)),
            "steps" => fill(&mut self.steps, json::integer(value).filter(|&steps| steps > 0)),
            "sampler" => fill(&mut self.sampler, some_text(value)),
            "scheduler" => fill(&mut self.scheduler, some_text(value)),
            "cfg_scale" => fill(&mut self.cfg_scale, json::number(value)),
            "model" => fill(&mut self.model_name, some_text(value).map(|name| stem(&name).to_owned())),
            "model_hash" => fill(&mut self.model_hash, some_text(value)),
            _ => self.set(&name, value),
        }
    }

    /// Adds text under a name that [`take`](Self::take) knows.
    pub(super) fn take_text(&mut self, name: &str, text: &str) {
        if let Ok(value) = serde_json::to_string(text) {
            self.take(name, &value);
        }
    }

    /// Adds a setting without a field, within the limit. A value that the schema would reject under a
    /// name gets a suffix for its type: `eta_text`, `guidance_number`, `precision_value`.
    fn set(&mut self, name: &str, value: &str) {
        let fits = match name {
            "eta" => json::is_number(value) && json::number(value).is_some(),
            "guidance" | "precision" => value.starts_with('"'),
            "deterministic" => matches!(value, "true" | "false"),
            _ => true,
        };
        let other = match value {
            _ if fits => name.to_owned(),
            _ if json::is_number(value) => format!("{name}_number"),
            _ if value.starts_with('"') => format!("{name}_text"),
            _ => format!("{name}_value"),
        };
        let name = other.as_str();
        let is_empty = name.is_empty() || matches!(value, "null" | "\"\"");
        if !is_empty
            && self.more.len() < MAX_SETTINGS
            && self.more.get(name).is_none()
            && json::is_plain(value)
        {
            // It was checked to be JSON, so this cannot fail.
            let _ = self.more.insert_json(name, value);
        }
    }

    /// Adds the name of a LoRA, within the limit.
    pub(super) fn tag(&mut self, name: &str) {
        let name = stem(name.trim());
        if !name.is_empty()
            && name != "None"
            && self.tags.len() < MAX_SETTINGS
            && !self.tags.iter().any(|tag| tag == name)
        {
            self.tags.push(name.to_owned());
        }
    }

    /// The main values that were not found, as users know them.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let known = [
            ("prompt", self.prompt.is_some()),
            ("seed", self.seed.is_some()),
            ("steps", self.steps.is_some()),
            ("sampler", self.sampler.is_some()),
            ("model", self.model_name.is_some()),
        ];
        known.into_iter().filter(|(_, is_known)| !is_known).map(|(name, _)| name).collect()
    }

    /// The members of GEN5's `generation_settings`.
    ///
    /// # Errors
    ///
    /// [`gen5::Error::Metadata`] if JSON cannot represent a value. This never happens for results
    /// of [`read`](super::read).
    pub fn settings(&self) -> gen5::Result<Extra> {
        let mut settings = Extra::new();
        for (name, number) in [("seed", self.seed), ("steps", self.steps)] {
            if let Some(number) = number {
                settings.insert(name, &number)?;
            }
        }
        let texts = |settings: &mut Extra, texts: [(&str, &Option<String>); 2]| {
            for (name, text) in texts {
                if let Some(text) = text {
                    settings.insert(name, text)?;
                }
            }
            gen5::Result::Ok(())
        };
        texts(&mut settings, [("sampler", &self.sampler), ("scheduler", &self.scheduler)])?;
        if let Some(scale) = self.cfg_scale {
            settings.insert("cfg_scale", &scale)?;
        }
        texts(&mut settings, [("negative_prompt", &self.negative_prompt), ("model_hash", &self.model_hash)])?;
        for (name, value) in self.more.iter() {
            settings.insert_json(name, value)?;
        }
        Ok(settings)
    }
}

/// Sets a field unless it has a value.
fn fill<T>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value;
    }
}

/// The text, unless it is empty.
fn some_text(value: &str) -> Option<String> {
    json::text(value).filter(|text| !text.is_empty())
}

/// The name of a model's file without folder and extension, so that a model has the same name from
/// every generator.
pub(super) fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    [".safetensors", ".ckpt", ".sft", ".gguf", ".pth", ".pt", ".bin"]
        .into_iter()
        .find_map(|extension| name.strip_suffix(extension))
        .filter(|stem| !stem.is_empty())
        .unwrap_or(name)
}

/// A name in lower snake case: `Denoising strength` becomes `denoising_strength`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_alphanumeric() {
            snake.extend(character.to_lowercase());
        } else if !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
    }
    snake.truncate(snake.trim_end_matches('_').len());
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        let table = [
            ("Denoising strength", "denoising_strength"),
            ("ADetailer model 2nd", "adetailer_model_2nd"),
            ("  X/Y -- Z  ", "x_y_z"),
            ("clip_skip", "clip_skip"),
            ("Größe", "größe"),
            ("?!", ""),
        ];
        for (name, snake) in table {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn models_have_one_name() {
        for file in ["sea", "sea.safetensors", "sdxl/sea.ckpt", "sdxl\\new\\sea.gguf"] {
            assert_eq!(stem(file), "sea");
        }
        assert_eq!((stem("v1.5"), stem(".pt"), stem("a/")), ("v1.5", ".pt", ""));
    }

    #[test]
    fn what_the_schema_would_refuse_is_left_out() {
        let mut generation = Generation::new("x");
        for (name, value) in [
            ("steps", "0"),
            ("seed", "-1"),
            ("cfg_scale", "-7"),
            ("eta", "null"),
            ("guidance", "null"),
            ("precision", "\"\""),
            ("sampler", "{}"),
            ("Sampler", "[1]"),
            ("a", "null"),
            // Half a surrogate pair, which a Rust string cannot hold, and a number outside the
            // range of float64.
            ("b", "\"\\ud800\""),
            ("c", "[\"\\ud800\"]"),
            ("d", "1e999"),
        ] {
            generation.take(name, value);
        }
        assert_eq!(generation, Generation::new("x"));
        generation.take("eta", "0.0");
        generation.take("Precision", "\"fp16\"");
        generation.take("deterministic", "true");
        assert_eq!(generation.settings().unwrap().len(), 3);
    }

    #[test]
    fn a_value_of_another_type_than_the_schemas_gets_another_name() {
        let mut generation = Generation::new("x");
        for (name, value) in [
            ("eta", "\"abc\""),
            ("Guidance", "3.5"),
            ("precision", "16"),
            ("deterministic", "\"yes\""),
            ("guidance", "[1]"),
            ("eta", "-1"),
        ] {
            generation.take(name, value);
        }
        let more: Vec<_> = generation.more.iter().collect();
        assert_eq!(
            more,
            [
                ("eta_text", "\"abc\""),
                ("guidance_number", "3.5"),
                ("precision_number", "16"),
                ("deterministic_text", "\"yes\""),
                ("guidance_value", "[1]"),
                ("eta_number", "-1"),
            ]
        );
    }

    #[test]
    fn the_main_values_are_missed() {
        let mut generation = Generation::new("x");
        assert_eq!(generation.missing(), ["prompt", "seed", "steps", "sampler", "model"]);
        for (name, value) in [("prompt", "\"\""), ("seed", "0"), ("sampler", "\"a\""), ("model", "\"b\"")] {
            generation.take(name, value);
        }
        assert_eq!(generation.missing(), ["steps"]);
    }

    #[test]
    fn the_first_value_counts_and_there_is_an_end() {
        let mut generation = Generation::new("x");
        generation.take("seed", "1");
        generation.take("seed", "2");
        for n in 0..MAX_SETTINGS + 1 {
            generation.take(&format!("name {n}"), "1.50");
            generation.take(&format!("name {n}"), "2");
            generation.tag(&format!("lora{n}"));
            generation.tag("lora0");
        }
        assert_eq!((generation.seed, generation.more.len(), generation.tags.len()), (Some(1), 1000, 1000));
        assert_eq!(generation.more.get("name_0"), Some("1.50"));
    }
}
