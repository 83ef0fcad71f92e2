//! Helpers that the test binaries share: files in memory, metadata, values, all ways to open a
//! file, and short forms of errors.
//!
//! Each binary uses only some of them.
#![allow(dead_code, unused_imports)]

mod build;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use gen5::chunk::Digest;
use gen5::environment::Component;
use gen5::error::{FrameProblem, Place};
use gen5::metadata::GenerationSettings;
use gen5::{Dtype, Environment, Error, Metadata, Reader, Summary, WriteOptions, Writer};
use serde_json::json;

pub(crate) use build::{
    Builder, Chunk, FrameStyle, chunk_bytes, frame, frame_by_hand, frame_of_zeros, frame_that_claims,
    le_bytes, model_info, shuffled, skippable_frame,
};

pub(crate) fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect()
}

/// Opens a file in the three ways.
pub(crate) fn all_ways(path: &Path) -> [(&'static str, gen5::Result<Reader>); 3] {
    // SAFETY: nothing else touches the file while the test runs.
    #[allow(unsafe_code)]
    let mapped = unsafe { Reader::map(path) };
    [
        ("open", Reader::open(path)),
        ("map", mapped),
        ("bytes", Reader::from_bytes(std::fs::read(path).unwrap())),
    ]
}

/// Metadata with a fixed date, so that equal input gives equal bytes.
pub(crate) fn metadata() -> Metadata {
    Metadata::builder("Stable Diffusion 3", "3.0")
        .date("2026-11-22T00:00:00+00:00")
        .prompt("a \"cat\"\n\u{0} 🐈")
        .tag("cat")
        .settings(GenerationSettings::new(u64::MAX, 30, "euler"))
        .build()
        .unwrap()
}

pub(crate) fn environment() -> Environment {
    Environment::new([
        Component::new("os", "name=os;version=Linux 6.1"),
        Component::new("gpu", "name=gpu;model=A;driver=1"),
        Component::new("gpu", "name=gpu;model=B;driver=1"),
    ])
}

/// The JSON text of an environment with two components that share an id, as on machines with two
/// GPUs.
pub(crate) fn environment_json() -> String {
    let text = "name=gpu;model=A";
    let component = json!({"component_id": "gpu", "cononical_str": text, "component_sha256_digest": Digest::of(text.as_bytes())});
    json!({"env_version": 1, "components": [component, component]}).to_string()
}

/// A PNG of one black pixel.
pub(crate) const PNG: &[u8] = include_bytes!("../data/pixel.png");

/// Options that store values as float16, or unchanged.
pub(crate) fn as_float16(options: WriteOptions, float16: bool) -> WriteOptions {
    if float16 { options.dtype(Dtype::F16) } else { options }
}

/// Writes a file in memory, filled by `fill`.
pub(crate) fn write(
    options: WriteOptions,
    fill: impl FnOnce(&mut Writer<'_>) -> gen5::Result<()>,
) -> gen5::Result<(Vec<u8>, Summary)> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = options.to_writer(&mut out)?;
    fill(&mut writer)?;
    let summary = writer.finish(&metadata())?;
    Ok((out.into_inner(), summary))
}

pub(crate) fn open(bytes: Vec<u8>) -> Reader {
    Reader::from_bytes(bytes).unwrap()
}

/// Runs `run` in its own rayon pool.
pub(crate) fn in_pool<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// Runs `run`, and fails after a minute instead of hanging.
pub(crate) fn within_a_minute<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(run()));
    receiver.recv_timeout(std::time::Duration::from_secs(60)).expect("a result, and no deadlock")
}

/// Standard normal values from a seed: sums of twelve uniform ones (Irwin-Hall) from SplitMix64.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    };
    (0..len).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}

/// The index of the chunk that an error names.
pub(crate) fn chunk_of(error: &Error) -> Option<usize> {
    match place_of(error)? {
        Place::Chunk { index, .. } => Some(*index),
        _ => None,
    }
}

/// The place that an error names.
pub(crate) fn place_of(error: &Error) -> Option<&Place> {
    match error {
        Error::Value { place, .. }
        | Error::Json { place, .. }
        | Error::Frame { place, .. }
        | Error::Contradiction { place, .. }
        | Error::Parts { place, .. }
        | Error::Hash { place, .. }
        | Error::ComponentDigest { place, .. }
        | Error::Limit { place, .. } => Some(place),
        Error::Overlap { second, .. } | Error::SecondChunk { second, .. } => Some(second),
        _ => None,
    }
}

/// The short form of an error in tables of cases: the variant, the place, and the most relevant
/// field.
pub(crate) fn tell(error: &Error) -> String {
    let place = match place_of(error) {
        Some(Place::Header) => "header".to_owned(),
        Some(Place::Table { .. }) => "table".to_owned(),
        Some(Place::Chunk { index, offset: Some(offset), .. }) => format!("chunk {index} at {offset}"),
        Some(Place::Chunk { index, .. }) => format!("chunk {index}"),
        _ => String::new(),
    };
    match error {
        Error::NotGen5 { .. } => "NotGen5".into(),
        Error::UnsupportedVersion { version, .. } => format!("UnsupportedVersion {version}"),
        Error::UnsupportedFlags { flags, .. } => format!("UnsupportedFlags {flags:#x}"),
        Error::Value { member, .. } => format!("Value {place} {member}"),
        Error::Json { .. } => format!("Json {place}"),
        Error::Frame { problem: FrameProblem::Damaged { .. }, .. } => format!("Frame {place} Damaged"),
        Error::Frame { problem, .. } => format!("Frame {place} {problem:?}"),
        Error::Contradiction { what, .. } => format!("Contradiction {place} {what}"),
        Error::Overlap { .. } => format!("Overlap {place}"),
        Error::SecondChunk { .. } => format!("SecondChunk {place}"),
        Error::Parts { .. } => format!("Parts {place}"),
        Error::Hash { .. } => format!("Hash {place}"),
        Error::ComponentDigest { id, .. } => format!("ComponentDigest {place} {id}"),
        Error::Limit { name, .. } => format!("Limit {place} {name}"),
        other => panic!("no error of a file: {other:?}"),
    }
}

/// The name of an error's variant.
pub(crate) fn variant_of(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
