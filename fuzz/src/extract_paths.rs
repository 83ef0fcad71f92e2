//! Names in a file that become file names.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Component, Path};

use arbitrary::{Arbitrary, Unstructured};
use gen5_cli::names::file_names;
use serde_json::{Value, json};

use crate::build::{Builder, Chunk};
use crate::command::gen5;

/// Every key becomes a file name that is valid on every system and stays in the folder. Names are
/// unique, ignoring case, and equal keys give equal names. A file with these keys and
/// `source_files` is either unpacked entirely into its folder or refused, with nothing left over.
pub fn extract_paths(data: &[u8]) {
    let Ok(names) = Names::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let files = file_names(names.keys.iter().map(Option::as_deref), "npy");
    assert_eq!(files.len(), names.keys.len());
    assert_eq!(files, file_names(names.keys.iter().map(Option::as_deref), "npy"), "the same each time");
    are_harmless(&files);
    if names.unpacked && names.keys.len() <= 8 {
        names.unpack();
    }
}

#[derive(Arbitrary, Debug)]
struct Names {
    unpacked: bool,
    format: u8,
    keys: Vec<Option<String>>,
    sources: Vec<Source>,
}

/// An entry of `source_files`.
#[derive(Arbitrary, Debug)]
struct Source {
    file: String,
    layout: u8,
    array: String,
    key: u8,
    text: Option<(String, String)>,
}

const FORMATS: [&str; 7] = ["npy", "npz", "safetensors", "original", "comfyui", "kohya", "musubi"];
const LAYOUTS: [&str; 6] = ["comfyui", "kohya", "musubi", "npy", "npz", "safetensors"];

impl Names {
    fn file(&self) -> Vec<u8> {
        let chunks = self.keys.iter().map(|key| {
            let chunk = Chunk::latent("", &[1, 4, 1, 2], &[1.0; 8]);
            let key = key.as_deref().map_or(Value::Null, Value::from);
            chunk.record(move |record| record["extra"]["key"] = key)
        });
        let source = |source: &Source| {
            let key = self.keys.get(usize::from(source.key) % self.keys.len().max(1)).cloned().flatten();
            let array = json!({"name": source.array, "dtype": "float32", "shape": [1, 4, 1, 2], "key": key});
            let texts = source.text.iter().cloned().collect::<BTreeMap<String, String>>();
            json!({
                "file": source.file, "layout": LAYOUTS[usize::from(source.layout) % 6], "arrays": [array], "metadata": texts
            })
        };
        let sources: Vec<Value> = self.sources.iter().take(4).map(source).collect();
        let with =
            |manifest: &mut Value| manifest["gen5_metadata"]["model_info"]["source_files"] = json!(sources);
        Builder::new(chunks).manifest(with).build()
    }

    fn unpack(&self) {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("out");
        let format = FORMATS[usize::from(self.format) % 7];
        let out = folder.to_str().expect("a path of letters");
        let words = ["unpack", "-", "-o", out, "--format", format, "--no-environment-check"];
        let ran = gen5(&words, &self.file());
        let there: Vec<_> =
            fs::read_dir(&place).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
        if ran.code != 0 {
            assert!(there.is_empty(), "{}", ran.messages);
            return;
        }
        assert_eq!(there, std::slice::from_ref(&folder));
        let latents = folder.join("latents");
        let inside: Vec<String> = [&folder, &latents]
            .into_iter()
            .filter(|folder| folder.is_dir())
            .flat_map(|folder| files(folder))
            .collect();
        are_harmless(&inside);
        self.is_indexed(&folder, format);
    }

    /// Checks that every file in the index exists. For formats that can hold any latent, also checks
    /// that each key is in the index.
    fn is_indexed(&self, folder: &Path, format: &str) {
        let index = fs::read(folder.join("index.json")).expect("an index");
        let index: Vec<Value> = serde_json::from_slice(&index).expect("a list");
        for entry in &index {
            let file = entry["file"].as_str().expect("every entry names a file");
            assert!(folder.join(file).is_file(), "{file:?}");
        }
        if ["npy", "npz", "safetensors", "original"].contains(&format) {
            for key in &self.keys {
                let is_this = |entry: &Value| entry["key"].as_str() == key.as_deref();
                assert!(index.iter().any(is_this), "{key:?} is in no file");
            }
        }
    }
}

/// The names of the files in a folder. Its only subfolder may be `latents`.
fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name of letters");
        match entry.file_type().expect("its type") {
            kind if kind.is_file() => names.push(name),
            kind => assert!(kind.is_dir() && name == "latents", "{name:?}"),
        }
    }
    names
}

/// Checks that all names are distinct and valid file names on every system.
fn are_harmless(names: &[String]) {
    let mut seen = HashSet::new();
    for name in names {
        let mut components = Path::new(name).components();
        assert!(matches!(components.next(), Some(Component::Normal(_))), "{name:?}");
        assert_eq!(components.next(), None, "{name:?}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{name:?}");
        assert!(!name.starts_with(['.', '-']) && name.len() <= 112, "{name:?}");
        assert!(!is_device(name), "{name:?}");
        assert!(seen.insert(name.to_ascii_lowercase()), "{name:?} is there twice");
    }
}

/// Whether Windows opens a device for this name. Windows ignores everything after a dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |kind: &str| {
        stem.strip_prefix(kind)
            .is_some_and(|digit| digit.len() == 1 && digit.bytes().all(|b| b.is_ascii_digit()))
    };
    ["CON", "PRN", "AUX", "NUL"].contains(&&*stem) || numbered("COM") || numbered("LPT")
}
