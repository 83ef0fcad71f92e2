//! Values of inputs: a node's own, or those along links whose meaning is known.
//!
//! A value that some node computes is unknown: neither its inputs nor a part of them is the result.

use std::collections::HashSet;

use serde_json::Value;

use super::graph::{Graph, Link, Node};
use super::nodes::{self, Join};

/// Maximum depth of joined texts.
const MAX_DEPTH: usize = 32;

impl<'a> Graph<'a> {
    /// The number of an input, also as text.
    pub(super) fn number(&self, input: &'a Value) -> Option<&'a Value> {
        self.own_value(input).filter(|value| is_number(value))
    }

    /// The boolean of an input.
    pub(super) fn boolean(&self, input: &'a Value) -> Option<bool> {
        match self.own_value(input)? {
            Value::Bool(value) => Some(*value),
            Value::Number(number) => number.as_u64().map(|number| number != 0),
            _ => None,
        }
    }

    /// The name or other text of an input that is not joined of several.
    pub(super) fn name(&self, input: &'a Value) -> Option<&'a str> {
        self.own_value(input)?.as_str()
    }

    /// The text of an input; `None` if it or a part of it is not known.
    pub(super) fn text(&self, input: &'a Value) -> Option<String> {
        self.text_within(input, MAX_DEPTH)
    }

    fn text_within(&self, input: &'a Value, depth: usize) -> Option<String> {
        match self.end_of(input)? {
            End::Value(Value::String(text)) => self.has_room(text.len()).then(|| text.clone()),
            End::Value(Value::Number(number)) => Some(number.to_string()),
            End::Value(_) => None,
            End::Join(node, join) => self.joined(node, join, depth.checked_sub(1)?),
        }
    }

    fn joined(&self, node: Node<'a>, join: &Join, depth: usize) -> Option<String> {
        let has = |&(name, value): &(&str, &str)| node.input(name).and_then(Value::as_str) == Some(value);
        if !join.only_if.iter().all(has) {
            return None;
        }
        let separator = match join.separator {
            Some(name) => node
                .input(name)
                .map_or(Some(join.default.to_owned()), |input| self.text_within(input, depth))?,
            None => join.default.to_owned(),
        };
        // Some nodes read escapes in a separator, and others do not.
        if separator.contains('\\') {
            return None;
        }
        let inputs = join.inputs.iter().filter_map(|name| node.input(name));
        let mut texts = inputs.map(|input| self.text_within(input, depth)).collect::<Option<Vec<_>>>()?;
        if join.trims {
            texts.iter_mut().for_each(|text| *text = text.trim().to_owned());
        }
        if join.skips_empty {
            texts.retain(|text| !text.is_empty());
        }
        let text = texts.join(&separator);
        // Tidying would change such a text.
        let has_spaces = text.as_bytes().windows(2).any(|pair| pair.iter().all(u8::is_ascii_whitespace));
        let is_tidy =
            text.trim() == text && !has_spaces && ![" ,", ",,"].iter().any(|untidy| text.contains(untidy));
        (is_tidy || !join.tidies).then_some(text).filter(|text| self.has_room(text.len()))
    }

    /// The value at the end of the links from an input, if one node has it as its own.
    fn own_value(&self, input: &'a Value) -> Option<&'a Value> {
        match self.end_of(input)? {
            End::Value(value) => Some(value),
            End::Join(..) => None,
        }
    }

    fn end_of(&self, input: &'a Value) -> Option<End<'a>> {
        let mut seen = HashSet::new();
        let mut input = input;
        loop {
            let Some(link) = Link::of(input) else { return unwrapped(input).map(End::Value) };
            let node = self.source(link)?;
            if !seen.insert((node.id, link.output)) {
                return None;
            }
            if let Some(join) = nodes::join(node, link.output) {
                return Some(End::Join(node, join));
            }
            input = self.passed_on(node, link.output).or_else(|| nodes::constant(node, link.output))?;
        }
    }
}

/// The end of links from an input.
enum End<'a> {
    /// A value.
    Value(&'a Value),
    /// A node that joins texts.
    Join(Node<'a>, &'static Join),
}

/// A value, also if an object has it: some nodes save a file's name together with its picture, and
/// ComfyUI wraps values that look like links.
fn unwrapped(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(object) => object.get("content").or_else(|| object.get("__value__")),
        Value::Null => None,
        _ => Some(value),
    }
}

fn is_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => text.trim().parse::<f64>().is_ok(),
        _ => false,
    }
}
