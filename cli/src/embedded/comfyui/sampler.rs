//! The search for the sampler that made an image, and its settings.

use std::collections::HashSet;

use serde_json::Value;

use super::graph::{Graph, Link, Node};
use super::nodes;
use crate::embedded::Generation;

/// Inputs with a seed, or with a link to a node of noise.
const SEED: [&str; 3] = ["seed", "noise_seed", "noise"];

/// Inputs with the number of steps, or with a link to the schedule of noise.
const STEPS: [&str; 2] = ["steps", "sigmas"];

/// Whether a node samples, whatever its name: it has a seed, steps, and a link to a model or to
/// conditioning. A node that is called a sampler may lack the link.
fn is_sampler(node: Node<'_>) -> bool {
    node.first_input(&SEED).is_some()
        && node.first_input(&STEPS).is_some()
        && (node.class.contains("Sampler")
            || node.first_link(&["model", "guider", "positive", "conditioning", "text_embeds"]).is_some()
            || nodes::bundle(node).is_some())
}

/// The sampler that starts from noise: the first ancestor of an image without a sampler before it.
/// Saved images are searched before others.
pub(super) fn first_sampler<'a>(graph: &Graph<'a>) -> Option<Node<'a>> {
    let nodes: Vec<Node<'_>> = graph.nodes().collect();
    let used: HashSet<&str> =
        nodes.iter().flat_map(|node| graph.live_sources(*node)).map(|source| source.id).collect();
    let mut ends: Vec<Node<'_>> = nodes.iter().copied().filter(|node| !used.contains(node.id)).collect();
    ends.sort_by_key(|node| {
        let kept = node.class.contains("Save");
        let number: Option<u64> = node.id.parse().ok();
        (!kept, number.is_none(), number)
    });
    let mut seen = HashSet::new();
    // Nodes in a cycle are never an end, so the other nodes are tried after the ends.
    ends.iter().chain(&nodes).find_map(|end| first_sampler_before(graph, *end, &mut seen))
}

/// Searches all ancestors of a node depth first, and returns the first sampler that is finished:
/// all its ancestors have been searched by then.
fn first_sampler_before<'a>(
    graph: &Graph<'a>,
    end: Node<'a>,
    seen: &mut HashSet<&'a str>,
) -> Option<Node<'a>> {
    let mut stack = vec![(end, false)];
    while let Some((node, is_left)) = stack.pop() {
        if is_left {
            if is_sampler(node) {
                return Some(node);
            }
        } else if seen.insert(node.id) {
            stack.push((node, true));
            stack.extend(graph.live_sources(node).into_iter().rev().map(|source| (source, false)));
        }
    }
    None
}

/// A setting, and where to find it: in the sampler, or in nodes before it.
struct Setting {
    /// Its name in GEN5.
    name: &'static str,
    /// The names of inputs with the setting.
    inputs: &'static [&'static str],
    /// Links to nodes that may have it instead.
    along: &'static [&'static str],
    /// Whether it is a number.
    is_number: bool,
}

const LATENT: &[&str] = &["latent_image", "latent", "samples", "image_embeds"];

const SETTINGS: [Setting; 8] = [
    Setting { name: "seed", inputs: &["seed", "noise_seed"], along: &["noise"], is_number: true },
    Setting { name: "steps", inputs: &["steps"], along: &["sigmas"], is_number: true },
    Setting { name: "sampler", inputs: &["sampler_name", "sampler"], along: &["sampler"], is_number: false },
    Setting { name: "scheduler", inputs: &["scheduler"], along: &["sigmas"], is_number: false },
    Setting { name: "cfg_scale", inputs: &["cfg", "cfg_conds"], along: &["guider"], is_number: true },
    Setting { name: "denoise", inputs: &["denoise"], along: &["sigmas"], is_number: true },
    Setting { name: "width", inputs: &["width", "empty_latent_width"], along: LATENT, is_number: true },
    Setting { name: "height", inputs: &["height", "empty_latent_height"], along: LATENT, is_number: true },
];

/// Takes the settings of a sampler.
pub(super) fn take_settings(generation: &mut Generation, graph: &Graph<'_>, sampler: Node<'_>) {
    for setting in &SETTINGS {
        if let Some(value) = find(graph, sampler, setting) {
            generation.take(setting.name, &value);
        }
    }
    // Nodes for a specific sampler or schedule have it in their class name: SamplerEulerAncestral,
    // KarrasScheduler.
    let classes = |name| along(graph, sampler, &[name]).into_iter().skip(1).map(|node| node.class);
    if let Some(name) = classes("sampler").find_map(|class| class.strip_prefix("Sampler")) {
        generation.take_text("sampler", name);
    }
    if let Some(name) = classes("sigmas").find_map(|class| class.strip_suffix("Scheduler")) {
        generation.take_text("scheduler", name);
    }
}

/// The JSON of a setting, from the first node that has the input. If its value is not known, that of
/// a node farther away is not it.
fn find<'a>(graph: &Graph<'a>, sampler: Node<'a>, setting: &Setting) -> Option<String> {
    let has_it = |node: &Node<'a>| {
        // A link under a name that leads to nodes is not one to a value.
        let leads_on = |name| setting.along.contains(name) && node.link(name).is_some();
        setting.inputs.iter().filter(|name| !leads_on(name)).find_map(|name| node.input(name))
    };
    let way = along(graph, sampler, setting.along);
    let (node, input) = way.iter().find_map(|node| Some((node, has_it(node)?)))?;
    if setting.along == LATENT && !is_size_known(&way, *node) {
        return None;
    }
    if setting.is_number {
        return graph.number(input).map(Value::to_string);
    }
    graph.name(input).map(|name| Value::from(name).to_string())
}

/// Whether the size in a node is that of the latent that reaches the sampler: no preset replaces it,
/// and nothing on the way changes it.
fn is_size_known(way: &[Node<'_>], node: Node<'_>) -> bool {
    const PRESETS: [&str; 5] = ["aspect_ratio", "dimensions", "resolution", "preset", "swap_dimensions"];
    const CHANGES: [&str; 4] = ["Upscale", "Scale", "Resize", "Rotate"];
    let changes = |node: &Node<'_>| CHANGES.iter().any(|word| node.class.contains(word));
    node.first_input(&PRESETS).is_none()
        && !way.iter().skip(1).take_while(|before| before.id != node.id).any(changes)
}

/// A node and its ancestors along the first of the named inputs that is a link, through switches
/// and reroutes.
fn along<'a>(graph: &Graph<'a>, start: Node<'a>, names: &[&str]) -> Vec<Node<'a>> {
    let mut way = vec![start];
    let mut seen = HashSet::from([start.id]);
    let mut next = start.first_link(names);
    while let Some(link) = next {
        let Some(node) = graph.source(link).filter(|node| seen.insert(node.id)) else { break };
        next = match graph.passed_on(node, link.output) {
            Some(input) => Link::of(input),
            None => {
                way.push(node);
                node.first_link(names)
            }
        };
    }
    way
}
