//! Valid and invalid metadata: both sides agree on which is valid, and a round trip loses nothing.

use std::collections::HashMap;
use std::sync::OnceLock;

use gen5::{Metadata, Reader, WriteOptions};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::description::{Description, save};
use crate::reference;

/// A random `model_info`, and the reference's verdict on a manifest with it.
#[derive(Debug)]
struct Case {
    /// `None` if the manifest has no `model_info`.
    model_info: Option<Box<RawValue>>,
    valid: bool,
}

const CASES: usize = 2000;

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(make_cases)
}

fn make_cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        manifest: HashMap<String, HashMap<String, &'a RawValue>>,
        valid: bool,
    }
    #[derive(Deserialize)]
    struct Counts {
        manifests: usize,
        valid: usize,
    }
    let count = CASES.to_string();
    let output = reference::run(&["manifests".as_ref(), "20261122".as_ref(), count.as_ref()]);
    let counts: Counts = reference::result(&output);
    let cases: Vec<Case> = output
        .lines()
        .take(counts.manifests)
        .map(|line| {
            let line: Line<'_> = serde_json::from_str(line).unwrap();
            let model_info = line.manifest["gen5_metadata"].get("model_info");
            Case { model_info: model_info.map(|&text| text.to_owned()), valid: line.valid }
        })
        .collect();
    assert_eq!(cases.len(), CASES);
    assert_eq!(cases.iter().filter(|case| case.valid).count(), counts.valid);
    assert!((500..1500).contains(&counts.valid), "{counts:?}", counts = (counts.valid, counts.manifests));
    cases
}

#[test]
fn metadata_is_valid_here_just_when_it_is_there() {
    let mut disagreements = Vec::new();
    for Case { model_info, valid } in cases() {
        let Some(text) = model_info else {
            assert!(!valid);
            continue;
        };
        match Metadata::from_json(text.get()) {
            Ok(_) if !valid => disagreements.push(format!("valid here alone: {text}")),
            Err(error) if *valid => disagreements.push(format!("valid there alone, here {error}: {text}")),
            _ => {}
        }
    }
    let shown = disagreements.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(disagreements.is_empty(), "{} of {CASES}:\n{shown}", disagreements.len());
}

#[test]
fn what_is_written_back_is_valid_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut descriptions = Vec::new();
    for (number, case) in cases().iter().filter(|case| case.valid).enumerate() {
        let model_info = case.model_info.clone().unwrap();
        let metadata = Metadata::from_json(model_info.get()).unwrap();
        let file = format!("metadata-{number:05}.gen5");
        let path = folder.path().join(&file);
        WriteOptions::new().sync(false).create(&path).unwrap().finish(&metadata).unwrap();
        assert_eq!(Reader::open(&path).unwrap().metadata().unwrap(), metadata, "{model_info}");
        descriptions.push(Description {
            file,
            latents: Vec::new(),
            image_sha256: None,
            model_info,
            environment: None,
        });
    }
    save(folder.path(), &descriptions);
    assert_eq!(reference::decodes_strictly(folder.path()).files, descriptions.len());
}
