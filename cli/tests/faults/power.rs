//! Simulates a loss of power at each point of a recorded run.

use std::collections::BTreeMap;

use crate::Random;
use crate::disk::{Change, Recording};
use crate::scene::Scene;
use crate::strace::{Call, strace};

/// The number of states tried at each point of a run.
const STATES: usize = 400;

const CHANGES: &str = "trace=openat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,copy_file_range,\
    sendfile,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir";

/// Runs the command of a scene and records its changes to the destination folder.
fn record(scene: &Scene, more: &[&str]) -> Recording {
    scene.reset();
    let mut recording = Recording::default();
    for (name, bytes) in &scene.before {
        recording.names.insert(name.clone(), recording.files.len());
        recording.files.push(bytes.clone());
    }
    // strace prints all of the bytes, in hexadecimal.
    let options = ["-xx", "-s", "100000000", "-e", CHANGES];
    let (ran, calls) = strace(scene, &[&options[..], more].concat());
    assert!(ran.status.success(), "{ran:?}");
    let there = format!("{}/", scene.there().to_str().unwrap());
    let mut running = recording.names.clone();
    let mut next = recording.files.len();
    for call in calls.iter().filter(|call| !call.is_injected && !call.result.starts_with("-1")) {
        let Some(change) = change(call, &there, &mut running, &mut next) else { continue };
        recording.changes.push(change);
    }
    recording
}

/// The change that a call made to the folder. `running` maps the current names to files.
fn change(
    call: &Call,
    there: &str,
    running: &mut BTreeMap<String, usize>,
    next: &mut usize,
) -> Option<Change> {
    let texts: Vec<Vec<u8>> = texts(&call.arguments);
    let name_of = |text: &Vec<u8>| String::from_utf8_lossy(text).strip_prefix(there).map(str::to_owned);
    // The descriptor's path comes first. For `openat` it is the working folder.
    let first = texts.first().and_then(name_of);
    let number = |nth_from_end: usize| {
        call.arguments.rsplit(", ").nth(nth_from_end).unwrap().parse::<usize>().unwrap()
    };
    match &*call.name {
        "openat" => {
            let name = name_of(texts.get(1)?)?;
            assert!(!call.arguments.contains("O_TRUNC"), "{call:?}");
            if !call.arguments.contains("O_CREAT") {
                return None;
            }
            assert!(call.arguments.contains("O_EXCL"), "{call:?}");
            let file = *next;
            *next += 1;
            running.insert(name.clone(), file);
            Some(Change::Name { name, file })
        }
        "write" | "pwrite64" => {
            let file = *running.get(&first?)?;
            let written: usize = call.result.parse().unwrap();
            let mut bytes = texts[1].clone();
            assert!(bytes.len() >= written, "{call:?}");
            bytes.truncate(written);
            let at = if call.name == "write" { 0 } else { number(0) };
            Some(Change::Write { file, at, bytes })
        }
        "ftruncate" => Some(Change::Truncate { file: *running.get(&first?)?, len: number(0) }),
        "fsync" | "fdatasync" => match first {
            Some(name) => Some(Change::Sync { file: *running.get(&name)? }),
            None => (texts[0] == there.trim_end_matches('/').as_bytes()).then_some(Change::SyncFolder),
        },
        "rename" | "renameat" | "renameat2" => {
            let mut names = texts.iter().filter_map(name_of);
            let (from, to) = (names.next()?, names.next()?);
            let file = running.remove(&from)?;
            running.insert(to.clone(), file);
            Some(Change::Rename { from, to, file })
        }
        "unlink" | "unlinkat" => {
            let name = texts.iter().find_map(name_of)?;
            running.remove(&name)?;
            Some(Change::Remove { name })
        }
        // The model must cover every call that names a file in the folder.
        other => match texts.iter().find_map(name_of) {
            Some(_) => panic!("{other}: {call:?}"),
            None => None,
        },
    }
}

/// The texts among the arguments: in quotes, or as paths of descriptors in angle brackets.
fn texts(arguments: &str) -> Vec<Vec<u8>> {
    let parts = arguments.split(['"', '<', '>']).filter(|part| part.starts_with("\\x"));
    let bytes = |part: &str| {
        part.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect::<Vec<u8>>()
    };
    parts.map(bytes).collect()
}

/// Simulates losses of power at each point of a run. Returns the number of states, or a description
/// of the first wrong one.
fn try_all(scene: &Scene, recording: &Recording) -> Result<usize, String> {
    let (name, new) = scene.after.first_key_value().unwrap();
    let old = scene.before.get(name);
    let mut random = Random(7);
    let mut states = 0;
    for done in 0..=recording.changes.len() {
        for state in 0..STATES {
            // None, all, or some of the changes survive.
            let likelihood = [0.0, 1.0, 0.5, 0.9, 0.99][state % 5];
            let files = recording.lose_power(done, likelihood, &mut random);
            states += 1;
            let found = files.get(name);
            let is_over = done == recording.changes.len();
            if found != Some(new) && (found != old || is_over) {
                let last = recording.changes[..done].last();
                let found = found.map(Vec::len);
                return Err(format!(
                    "after {done} changes: {found:?} bytes; the last was {:.60}",
                    format!("{last:?}")
                ));
            }
        }
    }
    Ok(states)
}

#[test]
fn the_loss_of_power_leaves_the_old_file_or_the_new_one() {
    for name in ["pack", "pack, new", "pack --compress", "repack", "set", "merge", "render"] {
        let scene = Scene::of(name);
        let recording = record(&scene, &[]);
        let syncs = recording.changes.iter().filter(|change| matches!(change, Change::Sync { .. })).count();
        assert!(syncs == 1 && recording.changes.len() >= 5, "{name}: {syncs} syncs");
        let states = try_all(&scene, &recording).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        println!("{name}, the loss of power: {} changes, {states} states", recording.changes.len());
    }
}

/// Tests the model itself: it detects each omitted sync, and a file that is overwritten in place.
#[test]
fn the_loss_of_power_is_noticed_where_syncs_are_left_out() {
    let scene = Scene::of("pack");
    for (nth, expected) in [(1, "Rename"), (2, "Rename")] {
        // strace reports success without making the call.
        let recording = record(&scene, &["-e", &format!("inject=fsync:retval=0:when={nth}")]);
        let problem = try_all(&scene, &recording).unwrap_err();
        assert!(problem.contains(expected), "without sync {nth}: {problem}");
    }
    let new = scene.after["x.gen5"].clone();
    let in_place = Recording {
        files: vec![scene.before["x.gen5"].clone()],
        names: [("x.gen5".to_owned(), 0)].into(),
        changes: vec![
            Change::Truncate { file: 0, len: 0 },
            Change::Write { file: 0, at: 0, bytes: new },
            Change::Sync { file: 0 },
            Change::SyncFolder,
        ],
    };
    let problem = try_all(&scene, &in_place).unwrap_err();
    assert!(problem.starts_with("after 1 changes"), "{problem}");
}
