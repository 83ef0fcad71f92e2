//! The memory that commands allocate for files made to be costly. The allocator counts for the
//! whole process, so a single test runs all commands in sequence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allocator;
mod bombs;
#[allow(clippy::cast_possible_truncation)]
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::allocator::MEMORY;
use crate::bombs::{Bomb, bombs, crowd, plain};

/// Commands that read a GEN5 file or metadata, with the options that affect their inputs or
/// outputs. `%` is the file and `@` a folder: `@/plain.gen5` is a small file, `@/same.gen5` a copy
/// of the file, and `@/model_info.json` its metadata.
const COMMANDS: [&str; 36] = [
    "info %",
    "info --json %",
    "ls %",
    "ls --json %",
    "cat % #0",
    "cat % #0 --npy --rows 0..1",
    "verify %",
    "verify --json %",
    "fingerprint %",
    "unpack % -o @/out --no-environment-check",
    "unpack % -o @/out --no-environment-check --json --format npz",
    "unpack % -o @/out --no-environment-check --format safetensors",
    "unpack % -o @/out --no-environment-check --format original",
    "unpack % -o @/out --no-environment-check --format comfyui",
    "diff % @/plain.gen5",
    "diff --json @/plain.gen5 %",
    "diff % @/same.gen5",
    "env % @/same.gen5",
    "show %",
    "show --json %",
    "render % -o @/out.png",
    "report % -o @/out.html --no-environment-check",
    "report % @/plain.gen5 -o @/out.html --no-environment-check --json",
    "set % -o @/out.gen5 tags=x,y",
    "set % -o @/out.gen5 generation_settings.note=1 hardware_info.note=2",
    "set % -o @/out.gen5 --unset prompt prompt=q",
    "set @/plain.gen5 -o @/out.gen5 --metadata @/model_info.json",
    "repack % @/out.gen5",
    "repack % @/out.gen5 --drop #0 --json",
    "merge % @/plain.gen5 -o @/out.gen5 --prefix",
    "merge @/plain.gen5 % -o @/out.gen5 --prefix --json",
    "merge % @/same.gen5 -o @/out.gen5 --stack",
    "split % -o @/out",
    "split % -o @/out --rows 1 --json",
    "pack @/out.gen5 --latent a=@/a.npy --metadata @/model_info.json --no-environment",
    "man -o @/out",
];

/// Bytes of text in a table.
const TEXT: usize = 64 << 10;

/// Bytes of text in the largest tables that are read.
const LARGEST: usize = 125 << 20;

/// The memory that a table may take, as a multiple of its text. This is the bound that
/// `gen5::Limits` documents.
const TIMES: usize = 8;

/// The multiple for a text in place of a number. The parser's error repeats it, with escapes that
/// make it six times as long, and a growing buffer counts twice.
const TIMES_OF_AN_ERROR: usize = 13;

/// The size of buffers that grow with the text up to a bound.
const BESIDE: usize = 128 << 10;

/// The size of `Limits::tags` tags at 24 bytes each, with their allocations.
const TAGS: usize = 16 << 20;

/// The size of a list of different members, which has a bound.
const LISTED: usize = 4 << 20;

/// A folder with a file and the other inputs of the commands.
struct Scene {
    folder: TempDir,
    file: PathBuf,
}

impl Scene {
    fn of(file: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        put("file.gen5", file);
        put("same.gen5", file);
        put("plain.gen5", &plain());
        put("a.npy", &npy());
        let opened = gen5::Reader::from_bytes(file.to_vec());
        put("model_info.json", opened.as_ref().map_or("{}", gen5::Reader::model_info_json).as_bytes());
        let file = folder.path().join("file.gen5");
        Self { folder, file }
    }

    /// Removes a command's results.
    fn clear(&self) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|stem| stem == "out") {
                _ = fs::remove_dir_all(&path);
                _ = fs::remove_file(&path);
            }
        }
    }

    /// Runs a command. Returns its exit code, its peak allocation, and its messages.
    fn run(&self, line: &str) -> (u8, usize, String) {
        let word = |word: &str| match word {
            "%" => self.file.clone().into(),
            other => OsString::from(other.replace('@', self.folder.path().to_str().unwrap())),
        };
        let words: Vec<OsString> =
            ["gen5", "--jobs", "1"].into_iter().chain(line.split(' ')).map(word).collect();
        let mut messages = Vec::new();
        let before = MEMORY.now();
        MEMORY.start();
        let code = gen5_cli::run(words, &mut std::io::sink(), &mut messages);
        (code, MEMORY.most().saturating_sub(before), String::from_utf8(messages).unwrap())
    }
}

/// A `.npy` file with one zero.
fn npy() -> Vec<u8> {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\0v\0".as_slice(), header.as_bytes(), &[0; 4]].concat()
}

/// Runs all commands on these files and checks their memory.
fn hold(bombs: impl IntoIterator<Item = Bomb>) {
    // The usual cost of each command, measured with files that are cheap to read. The first run
    // also makes some allocations that persist.
    Scene::of(&plain()).run(COMMANDS[0]);
    let usual = [plain(), crowd()].map(|file| COMMANDS.map(|line| Scene::of(&file).run(line).1));
    for Bomb { name, file, text, is_crowd } in bombs {
        let scene = Scene::of(&file);
        for (line, usual) in COMMANDS.into_iter().zip(usual[usize::from(is_crowd)]) {
            let (code, taken, said) = scene.run(line);
            scene.clear();
            assert!(code <= 4, "{line}, {name}: {code} {said}");
            let texts = if line.contains("same") { 2 * text } else { text };
            let times = if name == "a text for a number" { TIMES_OF_AN_ERROR } else { TIMES };
            let tags = if name.ends_with("tags") { TAGS } else { 0 };
            let listed = if line.starts_with("diff") { LISTED } else { 0 };
            let most = usual + times * texts + BESIDE + tags + listed;
            let more = taken.saturating_sub(usual) as f64 / texts as f64;
            assert!(taken <= most, "{line}, {name}: {taken} bytes, {more:.1} times the text, {code} {said}");
        }
    }
}

#[test]
fn no_command_takes_more_than_eight_times_the_text_of_a_table() {
    hold(bombs(TEXT, |_| true));
    many_files();
    headers_of_arrays();
}

/// Files with large tables are read one at a time, regardless of their number.
fn many_files() {
    let tags = format!("[{}]", vec!["\"a\""; 150_000].join(","));
    let file = support::Builder::new([]).replace(r#"["t"]"#, &tags).build();
    for command in ["info", "ls", "verify", "fingerprint", "report --no-environment-check -o @/out.html"] {
        let scene = Scene::of(&file);
        let (_, one, _) = scene.run(&format!("{command} %"));
        scene.clear();
        let (code, many, said) = scene.run(&format!("{command} %{}", " @/same.gen5 %".repeat(10)));
        assert!(code == 0 && many < one + one / 2 + (1 << 20), "{command}: {code}, {many} and {one}, {said}");
    }
}

/// Array files with long headers. A parsed header takes at most 40 times its text.
fn headers_of_arrays() {
    const TIMES: usize = 40;

    let tensor = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let many = |count: usize, of: &dyn Fn(usize) -> String| {
        format!("{{{}}}", (0..count).map(of).collect::<Vec<_>>().join(","))
    };
    let tensors = many(TEXT / 60, &|number| format!("\"{number:x}\":{tensor}"));
    let texts = many(TEXT / 12, &|number| format!("\"{number:x}\":\"a\""));
    let texts = format!("{{\"__metadata__\":{texts},\"a\":{tensor}}}");
    let zeros = vec!["0"; TEXT / 2].join(",");
    let shape = format!("{{\"a\":{}}}", tensor.replace("[0]", &format!("[{zeros}]")));
    let scene = Scene::of(&plain());
    let pack = "pack @/out.gen5 --latent @/a.safetensors --model-name m --model-version 1 --no-environment";
    let run = |header: &str| {
        let file = [&header.len().to_le_bytes(), header.as_bytes()].concat();
        fs::write(scene.folder.path().join("a.safetensors"), file).unwrap();
        let ran = scene.run(pack);
        scene.clear();
        ran
    };
    let (_, usual, _) = run(&format!("{{\"a\":{tensor}}}"));
    for (name, header) in [("tensors", tensors), ("texts", texts), ("shape", shape)] {
        let (code, taken, said) = run(&header);
        let more = taken.saturating_sub(usual);
        assert!(more <= TIMES * header.len(), "{name}: {more} of {} bytes, {code} {said}", header.len());
    }
}

/// Takes some minutes with optimization.
#[test]
#[ignore = "takes minutes, and a GiB of memory"]
fn the_largest_tables_cost_no_more() {
    let kinds = [
        "prompt of controls",
        "tags",
        "members",
        "settings",
        "GPUs",
        "source arrays",
        "merged latents",
        "keys",
    ];
    hold(bombs(LARGEST, |name| kinds.contains(&name)));
}
