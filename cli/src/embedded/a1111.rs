//! The format of AUTOMATIC1111's web UI, which Forge, SD.Next, stable-diffusion.cpp and many others
//! also write: the prompt, the negative prompt, and a block of `Name: value` pairs.
//!
//! ```text
//! a lighthouse at dusk, <lora:storm:0.8>
//! Negative prompt: fog
//! Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 512x768, Lora hashes: "storm: 1a2b"
//! ```
//!
//! Values with a comma, a colon or a newline are quoted as JSON strings; some are plain JSON.

use super::block::{self, Block, NEGATIVE, SEPARATORS, lines};
use super::pairs::{NEGATIVE_TEMPLATE, SpelledValue, TEMPLATE, is_template};
use super::{Generation, civitai, json, loras, sdcpp};
use crate::embedded::generation::snake_case;

/// Parses text of this format with `\n` as line breaks, recognized by a block of pairs or at least a
/// negative prompt.
pub(super) fn parse(text: &str) -> Option<Generation> {
    let text = text.trim();
    if is_xml(text) {
        return None;
    }
    let block = block::find(text, !is_json(text)).ok()?;
    let (prompt, negative) = match &block {
        Some(Block { before, has_own_line, .. }) => split_prompts(before, *has_own_line),
        None => split_at_line(text).map(|(prompt, negative)| (Some(prompt), Some(negative)))?,
    };
    let mut generation = Generation::new("AUTOMATIC1111");
    generation.prompt = prompt.filter(|prompt| !prompt.is_empty()).map(str::to_owned);
    if let Some(negative) = negative {
        generation.take_text("negative_prompt", negative);
    }
    if let Some(Block { pairs, after, .. }) = &block {
        take_pairs(&mut generation, pairs);
        take_templates(&mut generation, after);
    }
    loras::take_of_prompt(&mut generation);
    civitai::complete(&mut generation);
    if let Some(program) = program(&generation) {
        generation.generator = program.to_owned();
    }
    Some(generation)
}

/// Whether the text is a packet of XMP or other XML.
fn is_xml(text: &str) -> bool {
    ["<?xpacket", "<?xml", "<x:xmpmeta"].iter().any(|start| text.starts_with(start))
}

/// Whether the text is JSON, or one of ComfyUI's texts in Exif. Its strings may quote whole texts of
/// this format.
fn is_json(text: &str) -> bool {
    let labels = ["prompt:", "Prompt:", "workflow:", "Workflow:"];
    let text = labels.iter().find_map(|label| text.strip_prefix(label)).unwrap_or(text).trim_start();
    let inner = text.trim_start_matches(|start: char| matches!(start, '{' | '[') || start.is_whitespace());
    inner.len() < text.len() && inner.starts_with('"')
}

/// Splits prompts into the prompt and the negative prompt. Neither is known if there are several
/// places to split one line.
fn split_prompts(text: &str, has_own_line: bool) -> (Option<&str>, Option<&str>) {
    let text = if has_own_line {
        let text = text.trim_end_matches([' ', '\t']);
        text.strip_suffix('\n').unwrap_or(text)
    } else {
        without_separator(text)
    };
    if let Some((prompt, negative)) = split_at_line(text) {
        return (Some(prompt), Some(negative));
    }
    if has_own_line {
        return (Some(text), None);
    }
    let labels = |is_separator: fn(char) -> bool| {
        let ends = move |at: &usize| text.get(..*at).is_some_and(|before| before.ends_with(is_separator));
        text.match_indices(NEGATIVE).map(|(at, _)| at).filter(ends)
    };
    let only =
        |mut labels: Box<dyn Iterator<Item = usize> + '_>| labels.next().filter(|_| labels.next().is_none());
    let label = only(Box::new(labels(|before| SEPARATORS.contains(&before))))
        .or_else(|| only(Box::new(labels(|before| before == '.'))));
    match label.and_then(|at| text.split_at_checked(at)) {
        Some((prompt, negative)) => {
            (Some(without_separator(prompt)), Some(without_label(negative, NEGATIVE)))
        }
        None if text.contains(NEGATIVE) => (None, None),
        None => (Some(text), None),
    }
}

/// Splits prompts at the line that starts with the label of the negative prompt.
fn split_at_line(text: &str) -> Option<(&str, &str)> {
    let (at, _) = lines(text).find(|(_, line)| line.starts_with(NEGATIVE))?;
    let (prompt, negative) = text.split_at_checked(at)?;
    let prompt = prompt.trim_end_matches([' ', '\t']);
    Some((prompt.strip_suffix('\n').unwrap_or(prompt), without_label(negative, NEGATIVE)))
}

/// The text before a label on the same line, without the characters that replace the line break.
fn without_separator(text: &str) -> &str {
    if let Some(text) = text.strip_suffix('.') {
        return text;
    }
    let text = text.trim_end();
    text.strip_suffix([',', ';']).unwrap_or(text)
}

/// Adds the pairs of the block.
fn take_pairs(generation: &mut Generation, pairs: &[(&str, SpelledValue<'_>)]) {
    let is_sdcpp = sdcpp::wrote(pairs);
    for (name, value) in pairs {
        loras::take_of_pair(generation, name, value);
        let name = match snake_case(name) {
            name if name == "schedule_type" => "scheduler".to_owned(),
            name if is_sdcpp => sdcpp::setting(name),
            name => name,
        };
        take(generation, &name, value);
    }
    if is_sdcpp {
        sdcpp::complete(generation, pairs);
    }
    // The hash of the model is in `Hashes` if the line has no pair for it.
    let hashes = pairs.iter().find_map(|(name, value)| match value {
        SpelledValue::Json(hashes) if *name == "Hashes" => json::object(hashes),
        _ => None,
    });
    if let Some(hash) = hashes.as_ref().and_then(|hashes| hashes.get("model")) {
        generation.take("model_hash", hash);
    }
    loras::take_of_additional_networks(generation);
}

/// Adds a pair.
fn take(generation: &mut Generation, name: &str, value: &SpelledValue<'_>) {
    match value {
        SpelledValue::Quoted(text) => generation.take_text(name, text),
        SpelledValue::Json(value) => generation.take(name, value),
        SpelledValue::Plain(text) if json::is_number(text) && !is_of_text(name) => {
            generation.take(name, text);
        }
        SpelledValue::Plain(text) if is_main(name) && has_more_text(text) => {}
        SpelledValue::Plain(text) => generation.take_text(name, text),
    }
}

/// Whether values of a name are text even if they look like numbers, such as the hash `6848217`.
fn is_of_text(name: &str) -> bool {
    let has = |words: [&str; 3]| words.iter().any(|word| name.contains(word));
    has(["hash", "version", "model"]) && !has(["strength", "weight", "confidence"])
}

/// Whether a setting has a field, so that a value with other text at its end would be wrong.
fn is_main(name: &str) -> bool {
    matches!(name, "sampler" | "scheduler" | "model" | "model_hash")
}

/// Whether other text follows a value that is not quoted: A1111 quotes values with colons.
fn has_more_text(value: &str) -> bool {
    value.contains(": ") || value.contains("{\"")
}

/// Adds the templates in the text after the block.
fn take_templates(generation: &mut Generation, after: &str) {
    let Some((start, _)) = lines(after).find(|(_, line)| is_template(line)) else { return };
    let templates = after.get(start..).unwrap_or_default();
    let negative = lines(templates).find(|(_, line)| line.starts_with(NEGATIVE_TEMPLATE));
    let (template, negative) = templates.split_at(negative.map_or(templates.len(), |(at, _)| at));
    generation.take_text("template", without_label(template.trim_end(), TEMPLATE));
    generation.take_text("negative_template", without_label(negative, NEGATIVE_TEMPLATE));
}

/// The text after a label and one space.
fn without_label<'a>(text: &'a str, label: &str) -> &'a str {
    let text = text.trim_start();
    let text = text.strip_prefix(label).unwrap_or(text);
    text.strip_prefix(' ').unwrap_or(text)
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
        () if version.starts_with(sdcpp::GENERATOR) => Some(sdcpp::GENERATOR),
        () if text("app") == "SD.Next" => Some("SD.Next"),
        () if civitai::generated(generation) => Some(civitai::GENERATOR),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_stay_text() {
        let found =
            parse("Steps: 1, Model hash: 6848217, Foo hash: 1e10, Clip skip: 2, Version: 1.10").unwrap();
        assert_eq!(found.model_hash.as_deref(), Some("6848217"));
        let more: Vec<_> = found.more.iter().collect();
        assert_eq!(more, [("foo_hash", "\"1e10\""), ("clip_skip", "2"), ("version", "\"1.10\"")]);
    }

    /// Prompt and negative prompt.
    fn prompts(text: &str) -> (Option<String>, Option<String>) {
        let found = parse(text).unwrap();
        (found.prompt, found.negative_prompt)
    }

    #[test]
    fn prompts_are_split_at_lines_or_at_their_replacement() {
        const PAIRS: &str = "Steps: 2, Sampler: Euler, Seed: 5";
        let own_line = format!("\n{PAIRS}");
        let inline = format!(" {PAIRS}");
        let dot = format!(".{PAIRS}");
        let comma = format!(", {PAIRS}");
        for (before, pairs, prompt, negative) in [
            ("a\nNegative prompt: b", &own_line, Some("a"), Some("b")),
            ("a Negative prompt: b", &own_line, Some("a Negative prompt: b"), None),
            ("a Negative prompt: b", &inline, Some("a"), Some("b")),
            ("a, Negative prompt: b", &comma, Some("a"), Some("b")),
            ("a,.Negative prompt: b.", &dot, Some("a,"), Some("b.")),
            ("a\nNegative prompt: b", &comma, Some("a"), Some("b")),
            ("Negative prompt: b", &inline, None, Some("b")),
            ("a. Dusk.", &inline, Some("a. Dusk."), None),
            ("a", &dot, Some("a"), None),
            // Which label is the right one cannot be known, unless a dot replaces the line break.
            ("a Negative prompt: b Negative prompt: c", &inline, None, None),
            ("a Negative prompt: b.Negative prompt: c", &dot, Some("a Negative prompt: b"), Some("c")),
        ] {
            let expected = (prompt.map(str::to_owned), negative.map(str::to_owned));
            assert_eq!(prompts(&format!("{before}{pairs}")), expected, "{before}{pairs}");
        }
    }

    #[test]
    fn text_inside_json_or_xml_is_not_read() {
        for (open, close) in [("{\"a\": \"", "\"}"), ("prompt:{ \"a\": \"", "\"}"), ("<?xpacket ?>\n", "")] {
            assert_eq!(parse(&format!("{open}a Steps: 2, Sampler: Euler, Seed: 5{close}")), None);
        }
        let found = parse("{red|blue} boat Steps: 2, Sampler: Euler, Seed: 5").unwrap();
        assert_eq!(found.prompt.as_deref(), Some("{red|blue} boat"));
    }

    #[test]
    fn a_value_with_other_text_is_left_out() {
        let found = parse("a Steps: 2, Sampler: Euler, Seed: 5, Model: coast.Template: a boat").unwrap();
        assert_eq!((found.model_name, found.seed), (None, Some(5)));
        let found = parse("a\nSteps: 2 or so, Sampler: Euler, Seed: 5, Size: 8x8, Model: coast").unwrap();
        assert_eq!((found.steps, found.model_name.as_deref()), (None, Some("coast")));
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
            prompt in "[^\\r\\s\u{feff}]([^\\r]{0,80}[^\\r\\s])?",
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

        /// On one line, what is found is what was written.
        #[test]
        fn one_line_is_read_right(
            prompt in "[a-zS][a-z ,.:S]{0,40}[a-z]",
            negative in proptest::option::of("[a-z][a-z ,.:]{0,40}[a-z]"),
            separator in prop::sample::select(vec![" ", ", ", ".", "\n"]),
            (steps, seed) in (1_u64.., any::<u64>()),
        ) {
            let mut text = prompt.clone();
            if let Some(negative) = &negative {
                text += &format!("{separator}{NEGATIVE} {negative}");
            }
            text += &format!("{separator}Steps: {steps}, Sampler: Euler, Seed: {seed}, Size: 8x8");
            let found = parse(&text).unwrap();
            prop_assert_eq!(found.prompt, Some(prompt));
            prop_assert_eq!(found.negative_prompt, negative);
            prop_assert_eq!((found.steps, found.seed), (Some(steps), Some(seed)));
        }

        #[test]
        fn any_text_is_read_or_left(text in "(Steps: [0-9]|Seed: [0-9]|Sampler: a|Size: 8|[,.:\"{}\\[\\]\\\\\n\r ]|Template: |Negative prompt: |<lora:|<lyco:|\\PC){0,40}") {
            if let Some(found) = parse(&text) {
                prop_assert!(found.settings().is_ok());
            }
        }
    }
}
