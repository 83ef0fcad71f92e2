//! A folder with inputs, and ways to run a command in it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use gen5::Dtype;
use gen5_cli::Streams;
use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder for commands. Dropping it removes the folder.
pub struct Folder(TempDir);

/// The result of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub messages: String,
}

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `gen5` with these words, replacing `@` with the folder's path.
    pub fn run(&self, words: &[&str]) -> Ran {
        let (code, out, messages) = self.run_for_bytes(words);
        Ran { code, out: self.text(out), messages }
    }

    /// Like `run`, for results that are not text. Returns the exit code, results and messages.
    pub fn run_for_bytes(&self, words: &[&str]) -> (u8, Vec<u8>, String) {
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let code = gen5_cli::run(self.words(words), &mut out, &mut messages);
        (code, out, self.text(messages))
    }

    /// Runs `gen5` with all streams on a terminal.
    pub fn run_on_terminal(&self, words: &[&str]) -> Ran {
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let streams = Streams {
            input: &mut std::io::empty(),
            out: &mut out,
            messages: &mut messages,
            is_terminal: true,
            messages_on_terminal: true,
        };
        let code = gen5_cli::run_in(self.words(words), streams);
        Ran { code, out: self.text(out), messages: self.text(messages) }
    }

    /// Runs `gen5` with this standard input.
    pub fn run_with_input(&self, words: &[&str], mut input: &[u8]) -> Ran {
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let streams = Streams {
            input: &mut input,
            out: &mut out,
            messages: &mut messages,
            is_terminal: false,
            messages_on_terminal: false,
        };
        let code = gen5_cli::run_in(self.words(words), streams);
        Ran { code, out: self.text(out), messages: self.text(messages) }
    }

    /// Runs `gen5` with these arguments unchanged.
    pub fn run_args(&self, args: &[OsString]) -> Ran {
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let args = std::iter::once("gen5".into()).chain(args.iter().cloned());
        let code = gen5_cli::run(args, &mut out, &mut messages);
        let out = String::from_utf8_lossy(&out).replace(self.0.path().to_str().unwrap(), "@");
        Ran { code, out, messages: self.text(messages) }
    }

    fn words(&self, words: &[&str]) -> Vec<OsString> {
        let here = self.0.path().to_str().unwrap();
        std::iter::once("gen5".into())
            .chain(words.iter().map(|word| OsString::from(word.replace('@', here))))
            .collect()
    }

    /// The output as text. The folder's path, which varies between runs, becomes `@`.
    fn text(&self, bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap().replace(self.0.path().to_str().unwrap(), "@")
    }

    /// Runs a command that must succeed without messages. Returns its results.
    pub fn ok(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!((ran.code, ran.messages.as_str()), (0, ""), "{words:?}: {ran:?}");
        ran.out
    }

    /// Runs a command that must succeed. Returns the JSON object that it prints.
    pub fn json_of(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.ok(words)).unwrap()
    }

    /// Writes a float32 array as a `.npy` file.
    pub fn npy(&self, name: &str, shape: &[usize], values: &[f32]) -> PathBuf {
        let mut file = Vec::new();
        gen5_cli::convert::npy::write_header(&mut file, Dtype::F32, shape).unwrap();
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let path = self.path(name);
        fs::write(&path, file).unwrap();
        path
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// The names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    /// A file with two latents, settings, an image and an environment.
    pub fn sample(&self, name: &str) {
        self.npy("noise.npy", &[2, 3], &[0.0, 1.0, -2.0, 3.5, 4.0, 5.0]);
        self.npy("last.npy", &[4], &[1.0; 4]);
        fs::write(self.path("out.png"), PNG).unwrap();
        let out = format!("@/{name}");
        self.ok(&[
            "pack",
            &out,
            "--latent",
            "@/noise.npy",
            "final/latent=@/last.npy",
            "--image",
            "@/out.png",
            "--model-name",
            "SD",
            "--model-version",
            "3.0",
            "--prompt",
            "a \u{1b}[31mcat\u{202e}",
            "--tag",
            "cat",
            "--tag",
            "sea",
            "--set",
            "seed=18446744073709551615",
            "--set",
            "steps=30",
            "--set",
            "sampler=ddim",
            "--set",
            "clip_skip=2",
            "--set",
            "note=free text",
            "--date",
            "2026-11-22",
        ]);
        for input in ["noise.npy", "last.npy", "out.png"] {
            fs::remove_file(self.path(input)).unwrap();
        }
    }
}

/// The objects of JSON lines.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A PNG of one black pixel.
pub const PNG: &[u8] = include_bytes!("../../../tests/data/pixel.png");

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
