//! Compares the reference's warnings on decoding with the drift that this crate reports.

use std::collections::BTreeSet;
use std::path::Path;

use gen5::environment::{Comparison, Component, Severity};
use gen5::{Environment, Metadata, Reader, WriteOptions};

use crate::description::describe_environment;
use crate::random::Random;
use crate::reference::{self, Pair};

const PAIRS: usize = 300;

const IDS: [&str; 10] =
    ["torch", "numpy", "python", "cuda", "os", "gpu", "cpu", "diffusers", "", "\u{202e}\n"];

/// Random components, some copied from `other`. Ids are unique, because the reference compares only
/// one component of each id.
fn environment(random: &mut Random, other: Option<&Environment>) -> Environment {
    let mut environment = Environment::default();
    for id in IDS {
        let same = other.and_then(|other| other.get(id)).filter(|_| random.chance(50));
        match same {
            Some(component) => environment.push(component.clone()),
            None if random.chance(60) => environment.push(Component::new(id, random.text())),
            None => {}
        }
    }
    environment
}

fn write(path: &Path, environment: &Environment) {
    let mut writer = WriteOptions::new().sync(false).create(path).unwrap();
    writer.environment(environment).unwrap();
    writer.finish(&Metadata::builder("m", "1").build().unwrap()).unwrap();
}

#[test]
fn both_tell_of_the_same_differences() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(20_261_124);
    let (mut pairs, mut environments) = (Vec::new(), Vec::new());
    for index in 0..PAIRS {
        let stored = environment(&mut random, None);
        let current = environment(&mut random, Some(&stored));
        let file = format!("{index:05}.gen5");
        write(&folder.path().join(&file), &stored);
        let described = [&stored, &current].map(describe_environment);
        let [stored, now] = described;
        pairs.push(Pair { file, stored, current: now });
        environments.push(current);
    }
    let mut seen = BTreeSet::new();
    for ((pair, current), told) in
        pairs.iter().zip(&environments).zip(reference::drift(folder.path(), &pairs))
    {
        for (file, warnings) in [(&pair.file, told.here), (&told.own, told.there)] {
            let stored = Reader::open(folder.path().join(file)).unwrap().environment().unwrap().unwrap();
            let drift = Comparison { file: &stored, current }.drift();
            seen.extend(
                drift.iter().map(|one| (one.severity(), one.file().is_some(), one.current().is_some())),
            );
            let here: BTreeSet<String> = drift.iter().map(ToString::to_string).collect();
            assert_eq!(here, warnings.into_iter().collect(), "{file}");
            assert_eq!(here.len(), drift.len(), "{file}");
        }
    }
    // Every kind of difference occurred.
    let (both, there, now) = ((true, true), (true, false), (false, true));
    let kinds = [
        (Severity::Note, now),
        (Severity::Note, there),
        (Severity::Low, now),
        (Severity::Low, there),
        (Severity::Low, both),
        (Severity::High, now),
        (Severity::High, there),
        (Severity::High, both),
    ];
    assert_eq!(seen, kinds.map(|(severity, (file, current))| (severity, file, current)).into());
}
