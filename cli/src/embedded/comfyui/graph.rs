//! A graph of nodes with bounded searches.
//!
//! Each search visits a node once and none recurses. All searches share a limit of steps, since
//! many short paths through a graph can add up to a long one.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::embedded::MAX_TEXT_BYTES;

/// Inputs that contain the only value of a simple node.
const VALUE: [&str; 8] = ["value", "Value", "int", "number", "float", "string", "text", "Number"];

/// Maximum number of links followed in one graph. A thousand nodes take about ten thousand.
const MAX_STEPS: usize = 200_000;

/// Maximum number of inputs examined per node.
const MAX_INPUTS: usize = 1000;

/// The nodes of a graph by name.
pub(super) struct Graph<'a> {
    nodes: &'a Map<String, Value>,
    /// Number of links that may still be followed.
    steps: Cell<usize>,
    /// Bytes of text that may still be assembled.
    room: Cell<usize>,
}

/// One node.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    /// Its name in the graph.
    pub(super) id: &'a str,
    /// The type of the node.
    pub(super) class: &'a str,
    /// Its inputs: values and links.
    pub(super) inputs: &'a Map<String, Value>,
}

/// An input connected to the output of another node.
#[derive(Clone, Copy)]
pub(super) struct Link<'a> {
    /// The name of the other node.
    id: &'a str,
    /// The number of the output.
    pub(super) output: u64,
}

impl<'a> Link<'a> {
    /// `["12", 0]`; `None` for anything else.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        match value.as_array()?.as_slice() {
            [Value::String(id), output] => Some(Self { id, output: output.as_u64()? }),
            _ => None,
        }
    }
}

impl<'a> Node<'a> {
    /// The inputs in the order of their names.
    pub(super) fn inputs(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.inputs.iter().take(MAX_INPUTS).map(|(name, input)| (name.as_str(), input))
    }

    /// The inputs that are links.
    pub(super) fn links(self) -> impl Iterator<Item = (&'a str, Link<'a>)> {
        self.inputs().filter_map(|(name, input)| Some((name, Link::of(input)?)))
    }

    /// The input that is a link, if it is the only one.
    pub(super) fn only_link(self) -> Option<&'a Value> {
        let mut links = self.inputs().filter(|(_, input)| Link::of(input).is_some());
        let (_, only) = links.next()?;
        links.next().is_none().then_some(only)
    }
}

impl<'a> Graph<'a> {
    /// Returns a graph if any of the members is a node.
    pub(super) fn new(nodes: &'a Map<String, Value>) -> Option<Self> {
        let graph = Self { nodes, steps: Cell::new(MAX_STEPS), room: Cell::new(MAX_TEXT_BYTES) };
        nodes.keys().any(|id| graph.node(id).is_some()).then_some(graph)
    }

    fn node(&self, id: &str) -> Option<Node<'a>> {
        let (id, value) = self.nodes.get_key_value(id)?;
        let class = value.get("class_type")?.as_str()?;
        Some(Node { id, class, inputs: value.get("inputs")?.as_object()? })
    }

    /// The source node of a link; `None` once too many links have been followed.
    pub(super) fn source(&self, link: Link<'_>) -> Option<Node<'a>> {
        self.steps.set(self.steps.get().checked_sub(1)?);
        self.node(link.id)
    }

    /// Reserves room for a text of this length; `false` if there is not enough.
    pub(super) fn has_room(&self, length: usize) -> bool {
        let left = self.room.get().checked_sub(length);
        left.inspect(|&left| self.room.set(left)).is_some()
    }

    /// The source nodes of a node's inputs, in the order of the inputs' names.
    fn sources(&self, node: Node<'a>) -> impl Iterator<Item = Node<'a>> {
        node.links().filter_map(|(_, link)| self.source(link))
    }

    /// This node and its ancestors along the first of the named inputs that is a link. An ancestor
    /// without these inputs and with only one link is passed through.
    pub(super) fn walk(&self, start: Node<'a>, names: &[&str]) -> Vec<Node<'a>> {
        let mut way = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(start);
        while let Some(node) = next.filter(|node| seen.insert(node.id)) {
            way.push(node);
            let named = names.iter().find_map(|name| self.source(Link::of(node.inputs.get(*name)?)?));
            let passed_on = || node.only_link().filter(|_| node.id != start.id);
            next = named.or_else(|| self.source(Link::of(passed_on()?)?));
        }
        way
    }

    /// The value of an input: its own, or if it is a link, the value under these names in the nodes
    /// it leads to.
    pub(super) fn value(&self, input: &'a Value, names: &[&str]) -> Option<&'a Value> {
        let mut seen = HashSet::new();
        let mut input = input;
        loop {
            match input {
                Value::String(_) | Value::Number(_) | Value::Bool(_) => return Some(input),
                _ => {}
            }
            let node = self.source(Link::of(input)?).filter(|node| seen.insert(node.id))?;
            let named = names.iter().chain(&VALUE).find_map(|name| node.inputs.get(*name));
            input = named.or_else(|| node.only_link())?;
        }
    }

    /// The sampler that starts from noise: the first ancestor of an image without a sampler before
    /// it. Saved images are searched before others.
    pub(super) fn first_sampler(&self) -> Option<Node<'a>> {
        let nodes: Vec<Node<'_>> = self.nodes.keys().filter_map(|id| self.node(id)).collect();
        let used: HashSet<&str> =
            nodes.iter().flat_map(|node| self.sources(*node).map(|source| source.id)).collect();
        let mut ends: Vec<Node<'_>> = nodes.iter().copied().filter(|node| !used.contains(node.id)).collect();
        ends.sort_by_key(|node| {
            let kept = node.class.contains("Save");
            let number: Option<u64> = node.id.parse().ok();
            (!kept, number.is_none(), number)
        });
        let mut seen = HashSet::new();
        // Nodes in a cycle are never an end, so the other nodes are tried after the ends.
        ends.iter().chain(&nodes).find_map(|end| self.first_sampler_before(*end, &mut seen))
    }

    /// Searches all ancestors of a node depth first, and returns the first sampler that is
    /// finished: all its ancestors have been searched by then.
    fn first_sampler_before(&self, end: Node<'a>, seen: &mut HashSet<&'a str>) -> Option<Node<'a>> {
        let mut stack = vec![(end, false)];
        while let Some((node, is_left)) = stack.pop() {
            if is_left {
                if is_sampler(node) {
                    return Some(node);
                }
            } else if seen.insert(node.id) {
                stack.push((node, true));
                let sources: Vec<_> = self.sources(node).collect();
                stack.extend(sources.into_iter().rev().map(|source| (source, false)));
            }
        }
        None
    }
}

/// Whether a node samples, rather than only selecting a method: it has a seed and an input for
/// sampling.
fn is_sampler(node: Node<'_>) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| node.inputs.contains_key(*name));
    node.class.contains("Sampler")
        && has(&["seed", "noise_seed", "noise"])
        && has(&["steps", "sigmas", "positive", "guider"])
}
