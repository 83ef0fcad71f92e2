//! Compares this crate's capture of a Python environment with the reference's capture from inside
//! it.

use std::time::Duration;

use gen5::environment::Captured;
use gen5::{Capture, Metadata, WriteOptions};

use crate::description::{Description, describe_environment, describe_model_info, save};
use crate::reference;

/// The components that both capture. GPUs are missing, since the reference looks for them only if
/// torch finds no CUDA.
const BOTH_KNOW: [&str; 5] = ["torch", "numpy", "python", "cuda", "os"];

fn capture() -> Captured {
    let captured = Capture::new().python(reference::interpreter()).run();
    assert_eq!(captured.notes, [""; 0]);
    captured
}

#[test]
fn both_capture_the_same_environment() {
    let known = |id: &str| BOTH_KNOW.contains(&id);
    let mut there = reference::environment();
    there.retain(|component| known(&component.component_id));
    let mut here = describe_environment(&capture().environment);
    here.retain(|component| known(&component.component_id));
    assert_eq!(here, there);
    assert_eq!(here.len(), BOTH_KNOW.len());
}

#[test]
fn a_captured_environment_decodes_there() {
    let captured = capture();
    let metadata = Metadata::builder("model", "1").hardware(captured.hardware).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut writer = WriteOptions::new().create(folder.path().join("captured.gen5")).unwrap();
    writer.environment(&captured.environment).unwrap();
    writer.finish(&metadata).unwrap();
    let description = Description {
        file: "captured.gen5".into(),
        latents: Vec::new(),
        image_sha256: None,
        model_info: describe_model_info(metadata.model_info()),
        environment: Some(describe_environment(&captured.environment)),
    };
    save(folder.path(), &[description]);
    reference::decodes_strictly(folder.path());
}

/// Other tests keep the machine busy meanwhile, so the best of several runs counts.
#[test]
#[allow(clippy::print_stdout)]
fn capturing_takes_less_than_300_milliseconds_and_python_less_than_150() {
    let mut runs: Vec<_> = (0..20).map(|_| capture().timings).collect();
    runs.sort_by_key(|run| run.python);
    let python = runs[0].python.unwrap();
    println!(
        "Python, median of {} runs: {:?}; best: {python:?}",
        runs.len(),
        runs[runs.len() / 2].python.unwrap()
    );
    assert!(python < Duration::from_millis(150), "{python:?} for Python");
    runs.sort_by_key(|run| run.total.saturating_sub(run.nvml_start.unwrap_or_default()));
    println!("all, median: {:?}; best: {:?}", runs[runs.len() / 2], runs[0]);
    let best = runs[0].total.saturating_sub(runs[0].nvml_start.unwrap_or_default());
    assert!(best < Duration::from_millis(300), "{best:?}, without the start of NVML");
}
