//! The format of AUTOMATIC1111's web UI, which Forge, SD.Next and many others also write: the
//! prompt, the negative prompt, and a last line of `Name: value` pairs.
//!
//! ```text
//! a lighthouse at dusk, <lora:storm:0.8>
//! Negative prompt: fog
//! Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 512x768, Lora hashes: "storm: 1a2b"
//! ```
//!
//! Values with a comma, a colon or a newline are quoted as JSON strings; some are plain JSON.

use serde_json::value::RawValue;

use super::generation::snake_case;
use super::{Generation, MAX_SETTINGS, json};

/// Parses text of this format, recognised by a line of pairs or at least a negative prompt.
pub fn parse(text: &str) -> Option<Generation> {
    let lines: Vec<&str> = text.trim().lines().collect();
    let line_of_pairs = find_pairs(&lines);
    let (prompts, rest) = lines.split_at(line_of_pairs.unwrap_or(lines.len()));
    let negative = prompts.iter().position(|line| line.trim_start().starts_with(NEGATIVE));
    if line_of_pairs.is_none() && negative.is_none() {
        return None;
    }
    let mut generation = Generation::new("AUTOMATIC1111");
    let (prompt, negative) = prompts.split_at(negative.unwrap_or(prompts.len()));
    generation.prompt = Some(prompt.join("\n")).filter(|prompt| !prompt.is_empty());
    generation.take_text("negative_prompt", without_label(&negative.join("\n"), NEGATIVE));
    if let Some((pairs, templates)) = rest.split_first() {
        for (name, value) in Pairs(pairs).take(MAX_SETTINGS) {
            take(&mut generation, name, &value);
        }
        take_templates(&mut generation, templates);
    }
    take_loras_of_prompt(&mut generation);
    if let Some(program) = program(&generation) {
        generation.generator = program.to_owned();
    }
    Some(generation)
}

const NEGATIVE: &str = "Negative prompt:";

/// The label of templates, which the Dynamic Prompts extension appends to the pairs. Each can have
/// several lines.
const TEMPLATE: &str = "Template:";
const NEGATIVE_TEMPLATE: &str = "Negative Template:";

/// The line of pairs: the last one, or the last before templates.
fn find_pairs(lines: &[&str]) -> Option<usize> {
    let last = lines.len().checked_sub(1)?;
    if lines.get(last).is_some_and(|line| has_pairs(line)) {
        return Some(last);
    }
    let before_template =
        |pair: &[&str]| matches!(pair, [line, next] if is_template(next) && has_pairs(line));
    lines.windows(2).rposition(before_template)
}

fn is_template(line: &str) -> bool {
    line.starts_with(TEMPLATE) || line.starts_with(NEGATIVE_TEMPLATE)
}

/// Whether a line has pairs, rather than being a prompt with colons. It must have numeric steps or
/// a numeric seed, and either at least three pairs or the steps first.
fn has_pairs(line: &str) -> bool {
    let mut pairs = 0;
    let mut numbers = false;
    let mut steps_first = false;
    for (name, value) in Pairs(line).take(MAX_SETTINGS) {
        let is_integer = matches!(value, SpelledValue::Plain(text) if is_integer(text));
        numbers |= is_integer && matches!(name, "Steps" | "Seed");
        steps_first |= pairs == 0 && is_integer && name == "Steps";
        pairs += 1;
    }
    steps_first || (numbers && pairs >= 3)
}

/// Whether a text is an integer of 64 bits, signed or not.
fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
}

/// A value as spelled.
#[derive(Clone, Debug, PartialEq)]
enum SpelledValue<'a> {
    /// A quoted value, unquoted.
    Quoted(String),
    /// An array or object.
    Json(&'a str),
    /// Any other value.
    Plain(&'a str),
}

/// The pairs of a line, as names and values.
struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, SpelledValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            if let Some((name, behind)) = split_name(self.0) {
                let (value, rest) = split_value(behind.trim_start());
                self.0 = rest;
                return Some((name, value));
            }
            self.0 = self.0.split_once(',').map_or("", |(_, rest)| rest);
        }
        None
    }
}

/// Maximum length of a name in bytes.
const MAX_NAME: usize = 100;

/// Splits off the name of the first pair; the rest starts after the colon.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.split_at(text.find([',', ':', '"'])?);
    let behind =
        behind.strip_prefix(':').filter(|behind| behind.is_empty() || behind.starts_with([' ', '"']))?;
    let name = name.trim();
    let is_name = name.starts_with(char::is_alphanumeric) && name.len() <= MAX_NAME;
    is_name.then_some((name, behind))
}

/// Splits off the first value; the rest starts after its comma.
fn split_value(text: &str) -> (SpelledValue<'_>, &str) {
    if text.starts_with('"') {
        let (quoted, rest) = text.split_at(json::string_length(text));
        if let (Some(rest), Ok(value)) = (behind_comma(rest), serde_json::from_str(quoted)) {
            return (SpelledValue::Quoted(value), rest);
        }
    }
    if text.starts_with(['{', '[']) {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        if let Some(Ok(value)) = values.next()
            && let Some(rest) = text.get(values.byte_offset()..).and_then(behind_comma)
        {
            return (SpelledValue::Json(value.get()), rest);
        }
    }
    // A comma only ends the value if another pair follows, so that a comma that should have been
    // quoted is kept.
    let end = text.match_indices(',').map(|(at, _)| at).find(|at| {
        let rest = text.get(at + 1..).unwrap_or_default();
        rest.trim_start().is_empty() || split_name(rest).is_some()
    });
    let (value, rest) = text.split_at(end.unwrap_or(text.len()));
    (SpelledValue::Plain(value.trim()), rest.strip_prefix(',').unwrap_or(rest))
}

/// The text after the comma that ends a value, if it ends here.
fn behind_comma(rest: &str) -> Option<&str> {
    let rest = rest.trim_start();
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(',') }
}

/// Adds a pair to the result.
fn take(generation: &mut Generation, name: &str, value: &SpelledValue<'_>) {
    let name = match snake_case(name) {
        name if name == "schedule_type" => "scheduler".to_owned(),
        name => name,
    };
    match value {
        SpelledValue::Json(object) if name == "hashes" => {
            let hashes = json::object(object).unwrap_or_default();
            let loras = hashes.iter().filter_map(|(name, _)| name.strip_prefix("lora:"));
            loras.take(MAX_SETTINGS).for_each(|lora| generation.tag(lora));
        }
        SpelledValue::Quoted(hashes) if name == "lora_hashes" => {
            let loras = hashes.split(", ").filter_map(|lora| lora.split_once(':'));
            loras.take(MAX_SETTINGS).for_each(|(lora, _)| generation.tag(lora));
        }
        SpelledValue::Plain(hash) if name == "lora_hashes" => {
            generation.tag(hash.split_once(':').map_or("", |(lora, _)| lora));
        }
        _ => {}
    }
    match value {
        SpelledValue::Quoted(text) => generation.take_text(&name, text),
        SpelledValue::Json(value) => generation.take(&name, value),
        SpelledValue::Plain(text) if json::is_number(text) && !is_of_text(&name) => {
            generation.take(&name, text);
        }
        SpelledValue::Plain(text) => generation.take_text(&name, text),
    }
}

/// Whether values of a name are text even if they look like numbers, such as the hash `6848217`.
fn is_of_text(name: &str) -> bool {
    ["hash", "version", "model"].iter().any(|word| name.contains(word))
}

fn take_templates(generation: &mut Generation, lines: &[&str]) {
    let negative = lines.iter().position(|line| line.starts_with(NEGATIVE_TEMPLATE));
    let (template, negative) = lines.split_at(negative.unwrap_or(lines.len()));
    generation.take_text("template", without_label(&template.join("\n"), TEMPLATE));
    generation.take_text("negative_template", without_label(&negative.join("\n"), NEGATIVE_TEMPLATE));
}

/// The text after a label and one space.
fn without_label<'a>(text: &'a str, label: &str) -> &'a str {
    let text = text.trim_start();
    let text = text.strip_prefix(label).unwrap_or(text);
    text.strip_prefix(' ').unwrap_or(text)
}

/// Adds the names of LoRAs in the prompt: `<lora:NAME:WEIGHT>`.
fn take_loras_of_prompt(generation: &mut Generation) {
    let prompt = generation.prompt.take();
    for piece in prompt.as_deref().unwrap_or_default().split("<lora:").skip(1).take(MAX_SETTINGS) {
        if let Some((lora, _)) = piece.split_once([':', '>']) {
            generation.tag(lora);
        }
    }
    generation.prompt = prompt;
}

/// The program that wrote the text, if another one identifies itself.
fn program(generation: &Generation) -> Option<&'static str> {
    let text = |name| generation.more.get(name).and_then(json::text).unwrap_or_default();
    let version = text("version");
    let forge =
        version.strip_prefix('f').is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()));
    match () {
        () if forge => Some("Forge"),
        () if version.starts_with("Fooocus") => Some("Fooocus"),
        () if version.starts_with("ComfyUI") => Some("ComfyUI"),
        () if text("app") == "SD.Next" => Some("SD.Next"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(line: &str) -> Vec<(&str, SpelledValue<'_>)> {
        Pairs(line).collect()
    }

    #[test]
    fn values_are_quoted_json_or_plain() {
        use SpelledValue::{Json, Plain, Quoted};
        let line = r#"Steps: 20, Lora hashes: "a: b, c: d", Hashes: {"vae": "x, y: z"}, Size: 512x768, Styles: "[\"a\"]","#;
        assert_eq!(
            pairs(line),
            [
                ("Steps", Plain("20")),
                ("Lora hashes", Quoted("a: b, c: d".into())),
                ("Hashes", Json(r#"{"vae": "x, y: z"}"#)),
                ("Size", Plain("512x768")),
                ("Styles", Quoted("[\"a\"]".into())),
            ]
        );
        assert_eq!(
            pairs("Model: sea, calm, Date: 2024-01-01T10:11:12Z, , VAE: \"open, X: {a, Y:"),
            [
                ("Model", Plain("sea, calm")),
                ("Date", Plain("2024-01-01T10:11:12Z,")),
                ("VAE", Plain("\"open")),
                ("X", Plain("{a")),
                ("Y", Plain("")),
            ]
        );
        assert_eq!(pairs(", ,, no pair, 3:4"), []);
    }

    #[test]
    fn a_prompt_with_colons_is_no_line_of_pairs() {
        for line in ["Steps: carved in stone, Sampler: quilt, Seed: apple", "a: 1, b: 2, c: 3", "Seed: 5", ""]
        {
            assert!(!has_pairs(line), "{line}");
            assert!(parse(line).is_none(), "{line}");
        }
        for line in
            ["Steps: 20", "Steps: 1, Seed: 2", "Sampler: Euler a, Seed: 18446744073709551615, Size: 8x8"]
        {
            assert!(has_pairs(line), "{line}");
        }
    }

    #[test]
    fn hashes_stay_text() {
        let found =
            parse("Steps: 1, Model hash: 6848217, Foo hash: 1e10, Clip skip: 2, Version: 1.10").unwrap();
        assert_eq!(found.model_hash.as_deref(), Some("6848217"));
        let more: Vec<_> = found.more.iter().collect();
        assert_eq!(more, [("foo_hash", "\"1e10\""), ("clip_skip", "2"), ("version", "\"1.10\"")]);
    }

    /// A value as A1111 spells it.
    fn spelled(value: &str) -> String {
        if value.contains([',', ':', '\n']) {
            serde_json::to_string(value).unwrap()
        } else {
            value.to_owned()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            prompt in "[^\\r\\s]([^\\r]{0,80}[^\\r\\s])?",
            negative in proptest::option::of("[^\\r\\s]([^\\r]{0,80}[^\\r\\s])?"),
            (steps, seed) in (1_u64.., any::<u64>()),
            sampler in "[A-Za-z+][A-Za-z0-9+ ,:]{0,20}[A-Za-z+]",
            value in "[a-z][ -~]{0,30}[a-z]",
        ) {
            prop_assume!(!prompt.lines().chain(negative.iter().flat_map(|text| text.lines()))
                .any(|line| line.trim_start().starts_with(NEGATIVE)));
            let mut text = prompt.clone();
            if let Some(negative) = &negative {
                text += &format!("\n{NEGATIVE} {negative}");
            }
            text += &format!("\nSteps: {steps}, Sampler: {}, Seed: {seed}, Own name: {}", spelled(&sampler), spelled(&value));
            let found = parse(&text).unwrap();
            prop_assert_eq!(found.prompt, Some(prompt));
            prop_assert_eq!(found.negative_prompt, negative);
            prop_assert_eq!((found.steps, found.seed), (Some(steps), Some(seed)));
            prop_assert_eq!(found.sampler, Some(sampler));
            prop_assert_eq!(found.more.get("own_name").and_then(json::text), Some(value));
        }

        #[test]
        fn any_text_is_read_or_left(text in "(Steps: [0-9]|Seed: [0-9]|[,:\"{}\\[\\]\\\\\n ]|Template: |Negative prompt: |<lora:|\\PC){0,40}") {
            if let Some(found) = parse(&text) {
                prop_assert!(found.settings().is_ok());
            }
        }
    }
}
