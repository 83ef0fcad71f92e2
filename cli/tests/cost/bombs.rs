//! Small files with very long tables, of every kind that commands read.

use gen5::Reader;
use gen5::chunk::Digest;
use serde_json::json;

use crate::support::{Builder, Chunk};

/// A file and its name.
pub(crate) struct Bomb {
    pub(crate) name: &'static str,
    pub(crate) file: Vec<u8>,
    /// Bytes of text in its table and environment.
    pub(crate) text: usize,
    /// Whether it has very many latents.
    pub(crate) is_crowd: bool,
}

/// A file with one latent and a prompt that fills its space on a picture.
pub(crate) fn plain() -> Vec<u8> {
    Builder::new([latent()]).replace(r#""prompt":"p""#, &format!(r#""prompt":"{}""#, "x".repeat(700))).build()
}

/// A file with the maximum number of latents on a picture.
pub(crate) fn crowd() -> Vec<u8> {
    records(48 * RECORD, |index, _| {
        chunk(json!({"shape": [1], "dtype": "float32", "key": format!("k{index}")}))
    })
}

/// The approximate size of a record in bytes.
const RECORD: usize = 250;

/// Repeats an element, separated by commas, up to `text` bytes.
fn list(text: usize, element: &str) -> String {
    vec![element; text / (element.len() + 1)].join(",")
}

/// Members with distinct names that all have this value.
fn members(text: usize, value: &str) -> String {
    let count = text / (value.len() + 8);
    (0..count).map(|number| format!("\"{number:x}\":{value}")).collect::<Vec<_>>().join(",")
}

fn latent<'a>() -> Chunk<'a> {
    Chunk::latent("a", &[2, 2], &[0.0; 4])
}

/// A file in whose table `from` is replaced by `to`.
fn replaced(from: &str, to: &str) -> Vec<u8> {
    Builder::new([latent()]).replace(from, to).build()
}

/// A file with these members in its `model_info`.
fn with(members: &str) -> Vec<u8> {
    replaced("\"prompt\"", &format!("{members},\"prompt\""))
}

/// A file whose records take about `text` bytes of text.
fn records(text: usize, of: impl Fn(usize, usize) -> Chunk<'static>) -> Vec<u8> {
    let count = (text / RECORD).min(262_144);
    Builder::new((0..count).map(|index| of(index, count))).build()
}

/// A latent of one value, with these members in its record's `extra`.
fn chunk(extra: serde_json::Value) -> Chunk<'static> {
    Chunk::raw("LATN", b"F32\0", &[0; 4], extra)
}

/// Files with about `text` bytes of text, one of each kind that commands read.
pub(crate) fn bombs(text: usize, is_wanted: impl Fn(&str) -> bool) -> Vec<Bomb> {
    let (list, members) = (|element: &str| list(text, element), |value: &str| members(text, value));
    let records = |of: fn(usize, usize) -> Chunk<'static>| records(text, of);
    let deep = format!("{}{}", "[".repeat(text / 2), "]".repeat(text / 2));
    let source = |file: String| with(&format!("\"source_files\":[{file}]"));
    let array = |more: &str| format!(r#"{{"file":"a","layout":"npz","arrays":[{more}]}}"#);
    let hash = Digest::of(b"").to_string();
    let kinds: &[(&'static str, &dyn Fn() -> Vec<u8>)] = &[
        ("prompt", &|| replaced(r#""prompt":"p""#, &format!(r#""prompt":"{}""#, "x".repeat(text)))),
        ("prompt of escapes", &|| {
            replaced(r#""prompt":"p""#, &format!(r#""prompt":"{}""#, "\\u001b".repeat(text / 6)))
        }),
        ("prompt of controls", &|| {
            replaced(r#""prompt":"p""#, &format!(r#""prompt":"{}""#, "\x7f".repeat(text)))
        }),
        ("model's name", &|| {
            replaced(r#""model_name":"m""#, &format!(r#""model_name":"{}""#, "x".repeat(text)))
        }),
        ("empty tags", &|| replaced(r#"["t"]"#, &format!("[{}]", list("\"\"")))),
        ("tags", &|| replaced(r#"["t"]"#, &format!("[{}]", list("\"a\"")))),
        ("members", &|| with(&members("0"))),
        ("texts", &|| with(&members("\"\""))),
        ("settings", &|| replaced("\"seed\"", &format!("{},\"seed\"", members("0")))),
        ("GPUs", &|| with(&format!(r#""hardware_info":{{"os":"x","gpu":[{}]}}"#, list(r#"{"name":"a"}"#)))),
        ("hardware", &|| with(&format!(r#""hardware_info":{{"os":"x",{}}}"#, members("0")))),
        ("members at the top", &|| {
            replaced("{\"gen5_metadata\"", &format!("{{{},\"gen5_metadata\"", members("0")))
        }),
        ("members beside", &|| replaced("\"model_info\"", &format!("{},\"model_info\"", members("0")))),
        ("members of a record", &|| replaced("\"index\":0", &format!("{},\"index\":0", members("0")))),
        ("members of extra", &|| replaced("\"key\":\"a\"", &format!("\"key\":\"a\",{}", members("0")))),
        ("a list", &|| with(&format!("\"x\":[{}]", list("0")))),
        ("depth", &|| with(&format!("\"x\":{deep}"))),
        ("depth at the top", &|| {
            replaced("{\"gen5_metadata\"", &format!("{{\"x\":{deep},\"gen5_metadata\""))
        }),
        ("NaN", &|| with(&format!("\"x\":[{}]", list("NaN")))),
        ("a text for a number", &|| {
            replaced("\"index\":0", &format!("\"index\":\"{}\"", "\x7f".repeat(text)))
        }),
        ("source files", &|| source(list(r#"{"file":"a","layout":"npz","arrays":[]}"#))),
        ("source arrays", &|| source(array(&list(r#"{"name":"","dtype":"int8","shape":[0],"values":[]}"#)))),
        ("source shape", &|| {
            source(array(&format!(r#"{{"name":"x","dtype":"int8","shape":[{}]}}"#, list("0"))))
        }),
        ("source values", &|| {
            source(array(&format!(r#"{{"name":"x","dtype":"int64","shape":[1],"values":[{}]}}"#, list("0"))))
        }),
        ("source texts", &|| {
            source(format!(
                r#"{{"file":"a","layout":"safetensors","arrays":[],"metadata":{{{}}}}}"#,
                members("\"\"")
            ))
        }),
        ("merged files", &|| with(&format!("\"merged_from\":[{}]", list(r#"{"file":"a","latents":[]}"#)))),
        ("merged files of no latents", &|| with(&format!("\"merged_from\":[{}]", list(r#"{"latents":[]}"#)))),
        ("merged files of a latent", &|| {
            with(&format!("\"merged_from\":[{}]", list(r#"{"latents":[{"index":0}]}"#)))
        }),
        ("merged latents", &|| {
            with(&format!(r#""merged_from":[{{"latents":[{}]}}]"#, list(r#"{"index":0}"#)))
        }),
        ("image text", &|| with(&format!(r#""image_text":{{{}}}"#, members("\"a\"")))),
        ("keys", &|| {
            records(|index, _| chunk(json!({"shape": [1], "dtype": "float32", "key": format!("k{index}")})))
        }),
        ("no keys", &|| records(|_, _| chunk(json!({"shape": [1], "dtype": "float32"})))),
        ("axes", &|| records(|_, _| chunk(json!({"shape": vec![1; 64], "dtype": "float32"})))),
        ("parts", &|| {
            records(|index, count| {
                let part = json!({"of": "w", "index": index, "count": count, "axis": 0, "start": index, "shape": [count]});
                chunk(json!({"shape": [1], "dtype": "float32", "part": part}))
            })
        }),
        ("components", &|| {
            let component =
                format!(r#"{{"component_id":"","cononical_str":"","component_sha256_digest":"{hash}"}}"#);
            let json = format!(r#"{{"env_version":1,"components":[{}]}}"#, list(&component));
            let environment = Chunk::raw("ENVC", b"0000", json.as_bytes(), json!({})).compressed();
            Builder::new([latent(), environment]).build()
        }),
        ("empty components", &|| {
            let json = format!(r#"{{"env_version":1,"components":[{}]}}"#, list("{}"));
            let environment = Chunk::raw("ENVC", b"0000", json.as_bytes(), json!({})).compressed();
            Builder::new([latent(), environment]).build()
        }),
    ];
    let bomb = |&(name, make): &(&'static str, &dyn Fn() -> Vec<u8>)| {
        let file = make();
        let reader = Reader::from_bytes(file.clone());
        // For a file that cannot be opened, the requested size counts.
        let (text, is_crowd) = reader.map_or((text, false), |reader| {
            let environment = reader.environment_json().unwrap().map_or(0, |json| json.len());
            (reader.manifest_json().len() + environment, reader.latents().len() > 1)
        });
        Bomb { name, file, text, is_crowd }
    };
    kinds.iter().filter(|(name, _)| is_wanted(name)).map(bomb).collect()
}
