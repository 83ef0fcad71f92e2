//! The model of a sampler, and the LoRAs that are applied to it.

use std::collections::HashSet;

use serde_json::Value;

use super::graph::{Graph, Link, Node};
use super::nodes;
use crate::embedded::Generation;

/// Links from a node to the model that it samples or changes.
const MODEL: [&str; 6] = ["guider", "model", "opt_model", "unet", "base_model", "MODEL"];

/// Inputs with the file of a model.
const FILES: [&str; 8] = [
    "ckpt_name",
    "unet_name",
    "base_ckpt_name",
    "gguf_name",
    "model_path",
    "diffusion_model",
    "model_name",
    "model",
];

/// Maximum length of a LoRA's file name in bytes.
const MAX_NAME: usize = 1000;

/// Takes the name of the sampler's model and the names of its LoRAs.
pub(super) fn take_model(generation: &mut Generation, graph: &Graph<'_>, sampler: Node<'_>) {
    let way = way_to_model(graph, sampler);
    let loader = way.last().filter(|node| node.first_link(&MODEL).is_none());
    let file = loader.and_then(|node| FILES.iter().find_map(|name| graph.name(node.input(name)?)));
    if let Some(file) = file {
        generation.take_text("model", file);
    }
    // In the order in which they are applied.
    for node in way.iter().rev() {
        take_loras(generation, graph, *node);
    }
}

/// The nodes from a sampler to the loader of its model. The way ends early at a node that merges
/// models, since the result is none of them.
fn way_to_model<'a>(graph: &Graph<'a>, sampler: Node<'a>) -> Vec<Node<'a>> {
    let mut way = vec![sampler];
    let mut seen = HashSet::from([sampler.id]);
    let mut next = next_of(sampler);
    while let Some(link) = next {
        let Some(node) = graph.source(link).filter(|node| seen.insert(node.id)) else { break };
        next = match graph.passed_on(node, link.output) {
            Some(input) => Link::of(input),
            None => {
                way.push(node);
                next_of(node)
            }
        };
    }
    way
}

fn next_of<'a>(node: Node<'a>) -> Option<Link<'a>> {
    node.first_link(&MODEL).or_else(|| nodes::bundle(node))
}

/// Takes the LoRAs that a node applies, and those of stacks before it.
fn take_loras(generation: &mut Generation, graph: &Graph<'_>, node: Node<'_>) {
    let mut stacks = vec![node];
    let mut seen = HashSet::from([node.id]);
    let mut next = node.first_link(&STACK);
    while let Some(stack) = next.and_then(|link| graph.source(link)).filter(|stack| seen.insert(stack.id)) {
        stacks.push(stack);
        next = stack.first_link(&STACK);
    }
    for node in stacks.into_iter().rev() {
        let names = own_loras(graph, node);
        names.iter().filter(|name| name.len() <= MAX_NAME).for_each(|name| generation.tag(name));
    }
}

/// Links to nodes that only collect LoRAs.
const STACK: [&str; 4] = ["lora_stack", "optional_lora_stack", "prev_lora", "lora"];

/// The names of the LoRAs that a node itself has in use.
fn own_loras<'a>(graph: &Graph<'a>, node: Node<'a>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (name, input) in node.inputs() {
        match input {
            // A list of LoRA Manager.
            _ if name == "loras" => names.extend(listed(input)),
            // rgthree's Power Lora Loader: an object that says whether it is on.
            Value::Object(object) if object.contains_key("lora") => {
                let is_on = object.get("on").and_then(Value::as_bool).unwrap_or(true)
                    && object.get("strength").and_then(Value::as_f64) != Some(0.0);
                names.extend(object.get("lora").filter(|_| is_on).and_then(Value::as_str));
            }
            _ if is_slot(name) && is_used(graph, node, numbered(name)) => names.extend(graph.name(input)),
            _ => {}
        }
    }
    if node.class.starts_with("Power Prompt") && node.link("opt_model").is_some() {
        names.extend(node.input("prompt").and_then(Value::as_str).into_iter().flat_map(named_in));
    }
    names
}

/// Whether an input names the file of a LoRA.
fn is_slot(name: &str) -> bool {
    name == "lora_name" || name == "lora" || numbered(name).is_some()
}

/// The number of a slot: 3 for `lora_name_3` and `lora_03`.
fn numbered(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("lora_name_").or_else(|| name.strip_prefix("lora_"))?;
    rest.parse().ok()
}

/// Whether a slot is in use: within the count of slots, switched on, and with some strength.
fn is_used(graph: &Graph<'_>, node: Node<'_>, slot: Option<u64>) -> bool {
    let Some(slot) = slot else {
        return !is_zero(node, "strength_model")
            || !is_zero(node, "strength_clip") && node.link("clip").is_some();
    };
    let count = node.input("lora_count").map(|count| graph.number(count).and_then(Value::as_u64));
    let within = count.is_none_or(|count| count.is_some_and(|count| slot <= count));
    let off = node.input(&format!("switch_{slot}")).and_then(Value::as_str) == Some("Off");
    let is_advanced = node.input("input_mode").and_then(Value::as_str) == Some("advanced");
    let strengths = if is_advanced {
        vec![format!("model_str_{slot}")]
    } else {
        vec![format!("strength_{slot:02}"), format!("lora_wt_{slot}"), format!("model_weight_{slot}")]
    };
    within && !off && !strengths.iter().any(|strength| is_zero(node, strength))
}

fn is_zero(node: Node<'_>, input: &str) -> bool {
    node.input(input).and_then(Value::as_f64) == Some(0.0)
}

/// The active entries of LoRA Manager's list.
fn listed(list: &Value) -> Vec<&str> {
    let list = list.get("__value__").unwrap_or(list).as_array().map_or(&[][..], Vec::as_slice);
    let is_active = |entry: &&Value| entry.get("active").and_then(Value::as_bool).unwrap_or(true);
    list.iter().filter(is_active).filter_map(|entry| entry.get("name")?.as_str()).collect()
}

/// The names in `<lora:NAME:WEIGHT>`.
fn named_in(prompt: &str) -> impl Iterator<Item = &str> {
    prompt.split("<lora:").skip(1).filter_map(|piece| piece.split([':', '>']).next())
}
