//! A graph of nodes with bounded searches.
//!
//! Each search visits a node once, and none recurses without a limit. All searches share a limit of
//! steps, since many short paths through a graph can add up to a long one.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::nodes::{self, Pick};

/// Maximum number of links followed in one graph. A thousand nodes take about ten thousand.
const MAX_STEPS: usize = 100_000;

/// Maximum number of bytes of all texts that one graph assembles.
const MAX_TEXT: usize = 1 << 20;

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
    inputs: &'a Map<String, Value>,
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
    /// The value or link of an input.
    pub(super) fn input(self, name: &str) -> Option<&'a Value> {
        self.inputs.get(name).filter(|input| !input.is_null())
    }

    /// The first of these inputs that the node has.
    pub(super) fn first_input(self, names: &[&str]) -> Option<&'a Value> {
        names.iter().find_map(|name| self.input(name))
    }

    /// The link of an input.
    pub(super) fn link(self, name: &str) -> Option<Link<'a>> {
        self.input(name).and_then(Link::of)
    }

    /// The first of these inputs that is a link.
    pub(super) fn first_link(self, names: &[&str]) -> Option<Link<'a>> {
        names.iter().find_map(|name| self.link(name))
    }

    /// The inputs in the order of their names.
    pub(super) fn inputs(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.inputs.iter().take(MAX_INPUTS).map(|(name, input)| (name.as_str(), input))
    }

    /// The inputs that are links.
    pub(super) fn links(self) -> impl Iterator<Item = (&'a str, Link<'a>)> {
        self.inputs().filter_map(|(name, input)| Some((name, Link::of(input)?)))
    }
}

impl<'a> Graph<'a> {
    /// Returns a graph if any of the members is a node.
    pub(super) fn new(nodes: &'a Map<String, Value>) -> Option<Self> {
        let graph = Self { nodes, steps: Cell::new(MAX_STEPS), room: Cell::new(MAX_TEXT) };
        let has_node = graph.nodes().next().is_some();
        has_node.then_some(graph)
    }

    /// All nodes, in the order of their names.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'a>> {
        self.nodes.keys().filter_map(|id| self.node(id))
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

    /// The input that a node passes on through an output, such as a switch or a reroute; `None` if
    /// it is no such node, or if the choice is not known.
    pub(super) fn passed_on(&self, node: Node<'a>, output: u64) -> Option<&'a Value> {
        match nodes::pick(node, output)? {
            Pick::Input(name) => node.input(name),
            Pick::Only => node.inputs().next().map(|(_, input)| input),
            Pick::First(prefix) => first_of(node, prefix),
            Pick::Number { select, prefix, base } => {
                let number = self.number(node.input(select)?)?.as_u64().filter(|number| *number >= base)?;
                node.input(&format!("{prefix}{number}"))
            }
            Pick::Either { condition, on_true, on_false } => {
                let is_true = self.boolean(node.input(condition)?)?;
                node.input(if is_true { on_true } else { on_false })
            }
        }
    }

    /// The source nodes of a node's inputs, in the order of the inputs' names. Of a switch whose
    /// choice is known, only the chosen source.
    pub(super) fn live_sources(&self, node: Node<'a>) -> Vec<Node<'a>> {
        match self.passed_on(node, 0) {
            Some(chosen) => Link::of(chosen).and_then(|link| self.source(link)).into_iter().collect(),
            None => node.links().filter_map(|(_, link)| self.source(link)).collect(),
        }
    }
}

/// The first input whose name has this prefix and a number.
fn first_of<'a>(node: Node<'a>, prefix: &str) -> Option<&'a Value> {
    let numbered = |name: &str| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let inputs = node.inputs().filter(|(_, input)| !input.is_null());
    inputs
        .filter_map(|(name, input)| Some((numbered(name)?, input)))
        .min_by_key(|(number, _)| *number)
        .map(|(_, input)| input)
}
