//! Complete command lines.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use serde_json::json;

use crate::build::{Builder, Chunk};
use crate::command::gen5_args;

/// Runs a command with arbitrary arguments in a folder of files with arbitrary names and contents.
/// It ends with a documented exit code, prints no control characters to a terminal, and writes
/// nothing outside its folder.
///
/// Arguments that would start an interpreter, use many threads or much memory, or leave the folder
/// are excluded.
pub fn command_line(data: &[u8]) {
    let Ok(line) = Line::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let (beside, folder) = (place.path().join("beside"), place.path().join("folder"));
    fs::write(&beside, "beside").expect("a file");
    fs::create_dir(&folder).expect("a folder");
    let files = line.write(&folder);
    let args = line.args(&files);
    let (code, out, messages) = {
        let _there = Working::within(&folder);
        gen5_args(&args, &line.input, line.on_terminal)
    };
    assert!(code <= 4, "{args:?}: exit code {code}");
    is_harmless(&args, &messages);
    if line.is_text(&args) {
        is_harmless(&args, &String::from_utf8(out).expect("results are text"));
    }
    let there: Vec<PathBuf> = names(place.path());
    assert_eq!(there, [PathBuf::from("beside"), "folder".into()], "{args:?}");
    assert_eq!(fs::read(beside).expect("the file beside"), b"beside", "{args:?}");
}

#[derive(Arbitrary, Debug)]
struct Line {
    command: u8,
    words: Vec<Word>,
    files: Vec<File>,
    input: Vec<u8>,
    on_terminal: bool,
}

#[derive(Arbitrary, Debug)]
enum Word {
    /// An option or value of some command.
    Known(u8),
    /// The path of a file.
    File(u8),
    /// A key followed by a file.
    Keyed(u8),
    /// A folder followed by a pattern or part of one.
    Below(Vec<u8>),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct File {
    name: Vec<u8>,
    is_inner: bool,
    content: Content,
}

#[derive(Arbitrary, Debug)]
enum Content {
    /// A GEN5 file with this text as its prompt and as a key.
    Gen5(String),
    /// A GEN5 file with one byte changed.
    Damaged(u16, u8),
    Npy,
    Png,
    Folder,
    /// A format's first bytes followed by arbitrary ones.
    Bytes(u8, Vec<u8>),
}

/// The commands, with arguments that keep them from examining this machine. `env` does not examine
/// it when it has two files.
const COMMANDS: [(&str, &[&str]); 19] = [
    ("cat", &[]),
    ("completions", &[]),
    ("diff", &[]),
    ("env", &["a.gen5", "b.gen5"]),
    ("fingerprint", &[]),
    ("help", &[]),
    ("info", &[]),
    ("ls", &[]),
    ("man", &[]),
    ("merge", &[]),
    ("pack", &["--no-environment"]),
    ("render", &[]),
    ("repack", &[]),
    ("report", &["--no-environment-check"]),
    ("set", &[]),
    ("show", &[]),
    ("split", &[]),
    ("unpack", &["--no-environment-check"]),
    ("verify", &[]),
];

const KNOWN: [&str; 72] = [
    "--",
    "-",
    "-o",
    "-f",
    "-r",
    "-q",
    "-v",
    "-h",
    "-V",
    "--json",
    "--force",
    "--recursive",
    "--quiet",
    "--verbose",
    "--progress",
    "none",
    "plain",
    "--color",
    "always",
    "never",
    "--npy",
    "--rows",
    "0..1",
    "..",
    "1",
    "--tolerance",
    "1e-3",
    "--latent",
    "--from",
    "--image",
    "--metadata",
    "--compress",
    "zstd",
    "shuffled",
    "auto",
    "--float16",
    "--allow-non-finite",
    "--model-name",
    "--model-version",
    "--prompt",
    "--tag",
    "--date",
    "--set",
    "seed=1",
    "--no-image-text",
    "--preview",
    "sdxl",
    "--columns",
    "3",
    "--theme",
    "dark",
    "--width=320",
    "--protocol",
    "blocks",
    "kitty",
    "sixel",
    "--dtype",
    "float16",
    "bfloat16",
    "--align",
    "64",
    "--rename",
    "noise=x",
    "--drop",
    "noise",
    "--only",
    "#0",
    "--compatible",
    "--stack",
    "--prefix",
    "--format",
    "npz",
];

/// Parts of words that would start an interpreter or exceed the resources of a fuzzer.
const LEFT_OUT: [&[u8]; 7] = [b"python", b"environment", b"jobs", b"level", b"width", b"room", b".."];

impl Line {
    /// Writes the files into a folder. Returns their paths relative to it.
    fn write(&self, folder: &Path) -> Vec<PathBuf> {
        for (name, file) in ["a.gen5", "b.gen5"].into_iter().zip(&*GEN5) {
            fs::write(folder.join(name), file).expect("a file");
        }
        fs::create_dir(folder.join("inner")).expect("a folder");
        let mut paths: Vec<PathBuf> =
            ["a.gen5", "b.gen5", "inner", "new.gen5", "new.png", "new"].map(PathBuf::from).into();
        for file in self.files.iter().take(4) {
            let name = harmless(&file.name);
            if name.is_empty() || name == OsStr::new(".") {
                continue;
            }
            let path = Path::new(if file.is_inner { "inner" } else { "" }).join(name);
            // Some names clash with others, and some are invalid.
            let _ = file.content.write(&folder.join(&path));
            paths.push(path);
        }
        paths
    }

    fn args(&self, files: &[PathBuf]) -> Vec<OsString> {
        let (command, more) = COMMANDS[usize::from(self.command) % COMMANDS.len()];
        let mut args: Vec<OsString> = ["gen5", command].iter().chain(more).map(OsString::from).collect();
        let file = |at: u8| files[usize::from(at) % files.len()].as_os_str();
        for word in self.words.iter().take(12) {
            match word {
                Word::Known(at) => args.push(KNOWN[usize::from(*at) % KNOWN.len()].into()),
                Word::File(at) => args.push(file(*at).into()),
                Word::Keyed(at) => args.push(joined(&[b"key=", file(*at).as_bytes()])),
                Word::Below(name) => args.push(joined(&[b"inner/", harmless(name).as_bytes()])),
                Word::Bytes(bytes) if is_left_out(bytes) => {}
                Word::Bytes(bytes) => args.push(harmless(bytes)),
            }
        }
        args
    }

    /// Whether results are plain text, and not values, files or pictures.
    fn is_text(&self, args: &[OsString]) -> bool {
        let command = args.get(1).and_then(|command| command.to_str());
        !matches!(command, Some("cat" | "show")) && !args.iter().any(|word| word.as_bytes().ends_with(b"-"))
    }
}

/// Whether a word is a command's name or is excluded.
fn is_left_out(word: &[u8]) -> bool {
    let has = |part: &[u8]| word.windows(part.len()).any(|window| window == part);
    let is_short = word.starts_with(b"-") && !word.starts_with(b"--");
    LEFT_OUT.into_iter().any(has)
        || COMMANDS.iter().any(|(command, _)| word == command.as_bytes())
        || (is_short && word.contains(&b'j'))
}

/// A valid file name that stays in the folder.
fn harmless(name: &[u8]) -> OsString {
    let name: Vec<u8> = name.iter().copied().filter(|byte| !matches!(byte, 0 | b'/')).take(255).collect();
    joined(&[if name.starts_with(b"..") { b"_" } else { b"" }, &name])
}

fn joined(parts: &[&[u8]]) -> OsString {
    OsStr::from_bytes(&parts.concat()).to_owned()
}

impl Content {
    fn write(&self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Gen5(text) => fs::write(path, gen5(text)),
            Self::Damaged(at, byte) => {
                let mut file = GEN5[0].clone();
                let at = usize::from(*at) % file.len();
                file[at] ^= byte;
                fs::write(path, file)
            }
            Self::Npy => fs::write(path, npy()),
            Self::Png => fs::write(path, PNG),
            Self::Folder => fs::create_dir(path),
            Self::Bytes(start, bytes) => {
                let bytes = [STARTS[usize::from(*start) % STARTS.len()], bytes].concat();
                // Image decoders allocate up to a GiB for the size in a header, which is too much
                // for a fuzzer.
                if is_image(&bytes) { Ok(()) } else { fs::write(path, bytes) }
            }
        }
    }
}

/// First bytes of GEN5 files, arrays, archives and JSON texts.
const STARTS: [&[u8]; 8] = [
    b"",
    b"GEN5\x01\0\0\0",
    b"\x93NUMPY\x01\0v\0{'descr': '<f4', ",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x10\0\0\0\0\0\0\0{",
    b"{\"",
    b"[{\"",
];

const PNG: &[u8] = include_bytes!("../../tests/data/pixel.png");

/// Whether the `image` crate would decode bytes with this start.
fn is_image(bytes: &[u8]) -> bool {
    let starts: [&[u8]; 7] = [b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II", b"MM", b"RIFF"];
    starts.iter().any(|start| bytes.starts_with(start))
}

fn npy() -> Vec<u8> {
    let mut file = Vec::new();
    gen5_cli::convert::npy::write_header(&mut file, gen5::Dtype::F32, &[1, 2]).expect("a header");
    file.extend([0; 8]);
    file
}

/// The files that are present in every run.
static GEN5: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| ["a", "b"].map(gen5));

/// A file with two latents, an image and an environment. The prompt is also a key.
fn gen5(prompt: &str) -> Vec<u8> {
    let environment = json!({"env_version": 1, "components": []}).to_string();
    let chunks = [
        Chunk::latent("noise", &[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]),
        Chunk::latent(prompt, &[2], &[1.0, 2.0]).compressed(),
        Chunk::raw("ENVC", b"0000", environment.as_bytes(), json!({})).compressed(),
        Chunk::raw("DATA", b"0000", PNG, json!({})),
    ];
    let with =
        |manifest: &mut serde_json::Value| manifest["gen5_metadata"]["model_info"]["prompt"] = json!(prompt);
    Builder::new(chunks).manifest(with).build()
}

/// Restores the working folder of the process when dropped.
struct Working(PathBuf);

impl Working {
    fn within(folder: &Path) -> Self {
        let before = std::env::current_dir().expect("a working folder");
        std::env::set_current_dir(folder).expect("a folder to work in");
        Self(before)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        std::env::set_current_dir(&self.0).expect("the folder before");
    }
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into())
        .collect();
    names.sort();
    names
}

/// Checks that output contains no control characters, except for the colours of gen5 and clap.
fn is_harmless(args: &[OsString], printed: &str) {
    let plain = COLOURS.iter().fold(printed.to_owned(), |text, colour| text.replace(colour, ""));
    let steers = |character: char| {
        (character.is_control() && !matches!(character, '\n' | '\t'))
            || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    assert!(!plain.contains(steers), "{args:?}: {printed:?}");
}

const COLOURS: [&str; 7] =
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[4m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m"];
