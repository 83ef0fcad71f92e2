//! What several tests need: files in memory, metadata, values, and every way in.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use gen5::{Component, Environment, GenerationSettings, Metadata, Reader, Summary, WriteOptions, Writer};

pub fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect()
}

/// The three ways in.
pub fn all_ways(path: &Path) -> [(&'static str, gen5::Result<Reader>); 3] {
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
pub fn metadata() -> Metadata {
    Metadata::builder("Stable Diffusion 3", "3.0")
        .date("2026-11-22T00:00:00+00:00")
        .prompt("a \"cat\"\n\u{0} 🐈")
        .tag("cat")
        .settings(GenerationSettings::new(u64::MAX, 30, "euler"))
        .build()
        .unwrap()
}

pub fn environment() -> Environment {
    Environment::new([
        Component::new("os", "name=os;version=Linux 6.1"),
        Component::new("gpu", "name=gpu;model=A;driver=1"),
        Component::new("gpu", "name=gpu;model=B;driver=1"),
    ])
}

/// A PNG of one black pixel.
pub const PNG: &[u8] = include_bytes!("../data/pixel.png");

/// A file in memory, filled by `fill`.
pub fn write(
    options: WriteOptions,
    fill: impl FnOnce(&mut Writer<'_>) -> gen5::Result<()>,
) -> gen5::Result<(Vec<u8>, Summary)> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = options.write_to(&mut out)?;
    fill(&mut writer)?;
    let summary = writer.finish(&metadata())?;
    Ok((out.into_inner(), summary))
}

pub fn open(bytes: Vec<u8>) -> Reader {
    Reader::from_bytes(bytes).unwrap()
}

/// Standard normal values, the same for the same seed: sums of twelve uniform ones (Irwin-Hall) from SplitMix64.
pub fn noise(seed: u64, len: usize) -> Vec<f32> {
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
