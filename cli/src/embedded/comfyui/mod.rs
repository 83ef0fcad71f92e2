//! The format of ComfyUI: `prompt`, a graph of nodes whose inputs are values or links to other
//! nodes.
//!
//! The relevant node is the sampler that starts from noise, the first one upstream of a saved
//! image. Prompts, model and settings are searched along its links. `workflow`, the same graph as
//! drawn by the editor, is only kept as text.

mod conditioning;
mod graph;
mod model;
mod nodes;
mod sampler;
mod values;

use serde_json::Value;

use self::graph::Graph;
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
    let sampler = sampler::first_sampler(graph)?;
    let mut generation = Generation::new("ComfyUI");
    sampler::take_settings(&mut generation, graph, sampler);
    model::take_model(&mut generation, graph, sampler);
    conditioning::take_prompts(&mut generation, graph, sampler);
    generation.says_something().then_some(generation)
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
        // What is in a circle has no end, and neither has a text that is joined with it.
        assert_eq!((found.seed, found.steps, found.prompt.as_deref()), (None, Some(3), None));
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
        // A prompt is complete or not known.
        assert_eq!((found.steps, found.prompt), (Some(3), None));
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
        // 200,000 steps; each text takes 3,000.
        assert_eq!((found.steps, found.prompt), (Some(3), None));
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
