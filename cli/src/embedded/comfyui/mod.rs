//! The format of ComfyUI: `prompt`, a graph of nodes whose inputs are values or links to other
//! nodes.
//!
//! The relevant node is the sampler that starts from noise, the first one upstream of a saved
//! image. Prompts, model and settings are searched along its links. `workflow`, the same graph as
//! drawn by the editor, is only kept as text.

mod conditioning;
mod graph;

use serde_json::{Map, Value};

use self::graph::{Graph, Link, Node};
use super::{Generation, json};

/// Parses a graph. It may follow ComfyUI's prefix in Exif (`prompt:{…}`), be in a member of this
/// name, as some nodes save it, or be alone.
pub fn parse(text: &str) -> Option<Generation> {
    let text = text.trim_start();
    let text = text.strip_prefix("prompt:").or_else(|| text.strip_prefix("Prompt:")).unwrap_or(text);
    let document = json::document(text)?;
    read(&document).or_else(|| match document.get("prompt")? {
        Value::String(text) => read(&json::document(text)?),
        graph => read(graph),
    })
}

fn read(document: &Value) -> Option<Generation> {
    let graph = &Graph::new(document.as_object()?)?;
    let sampler = graph.first_sampler()?;
    let mut generation = Generation::new("ComfyUI");
    take_settings(&mut generation, graph, sampler);
    take_model(&mut generation, graph, sampler);
    conditioning::take_prompts(&mut generation, graph, sampler);
    generation.says_something().then_some(generation)
}

/// A setting, and where to find it: in the sampler, or in nodes before it.
struct Setting {
    /// Its name in GEN5.
    name: &'static str,
    /// The names of inputs with the setting.
    inputs: &'static [&'static str],
    /// Links to nodes that may have it instead.
    by_way_of: &'static [&'static str],
}

const LATENT: &[&str] = &["latent_image", "latent", "samples"];

const SETTINGS: [Setting; 8] = [
    Setting { name: "seed", inputs: &["seed", "noise_seed"], by_way_of: &["noise"] },
    Setting { name: "steps", inputs: &["steps"], by_way_of: &["sigmas"] },
    Setting { name: "sampler", inputs: &["sampler_name"], by_way_of: &["sampler"] },
    Setting { name: "scheduler", inputs: &["scheduler"], by_way_of: &["sigmas"] },
    Setting { name: "cfg_scale", inputs: &["cfg", "cfg_conds"], by_way_of: &["guider"] },
    Setting { name: "denoise", inputs: &["denoise"], by_way_of: &["sigmas"] },
    Setting { name: "width", inputs: &["width"], by_way_of: LATENT },
    Setting { name: "height", inputs: &["height"], by_way_of: LATENT },
];

fn take_settings(generation: &mut Generation, graph: &Graph<'_>, sampler: Node<'_>) {
    for setting in SETTINGS {
        let value = graph.walk(sampler, setting.by_way_of).into_iter().find_map(|node| {
            setting.inputs.iter().find_map(|name| graph.value(node.inputs.get(*name)?, setting.inputs))
        });
        if let Some(value) = value {
            generation.take(setting.name, &value.to_string());
        }
    }
    // Nodes for a specific sampler or schedule have it in their class name: SamplerEulerAncestral,
    // KarrasScheduler.
    let behind = |name| graph.walk(sampler, &[name]).into_iter().skip(1);
    if let Some(name) = behind("sampler").find_map(|node| node.class.strip_prefix("Sampler")) {
        generation.take_text("sampler", name);
    }
    if let Some(name) = behind("sigmas").find_map(|node| node.class.strip_suffix("Scheduler")) {
        generation.take_text("scheduler", name);
    }
}

/// The links from a sampler to its model.
const MODEL: [&str; 6] = ["guider", "model", "model1", "base_model", "unet", "pipe"];

/// Inputs that name a model's file.
const MODEL_FILES: [&str; 4] = ["ckpt_name", "unet_name", "base_ckpt_name", "model_path"];

/// Maximum length of a LoRA's file name in bytes.
const MAX_NAME: usize = 1000;

fn take_model(generation: &mut Generation, graph: &Graph<'_>, sampler: Node<'_>) {
    let way = graph.walk(sampler, &MODEL);
    let file = way.iter().find_map(|node| {
        MODEL_FILES.iter().find_map(|name| graph.value(node.inputs.get(*name)?, &MODEL_FILES)?.as_str())
    });
    if let Some(file) = file {
        generation.take_text("model", file);
    }
    // In the order in which they are applied.
    for node in way.iter().rev() {
        for (name, value) in node.inputs().filter(|(name, _)| name.starts_with("lora")) {
            if let Some(lora) = lora(graph, name, value).filter(|lora| lora.len() <= MAX_NAME) {
                generation.tag(lora);
            }
        }
    }
}

/// The LoRA named by an input: as text, or in an object that also says whether it is enabled.
fn lora<'a>(graph: &Graph<'a>, name: &str, value: &'a Value) -> Option<&'a str> {
    let is_file = |text: &&str| name.starts_with("lora_name") || text.contains('.');
    let from_object = |object: &'a Map<String, Value>| {
        let on = object.get("on").and_then(Value::as_bool).unwrap_or(true);
        object.get("lora").filter(|_| on).and_then(Value::as_str)
    };
    match value {
        Value::Object(object) => from_object(object),
        _ if Link::of(value).is_some() && !name.starts_with("lora_name") => None,
        _ => graph.value(value, &["lora_name"])?.as_str().filter(is_file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(graph: &Value) -> Generation {
        parse(&graph.to_string()).unwrap()
    }

    /// A graph of a sampler and the given nodes.
    fn graph(inputs: &Value, mut graph: Value) -> Value {
        graph["9"] = json!({"class_type": "KSampler", "inputs": inputs});
        graph
    }

    #[test]
    fn values_are_found_through_reroutes_and_primitives() {
        let found = found(&graph(
            &json!({"seed": ["1", 0], "steps": ["2", 0], "sampler_name": ["3", 0], "cfg": 7}),
            json!({
                "1": {"class_type": "Reroute", "inputs": {"": ["4", 0]}},
                "2": {"class_type": "PrimitiveInt", "inputs": {"value": 20}},
                "3": {"class_type": "Sampler Selector", "inputs": {"sampler_name": "euler", "scheduler": "x"}},
                "4": {"class_type": "Seed (rgthree)", "inputs": {"seed": 18_446_744_073_709_551_615_u64}},
            }),
        ));
        assert_eq!((found.seed, found.steps, found.cfg_scale), (Some(u64::MAX), Some(20), Some(7.0)));
        assert_eq!(found.sampler.as_deref(), Some("euler"));
    }

    #[test]
    fn circles_end() {
        let found = found(&graph(
            &json!({"seed": ["1", 0], "noise_seed": 5, "steps": 3, "model": ["9", 0], "positive": ["2", 0],
                   "latent_image": ["9", 0]}),
            json!({
                "1": {"class_type": "Reroute", "inputs": {"": ["1", 0]}},
                "2": {"class_type": "ConditioningCombine",
                      "inputs": {"conditioning_1": ["3", 0], "conditioning_2": ["2", 0]}},
                "3": {"class_type": "CLIPTextEncode", "inputs": {"text": ["4", 0]}},
                "4": {"class_type": "StringConcatenate", "inputs": {"string_a": ["4", 0], "string_b": "sea"}},
            }),
        ));
        assert_eq!((found.seed, found.steps, found.prompt.as_deref()), (Some(5), Some(3), Some("sea")));
    }

    #[test]
    fn deep_chains_do_not_go_on_the_stack() {
        let mut nodes = json!({});
        let depth = 30_000;
        for n in 0..depth {
            let next = (n + 10_001).to_string();
            nodes[(n + 10_000).to_string()] = json!({
                "class_type": "ConditioningSetTimestepRange",
                "inputs": {"conditioning": [next, 0], "model": [next, 0], "": [next, 0], "text": [next, 0]},
            });
        }
        let start = ["10000", "0"];
        let sampler = json!({"steps": 3, "seed": [start[0], 0], "positive": [start[0], 0], "model": [start[0], 0],
                             "latent_image": [start[0], 0]});
        let found = found(&graph(&sampler, nodes));
        assert_eq!((found.steps, found.seed, found.prompt), (Some(3), None, None));
    }

    #[test]
    fn many_ways_to_one_text_are_followed_up_to_a_limit() {
        let mut nodes = json!({"text": {"class_type": "Text", "inputs": {"text": "x".repeat(1 << 20)}}});
        let mut combine = json!({});
        for n in 0..900 {
            nodes[n.to_string()] = json!({"class_type": "CLIPTextEncode", "inputs": {"text": ["text", 0]}});
            combine[format!("conditioning_{n}")] = json!([n.to_string(), 0]);
        }
        nodes["all"] = json!({"class_type": "ConditioningCombine", "inputs": combine});
        let found = found(&graph(&json!({"steps": 3, "seed": 4, "positive": ["all", 0]}), nodes));
        assert_eq!(found.prompt.map(|prompt| prompt.len()), Some(1 << 20));
    }

    #[test]
    fn ways_that_are_long_together_are_cut() {
        let mut nodes = json!({"999": {"class_type": "Text", "inputs": {"text": "end"}}});
        for n in 1000..4000 {
            nodes[n.to_string()] = json!({"class_type": "Reroute", "inputs": {"": [(n - 1).to_string(), 0]}});
        }
        let mut combine = json!({});
        for n in 0..300 {
            nodes[n.to_string()] =
                json!({"class_type": "CLIPTextEncode", "inputs": {"text": [format!("t{n}"), 0]}});
            nodes[format!("t{n}")] = json!({
                "class_type": "StringConcatenate",
                "inputs": {"string_a": format!("text {n} "), "string_b": ["3999", 0]},
            });
            combine[format!("conditioning_{n:03}")] = json!([n.to_string(), 0]);
        }
        nodes["all"] = json!({"class_type": "ConditioningCombine", "inputs": combine});
        let found = found(&graph(&json!({"steps": 3, "seed": 4, "positive": ["all", 0]}), nodes));
        let whole = found.prompt.unwrap().lines().filter(|line| line.ends_with("end")).count();
        // 200,000 steps; each text takes 3,000.
        assert!((50..70).contains(&whole), "{whole}");
    }

    #[test]
    fn the_sampler_is_that_of_the_image_that_is_saved_and_comes_first() {
        let sampler = |seed: u64, from: &str| json!({"class_type": "KSampler", "inputs": {"seed": seed, "steps": 1, "latent_image": [from, 0]}});
        let mut nodes = json!({
            "1": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
            "2": sampler(2, ""),
            "3": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
            "4": {"class_type": "ImageBlend", "inputs": {"image1": ["5", 0], "image2": ["6", 0]}},
            "5": sampler(5, ""),
            "6": sampler(6, ""),
        });
        assert_eq!(found(&nodes).seed, Some(5));
        nodes["5"] = sampler(5, "7");
        nodes["7"] = sampler(7, "");
        assert_eq!(found(&nodes).seed, Some(7));
        nodes["3"]["class_type"] = json!("PreviewImage");
        assert_eq!(found(&nodes).seed, Some(2), "of two that are only shown, that of the lower number");
    }

    #[test]
    fn other_objects_are_no_graphs() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"nodes": [], "links": []}"#,
            r#"{"1": {"class_type": "KSampler"}}"#,
            r#"{"1": {"class_type": "LoadImage", "inputs": {"seed": 1}}}"#,
            "prompt:",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse(&("{\"1\":".repeat(100_000) + &"}".repeat(100_000))).is_none());
    }

    proptest! {
        /// Links between arbitrary nodes, including cycles.
        #[test]
        fn any_graph_is_read(links in proptest::collection::vec((0_usize..12, 0_usize..11, 0_usize..12), 0..40)) {
            let classes = ["KSampler", "SaveImage", "CLIPTextEncode", "ConditioningConcat", "LoraLoader",
                "SamplerCustomAdvanced", "CFGGuider", "Reroute", "StringConcatenate", "BasicScheduler",
                "FluxGuidance", "CheckpointLoaderSimple"];
            let inputs = ["positive", "negative", "model", "latent_image", "text", "conditioning", "guider", "sigmas",
                "seed", "steps", ""];
            let mut nodes = json!({});
            for (n, class) in classes.iter().enumerate() {
                nodes[n.to_string()] = json!({"class_type": class, "inputs": {"steps": n, "seed": n}});
            }
            for (from, input, to) in links {
                nodes[from.to_string()]["inputs"][inputs[input]] = json!([to.to_string(), 0]);
            }
            if let Some(found) = parse(&nodes.to_string()) {
                prop_assert!(found.settings().is_ok());
            }
        }
    }
}
