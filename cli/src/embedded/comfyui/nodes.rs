//! The meaning of the outputs of known nodes.
//!
//! A graph does not say what a node gives out. These tables say it for nodes that pass on one of
//! their inputs, that join texts, or that have outputs for both prompts. The output of any other
//! node is not known, even if one of its inputs looks like it.

use serde_json::Value;

use super::graph::{Link, Node};

/// The input that a node passes on.
#[derive(Clone, Copy)]
pub(super) enum Pick {
    /// The input of this name.
    Input(&'static str),
    /// The only input.
    Only,
    /// The first input that is there of those with this prefix and a number.
    First(&'static str),
    /// The input with this prefix and a number. `select` has the number if inputs count from `base`,
    /// which is 1 or 0.
    Number { select: &'static str, prefix: &'static str, base: u64 },
    /// One of two inputs, by a condition.
    Either { condition: &'static str, on_true: &'static str, on_false: &'static str },
}

/// A text joined of others.
pub(super) struct Join {
    /// The inputs with the texts, in order.
    pub(super) inputs: &'static [&'static str],
    /// The input with the separator.
    pub(super) separator: Option<&'static str>,
    /// The separator if the input is missing.
    pub(super) default: &'static str,
    /// Whether empty texts get no separator.
    pub(super) skips_empty: bool,
    /// Inputs that must have these values for the node to join at all.
    pub(super) only_if: &'static [(&'static str, &'static str)],
    /// Whether the node also tidies commas and spaces.
    pub(super) tidies: bool,
    /// Whether the node removes spaces around each text.
    pub(super) trims: bool,
}

/// The input that a node passes on through an output.
pub(super) fn pick(node: Node<'_>, output: u64) -> Option<Pick> {
    if adds_texts(node) {
        return None;
    }
    let output = usize::try_from(output).ok()?;
    if let Some((_, picks)) = PICKS.iter().find(|(class, _)| *class == node.class) {
        return picks.get(output).copied().flatten();
    }
    if output > 0 {
        return None;
    }
    reroute(node).or_else(|| either(node))
}

/// Whether a node changes its texts by others that the graph does not have or that have inputs of
/// their own.
pub(super) fn adds_texts(node: Node<'_>) -> bool {
    let inputs: &[&str] = match node.class {
        "easy stylesSelector" => &["select_styles"],
        "ttN pipeLoader_v2" => &["prepend_positive", "prepend_negative"],
        _ => &[],
    };
    inputs.iter().filter_map(|name| node.input(name)).any(|input| input.as_str() != Some(""))
}

/// A reroute has one input, and passes it on.
fn reroute(node: Node<'_>) -> Option<Pick> {
    let mut inputs = node.inputs();
    let is_alone =
        inputs.next().is_some_and(|(_, input)| Link::of(input).is_some()) && inputs.next().is_none();
    (is_alone && node.class.contains("Reroute")).then_some(Pick::Only)
}

fn either(node: Node<'_>) -> Option<Pick> {
    let condition = ["switch", "boolean", "cond"].into_iter().find(|name| node.input(name).is_some())?;
    match (node.input("on_true"), node.input("on_false")) {
        (None, None) => None,
        // ComfyUI's own switch gives out the only input that it has.
        (Some(_), None) if node.class == "ComfySwitchNode" => Some(Pick::Input("on_true")),
        (None, Some(_)) if node.class == "ComfySwitchNode" => Some(Pick::Input("on_false")),
        _ => Some(Pick::Either { condition, on_true: "on_true", on_false: "on_false" }),
    }
}

/// How a node joins texts to this output.
pub(super) fn join(node: Node<'_>, output: u64) -> Option<&'static Join> {
    JOINS.iter().find(|(class, _)| *class == node.class).map(|(_, join)| join).filter(|_| output == 0)
}

/// The link to a pipe or context, a bundle of model, conditioning and more.
pub(super) fn bundle<'a>(node: Node<'a>) -> Option<Link<'a>> {
    const NAMES: [&str; 8] =
        ["pipe", "basic_pipe", "base_ctx", "ctx", "context", "sdxl_tuple", "optional_pipe", "detailer_pipe"];
    node.first_link(&NAMES).or_else(|| {
        // A switch of contexts gives out the first that is there.
        let mut contexts = node.links().filter(|(name, _)| name.starts_with("ctx_"));
        contexts.next().filter(|_| node.class.starts_with("Context Switch")).map(|(_, link)| link)
    })
}

/// The outputs for the positive and the negative conditioning of a node that has other outputs
/// before them.
pub(super) fn polarities(node: Node<'_>) -> Option<[u64; 2]> {
    POLARITIES.iter().find(|(class, _)| *class == node.class).map(|(_, outputs)| *outputs)
}

/// The value that a node without links exists for: its only input, if that has one of the names of
/// such values.
pub(super) fn constant<'a>(node: Node<'a>, output: u64) -> Option<&'a Value> {
    const NAMES: [&str; 23] = [
        "value",
        "Value",
        "int",
        "float",
        "number",
        "Number",
        "string",
        "String",
        "text",
        "Text",
        "seed",
        "boolean",
        "steps",
        "cfg",
        "denoise",
        "width",
        "height",
        "sampler_name",
        "scheduler",
        "ckpt_name",
        "unet_name",
        "lora_name",
        "model_name",
    ];
    let mut inputs =
        node.inputs().filter(|(name, input)| !input.is_null() && *name != "control_after_generate");
    let (name, value) = inputs.next()?;
    // This node leaves out lines with `#`, and fills in what stands in brackets.
    if node.class == "Text Multiline" && value.as_str().is_some_and(|text| text.contains(['#', '['])) {
        return None;
    }
    let is_constant = output == 0 && inputs.next().is_none() && NAMES.contains(&name);
    (is_constant && Link::of(value).is_none()).then_some(value)
}

const fn input(name: &'static str) -> Option<Pick> {
    Some(Pick::Input(name))
}

/// One of two inputs with this prefix. The input `select` is 1 or 2.
const fn one_of_two(select: &'static str, prefix: &'static str) -> [Option<Pick>; 1] {
    [Some(Pick::Number { select, prefix, base: 1 })]
}

/// The inputs that known nodes pass on, output by output.
const PICKS: &[(&str, &[Option<Pick>])] = &[
    // rgthree-comfy
    ("Any Switch (rgthree)", &[Some(Pick::First("any_"))]),
    ("Seed (rgthree)", &[input("seed")]),
    (
        "KSampler Config (rgthree)",
        &[
            input("steps_total"),
            input("refiner_step"),
            input("cfg"),
            input("sampler_name"),
            input("scheduler"),
        ],
    ),
    // ComfyUI-Impact-Pack
    ("ImpactSwitch", &[Some(Pick::Number { select: "select", prefix: "input", base: 1 })]),
    (
        "ImpactConditionalBranch",
        &[Some(Pick::Either { condition: "cond", on_true: "tt_value", on_false: "ff_value" })],
    ),
    ("ImpactWildcardProcessor", &[input("populated_text")]),
    ("ImpactWildcardEncode", &[None, None, None, input("populated_text")]),
    ("ImpactInt", &[input("value")]),
    ("ImpactFloat", &[input("value")]),
    // ComfyUI-Easy-Use
    ("easy anythingIndexSwitch", &[Some(Pick::Number { select: "index", prefix: "value", base: 0 })]),
    ("easy textSwitch", &one_of_two("input", "text")),
    ("easy positive", &[input("positive")]),
    ("easy negative", &[input("negative")]),
    ("easy stylesSelector", &[input("positive"), input("negative")]),
    ("easy seed", &[input("seed")]),
    ("easy showAnything", &[input("anything")]),
    // ComfyUI_Comfyroll_CustomNodes
    ("CR Text Input Switch", &one_of_two("Input", "text")),
    ("CR Model Input Switch", &one_of_two("Input", "model")),
    ("CR Conditioning Input Switch", &one_of_two("Input", "conditioning")),
    ("CR Latent Input Switch", &one_of_two("Input", "latent")),
    ("CR Pipe Switch", &one_of_two("Input", "pipe")),
    ("CR Prompt Text", &[input("prompt")]),
    ("CR Seed", &[input("seed")]),
    // was-node-suite-comfyui
    ("Text String", &[input("text"), input("text_b"), input("text_c"), input("text_d")]),
    ("Seed", &[input("seed"), input("seed"), input("seed"), input("seed")]),
    ("Text to Conditioning", &[]),
    // ComfyUI-Custom-Scripts
    ("ShowText|pysssss", &[input("text")]),
    // ComfyUI-Image-Saver
    ("Sampler Selector", &[input("sampler_name"), input("sampler_name")]),
    ("Sampler Selector (Image Saver)", &[input("sampler_name"), input("sampler_name")]),
    ("Sampler Scheduler Settings", &[input("sampler_name"), input("scheduler")]),
    ("Scheduler Selector", &[input("scheduler"), input("scheduler")]),
    ("Scheduler Selector (Image Saver)", &[input("scheduler"), input("scheduler")]),
    ("Seed Generator", &[input("seed")]),
    ("Seed Generator (Image Saver)", &[input("seed")]),
    // sdxl_prompt_styler
    ("SDXLPromptStyler", &[input("text_positive"), input("text_negative")]),
    // ComfyUI_tinyterraNodes
    ("ttN seed", &[input("seed")]),
    ("ttN text", &[input("text")]),
];

const fn plain(
    inputs: &'static [&'static str],
    separator: Option<&'static str>,
    default: &'static str,
) -> Join {
    Join { inputs, separator, default, skips_empty: false, only_if: &[], tidies: false, trims: false }
}

const JOINS: &[(&str, Join)] = &[
    ("StringConcatenate", plain(&["string_a", "string_b"], Some("delimiter"), "")),
    ("CR Text Concatenate", plain(&["text1", "text2"], Some("separator"), "")),
    ("JoinStrings", plain(&["string1", "string2"], Some("delimiter"), " ")),
    (
        "StringFunction|pysssss",
        Join {
            inputs: &["text_a", "text_b", "text_c"],
            separator: None,
            default: ", ",
            skips_empty: true,
            only_if: &[("action", "append"), ("tidy_tags", "yes")],
            tidies: true,
            trims: false,
        },
    ),
    (
        "Text Concatenate",
        Join {
            inputs: &["text_a", "text_b", "text_c", "text_d"],
            separator: Some("delimiter"),
            default: ", ",
            skips_empty: true,
            only_if: &[("clean_whitespace", "true")],
            tidies: false,
            trims: true,
        },
    ),
    ("easy promptConcat", plain(&["prompt1", "prompt2"], Some("separator"), "")),
    ("ttN concat", plain(&["text1", "text2", "text3"], Some("delimiter"), ",")),
];

const POLARITIES: &[(&str, [u64; 2])] = &[
    ("FromBasicPipe", [3, 4]),
    ("FromBasicPipe_v2", [4, 5]),
    ("Context (rgthree)", [4, 5]),
    ("Context Big (rgthree)", [4, 5]),
    ("Context Switch (rgthree)", [4, 5]),
    ("Context Switch Big (rgthree)", [4, 5]),
    ("Efficient Loader", [1, 2]),
    ("KSampler (Efficient)", [1, 2]),
    ("easy fullLoader", [4, 5]),
    ("easy pipeOut", [2, 3]),
    ("ttN pipeLoader_v2", [2, 3]),
];
