//! The search for prompts: from a sampler, through the nodes that change conditioning, to the nodes
//! that encode text.

use std::collections::HashSet;

use serde_json::Value;

use super::graph::{Graph, Link, Node};
use crate::embedded::Generation;

/// Inputs that contain the text of a node that encodes it.
const ENCODED: [&str; 12] = [
    "text",
    "text_g",
    "text_l",
    "clip_g",
    "clip_l",
    "t5xxl",
    "llama",
    "bert",
    "mt5xl",
    "user_prompt",
    "prompt",
    "caption",
];

/// Inputs that contain the text of a node that produces text. The result of wildcards comes before
/// their source.
const TEXT: [&str; 8] =
    ["populated_text", "text", "string", "value", "prompt", "wildcard_text", "positive", "negative"];

/// The prompt to look for.
#[derive(Clone, Copy, PartialEq)]
enum Polarity {
    Positive,
    Negative,
}

/// Finds both prompts of a sampler.
pub(super) fn take_prompts(generation: &mut Generation, graph: &Graph<'_>, sampler: Node<'_>) {
    for (polarity, name) in [(Polarity::Positive, "prompt"), (Polarity::Negative, "negative_prompt")] {
        let texts = encoded(generation, graph, sampler, polarity);
        if !texts.is_empty() {
            generation.take_text(name, &texts.join("\n"));
        }
    }
}

/// The texts of one polarity that reach a sampler, each once, in the order of the inputs. Also
/// collects the guidance of a distilled model along the way.
fn encoded(
    generation: &mut Generation,
    graph: &Graph<'_>,
    sampler: Node<'_>,
    polarity: Polarity,
) -> Vec<String> {
    let mut texts = Vec::new();
    let mut seen = HashSet::new();
    let mut stack: Vec<(Node<'_>, Polarity)> = vec![(sampler, polarity)];
    while let Some((node, polarity)) = stack.pop() {
        // A zeroed conditioning has no text.
        if !seen.insert(node.id) || node.class.contains("ZeroOut") {
            continue;
        }
        if let Some(guidance) = node.inputs.get("guidance").filter(|_| polarity == Polarity::Positive)
            && let Some(value) = graph.value(guidance, &["guidance"]).filter(|value| value.is_number())
        {
            generation.take("flux_guidance", &value.to_string());
        }
        let own = if node.class.contains("Encode") { texts_of_encoder(graph, node) } else { Vec::new() };
        if own.is_empty() {
            let inputs = inputs_of(node, polarity);
            // Loaders that encode have text inputs in place of conditioning inputs.
            let given = inputs.iter().filter_map(|input| input.as_str());
            texts.extend(given.filter(|text| graph.has_room(text.len())).map(str::to_owned));
            let sources = inputs.into_iter().rev().filter_map(|input| {
                let link = Link::of(input)?;
                let source = graph.source(link)?;
                Some((source, polarity_of_output(source, link, polarity)))
            });
            stack.extend(sources);
        }
        texts.extend(own);
    }
    let mut once = HashSet::new();
    texts.retain(|text| !text.is_empty() && once.insert(text.clone()));
    texts
}

/// The inputs for conditioning of one polarity: those named after it, those for both, or the only
/// link.
fn inputs_of<'a>(node: Node<'a>, polarity: Polarity) -> Vec<&'a Value> {
    let name = if polarity == Polarity::Positive { "positive" } else { "negative" };
    // A guider without these inputs only has the positive prompt.
    let guider = node.inputs.get("guider").filter(|guider| Link::of(guider).is_some());
    if let Some(input) = node.inputs.get(name).or(guider) {
        return vec![input];
    }
    if node.class.contains("Guider") && polarity == Polarity::Negative {
        return Vec::new();
    }
    let mut conditioning: Vec<(&str, &Value)> =
        node.inputs().filter(|(name, input)| name.starts_with("cond") && Link::of(input).is_some()).collect();
    if conditioning.is_empty() {
        // The only link of a node with such inputs may be for the other polarity.
        let is_named = ["positive", "negative"].iter().any(|input| node.inputs.contains_key(*input));
        return node.only_link().filter(|_| !is_named).into_iter().collect();
    }
    // `conditioning_from` is appended to `conditioning_to`.
    conditioning.sort_by_key(|(name, _)| name.ends_with("from"));
    conditioning.into_iter().map(|(_, input)| input).collect()
}

/// The polarity to continue with from an output. A node with both inputs has its outputs in this
/// order, unless it is a guider, which has one output for both.
fn polarity_of_output(source: Node<'_>, link: Link<'_>, polarity: Polarity) -> Polarity {
    let takes = |name| source.inputs.get(name).is_some_and(|input| Link::of(input).is_some());
    let takes_both = !source.class.contains("Guider") && takes("positive") && takes("negative");
    match link.output {
        0 if takes_both => Polarity::Positive,
        1 if takes_both => Polarity::Negative,
        _ => polarity,
    }
}

fn texts_of_encoder(graph: &Graph<'_>, node: Node<'_>) -> Vec<String> {
    ENCODED.iter().filter_map(|name| text(graph, node.inputs.get(*name)?)).collect()
}

/// The text of an input: its own, or the text that the nodes at its link produce.
fn text(graph: &Graph<'_>, input: &Value) -> Option<String> {
    let mut pieces = Vec::new();
    let mut delimiter = None;
    let mut seen = HashSet::new();
    let mut stack = vec![input];
    while let Some(input) = stack.pop() {
        if let Value::String(piece) = input {
            if graph.has_room(piece.len()) {
                pieces.push(piece.as_str());
            }
            continue;
        }
        let node = Link::of(input).and_then(|link| graph.source(link)).filter(|node| seen.insert(node.id));
        let Some(node) = node else { continue };
        if ["oncat", "Join", "Combine"].iter().any(|word| node.class.contains(word)) {
            delimiter = delimiter.or(node.inputs.get("delimiter").and_then(Value::as_str));
            let joined: Vec<&Value> = node
                .inputs()
                .filter(|(name, _)| name.starts_with("text") || name.starts_with("string"))
                .map(|(_, input)| input)
                .collect();
            stack.extend(joined.into_iter().rev());
        } else if let Some(input) = TEXT.iter().find_map(|name| node.inputs.get(*name)) {
            stack.push(input);
        } else {
            stack.extend(node.only_link());
        }
    }
    (!pieces.is_empty()).then(|| pieces.join(delimiter.unwrap_or_default()))
}
