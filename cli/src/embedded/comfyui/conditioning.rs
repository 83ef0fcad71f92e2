//! The search for prompts: from a sampler, through the nodes that change conditioning, to the nodes
//! that encode text.
//!
//! A prompt is complete or not known: if any text on the way is not known, neither is the whole.

use std::collections::HashSet;

use serde_json::Value;

use super::graph::{Graph, Link, Node};
use super::nodes;
use crate::embedded::Generation;

/// Inputs that contain the text of a node that encodes it.
const ENCODED: [&str; 13] = [
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
    "tags",
];

/// Links to the model that encodes text. A node with one of them and with text encodes it.
const ENCODERS: [&str; 9] =
    ["clip", "opt_clip", "t5", "text_encoder", "text_encoders", "bert", "clip1", "clip_model", "gemma"];

/// The prompt to look for.
#[derive(Clone, Copy, PartialEq)]
enum Polarity {
    Positive,
    Negative,
}

impl Polarity {
    /// The inputs for conditioning or text of this polarity.
    fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Positive => &["positive", "positive_prompt", "text_positive", "pos", "cond_pos"],
            Self::Negative => {
                &["negative", "negative_prompt", "text_negative", "neg", "neg_conditioning", "cond_neg"]
            }
        }
    }

    fn is_among(self, node: Node<'_>) -> bool {
        node.first_input(self.inputs()).is_some()
    }
}

/// Links that carry both polarities.
const BOTH: [&str; 2] = ["guider", "text_embeds"];

/// Takes both prompts of a sampler.
pub(super) fn take_prompts(generation: &mut Generation, graph: &Graph<'_>, sampler: Node<'_>) {
    for (polarity, name) in [(Polarity::Positive, "prompt"), (Polarity::Negative, "negative_prompt")] {
        let mut search = Search { graph, texts: Vec::new(), guidance: None, stack: Vec::new() };
        let texts = search.run(sampler, polarity);
        if let Some(texts) = texts.filter(|texts| !texts.is_empty()) {
            generation.take_text(name, &texts.join("\n"));
        }
        if let Some(guidance) = search.guidance.filter(|_| polarity == Polarity::Positive) {
            generation.take("flux_guidance", &guidance.to_string());
        }
    }
}

/// A search for the texts of one polarity that reach a sampler.
struct Search<'g, 'a> {
    graph: &'g Graph<'a>,
    texts: Vec<String>,
    /// The guidance of a distilled model, from the first node that has it.
    guidance: Option<&'a Value>,
    /// Nodes that are still to be searched, the next one last.
    stack: Vec<Step<'a>>,
}

/// A node on the way, and how it was reached.
#[derive(Clone, Copy)]
struct Step<'a> {
    node: Node<'a>,
    /// The output that was followed, or `None` if it carries both polarities.
    output: Option<u64>,
    polarity: Polarity,
}

/// The search came to a node whose text is not known.
struct Unknown;

impl<'a> Search<'_, 'a> {
    /// Returns the texts, each once, in the order of the inputs.
    fn run(&mut self, sampler: Node<'a>, polarity: Polarity) -> Option<Vec<String>> {
        self.stack.push(Step { node: sampler, output: None, polarity });
        let mut seen = HashSet::new();
        let mut is_sampler = true;
        while let Some(step) = self.stack.pop() {
            if seen.insert((step.node.id, step.output, step.polarity == Polarity::Positive)) {
                self.visit(step, is_sampler).ok()?;
            }
            is_sampler = false;
        }
        let mut once = HashSet::new();
        self.texts.retain(|text| !text.is_empty() && once.insert(text.clone()));
        Some(std::mem::take(&mut self.texts))
    }

    fn visit(&mut self, step: Step<'a>, is_sampler: bool) -> Result<(), Unknown> {
        let Step { node, output, polarity } = step;
        if let Some(input) = self.graph.passed_on(node, output.unwrap_or(0)) {
            return self.follow(input, output.is_none(), polarity);
        }
        // A zeroed conditioning has no text.
        if node.class.contains("ZeroOut") {
            return Ok(());
        }
        if nodes::adds_texts(node) {
            return Err(Unknown);
        }
        if let Some(guidance) = node.input("guidance") {
            self.guidance = self.guidance.or_else(|| self.graph.number(guidance));
        }
        let polarity = match output {
            Some(output) if has_both(node) => polarity_of(node, output, polarity)?,
            _ => polarity,
        };
        if let Some(input) = node.first_input(polarity.inputs()) {
            return self.text_or_link(input, polarity);
        }
        if is_sampler || output.is_none() {
            return self.visit_both(node, polarity);
        }
        match nodes::polarities(node).and_then(|_| nodes::bundle(node)) {
            Some(link) => self.push(link, None, polarity),
            None => self.visit_one(node, polarity),
        }
    }

    /// Visits a sampler, guider or bundle that has no input for the polarity itself.
    fn visit_both(&mut self, node: Node<'a>, polarity: Polarity) -> Result<(), Unknown> {
        if let Some(link) = node.first_link(&BOTH).or_else(|| nodes::bundle(node)) {
            return self.push(link, None, polarity);
        }
        // A node without a negative side takes one conditioning.
        match polarity {
            Polarity::Negative => Ok(()),
            Polarity::Positive => self.visit_one(node, polarity),
        }
    }

    /// Visits a node that encodes or changes one conditioning.
    fn visit_one(&mut self, node: Node<'a>, polarity: Polarity) -> Result<(), Unknown> {
        let conditioning = conditioning_of(node);
        let encodes = conditioning.is_empty() || node.first_link(&ENCODERS).is_some();
        let texts: Vec<&Value> = encoded_by(node).filter(|_| encodes).collect();
        if texts.is_empty() {
            if conditioning.is_empty() {
                return Err(Unknown);
            }
            return conditioning.into_iter().rev().try_for_each(|input| self.follow(input, false, polarity));
        }
        for text in texts {
            self.texts.push(self.graph.text(text).ok_or(Unknown)?);
        }
        Ok(())
    }

    /// Takes an input that is a text, or follows its link to conditioning.
    fn text_or_link(&mut self, input: &'a Value, polarity: Polarity) -> Result<(), Unknown> {
        match self.graph.text(input) {
            Some(text) => {
                self.texts.push(text);
                Ok(())
            }
            None => self.follow(input, false, polarity),
        }
    }

    fn follow(&mut self, input: &'a Value, both: bool, polarity: Polarity) -> Result<(), Unknown> {
        let link = Link::of(input).ok_or(Unknown)?;
        self.push(link, if both { None } else { Some(link.output) }, polarity)
    }

    fn push(&mut self, link: Link<'a>, output: Option<u64>, polarity: Polarity) -> Result<(), Unknown> {
        let node = self.graph.source(link).ok_or(Unknown)?;
        self.stack.push(Step { node, output, polarity });
        Ok(())
    }
}

/// Whether a node takes both polarities, as conditioning or as text.
fn has_both(node: Node<'_>) -> bool {
    Polarity::Positive.is_among(node) && Polarity::Negative.is_among(node)
        || nodes::polarities(node).is_some()
}

/// The polarity that an output of a node with both has. Most nodes give out the positive one first.
fn polarity_of(node: Node<'_>, output: u64, polarity: Polarity) -> Result<Polarity, Unknown> {
    if let Some([positive, negative]) = nodes::polarities(node) {
        return match output {
            _ if output == positive => Ok(Polarity::Positive),
            _ if output == negative => Ok(Polarity::Negative),
            _ => Err(Unknown),
        };
    }
    // A loader that encodes both has other outputs before them.
    let has_texts = |polarity: Polarity| {
        node.first_input(polarity.inputs()).is_some_and(|input| Link::of(input).is_none())
    };
    match output {
        0 if !has_texts(Polarity::Positive) => Ok(Polarity::Positive),
        1 if !has_texts(Polarity::Positive) => Ok(Polarity::Negative),
        _ if has_texts(Polarity::Positive) || has_texts(Polarity::Negative) => Ok(polarity),
        _ => Err(Unknown),
    }
}

/// The texts that a node encodes.
fn encoded_by<'a>(node: Node<'a>) -> impl Iterator<Item = &'a Value> {
    // The result of wildcards is in an input of its own.
    let populated = node.input("populated_text");
    let others = ENCODED.iter().filter(move |_| populated.is_none()).filter_map(move |name| node.input(name));
    populated.into_iter().chain(others)
}

/// The links of a node to conditioning of one polarity, in the order in which it joins them.
fn conditioning_of<'a>(node: Node<'a>) -> Vec<&'a Value> {
    let mut conditioning: Vec<(&str, &Value)> =
        node.inputs().filter(|(name, input)| name.starts_with("cond") && Link::of(input).is_some()).collect();
    // `conditioning_from` is appended to `conditioning_to`.
    conditioning.sort_by_key(|(name, _)| name.ends_with("from"));
    conditioning.into_iter().map(|(_, input)| input).collect()
}
