//! A command with its inputs, and the contents of its destination before and after.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::Folder;

/// File contents by path.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// The names of the scenes whose destination is published in one step.
pub const NAMES: [&str; 9] =
    ["pack", "pack, new", "pack --compress", "repack", "set", "merge", "render", "unpack", "split"];

/// The scene in which several threads write to one file. The order of its calls varies.
pub const SIDE_BY_SIDE: &str = "pack, side by side";

/// Options that make the output of `pack` reproducible.
const MODEL: [&str; 7] =
    ["--model-name", "SD", "--model-version", "3", "--date", "2026-11-24", "--no-environment"];

/// The mode of existing files. It differs from that of new files.
const MODE: u32 = 0o600;

/// The suffix of temporary files and folders.
pub const LEFT: &str = ".gen5-partial";

/// A command with a separate folder.
pub struct Scene {
    pub name: &'static str,
    pub folder: Folder,
    words: Vec<String>,
    /// The contents of the destination before, and after an undisturbed run.
    pub before: Tree,
    pub after: Tree,
}

/// The state of the destination after a command.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    Before,
    After,
}

impl Scene {
    /// The scene of this name, with a latent of 8,000 values.
    pub fn of(name: &'static str) -> Self {
        Self::with_values(name, 8000)
    }

    /// The same scene with another number of values.
    pub fn with_values(name: &'static str, values: usize) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.path("there")).unwrap();
        Self::in_folder(name, folder, values)
    }

    /// The same scene in a folder that already contains `there`.
    pub fn in_folder(name: &'static str, folder: Folder, values: usize) -> Self {
        let wave: Vec<f32> = (0..values).map(|at| (at as f32 * 0.37).sin()).collect();
        folder.npy("a.npy", &[values], &wave);
        for input in ["@/in.gen5", "@/other.gen5"] {
            folder.ok(&[&["pack", input, "--latent", "@/a.npy", "--compress", "none"], &MODEL[..]].concat());
        }
        let old = fs::read(folder.path("in.gen5")).unwrap();
        let (words, before) = script(name, &old);
        let before = before.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let mut scene = Self { name, folder, words: Vec::new(), before, after: Tree::new() };
        scene.words = words.iter().map(|word| word.replace('@', &scene.place())).collect();
        scene.reset();
        let ran = scene.command(&[]).output().unwrap();
        assert!(ran.status.success(), "{name}: {ran:?}");
        scene.after = scene.tree();
        assert_ne!(scene.before, scene.after, "{name}");
        scene
    }

    /// The path of the scene's folder.
    pub fn place(&self) -> String {
        self.folder.path("").to_str().unwrap().trim_end_matches('/').to_owned()
    }

    /// The folder of the destination.
    pub fn there(&self) -> PathBuf {
        self.folder.path("there")
    }

    /// Empties the destination and restores its initial contents.
    pub fn reset(&self) {
        for entry in fs::read_dir(self.there()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        for (name, bytes) in &self.before {
            let path = self.there().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(path, Permissions::from_mode(MODE)).unwrap();
        }
    }

    /// Restores the initial contents of the destination, and keeps leftovers.
    pub fn restore(&self) {
        if self.before.is_empty() {
            _ = fs::remove_dir_all(self.there().join("out"));
            _ = fs::remove_file(self.there().join("x.gen5"));
        }
        for (name, bytes) in &self.before {
            fs::write(self.there().join(name), bytes).unwrap();
        }
    }

    /// The command, run by the program `by`. It works on one thread, so that its calls always come
    /// in the same order, except for [`SIDE_BY_SIDE`].
    pub fn command(&self, by: &[&str]) -> Command {
        let mut words = by.iter().map(ToString::to_string).collect::<Vec<_>>();
        words.push(env!("CARGO_BIN_EXE_gen5").into());
        words.extend(self.words.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("RAYON_NUM_THREADS", if self.name == SIDE_BY_SIDE { "4" } else { "1" });
        command.current_dir("/");
        // Cargo sets this, which would add searches for libraries.
        command.env_remove("LD_LIBRARY_PATH");
        command
    }

    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        add(&self.there(), "", &mut tree);
        tree
    }

    /// The state of the destination, and the number of temporary files in it. Checks that modes are
    /// unchanged.
    #[track_caller]
    pub fn state(&self, what: &str) -> (State, usize) {
        let names = crate::support::names(&self.there());
        let left = names.iter().filter(|name| name.ends_with(LEFT)).count();
        for name in self.before.keys() {
            let mode = fs::metadata(self.there().join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, MODE, "{} {what}: the mode of {name}", self.name);
        }
        let mut tree = self.tree();
        tree.retain(|path, _| !path.contains(LEFT));
        let state = match tree {
            tree if tree == self.before => State::Before,
            tree if tree == self.after => State::After,
            tree => panic!("{} {what}: the destination is neither: {:?}", self.name, sizes(&tree)),
        };
        (state, left)
    }

    /// Runs the command again, and checks that it succeeds and leaves nothing over.
    #[track_caller]
    pub fn recovers(&self) {
        self.restore();
        let ran = self.command(&[]).output().unwrap();
        assert!(ran.status.success(), "{}: {ran:?}", self.name);
        assert_eq!(self.state("after it has recovered"), (State::After, 0), "{}", self.name);
    }
}

/// The arguments of a command, with `@` for the folder, and the initial contents of its
/// destination.
fn script<'a>(name: &str, old: &'a [u8]) -> (Vec<&'static str>, Vec<(&'static str, &'a [u8])>) {
    let pack = |how, latents: &[&'static str]| {
        let latents = latents.iter().flat_map(|latent| ["--latent", latent]).collect::<Vec<_>>();
        [&["pack", "@/there/x.gen5", "--compress", how], &latents[..], &MODEL].concat()
    };
    let force = |words: Vec<&'static str>| [&words[..], &["--force"]].concat();
    let unpack = ["unpack", "@/in.gen5", "-o", "@/there/out", "--no-environment-check", "--force"];
    let merge = ["merge", "@/in.gen5", "@/other.gen5", "-o", "@/there/x.gen5", "--prefix", "--force"];
    let repack = ["repack", "@/in.gen5", "@/there/x.gen5", "--force", "--compress", "zstd"];
    let there = vec![("x.gen5", old)];
    match name {
        "pack" => (force(pack("none", &["b=@/a.npy"])), vec![("x.gen5", b"old")]),
        // A new file is published by a call that does not replace an existing one.
        "pack, new" => (pack("none", &["b=@/a.npy"]), Vec::new()),
        "pack --compress" => (force(pack("zstd", &["@/a.npy"])), there),
        SIDE_BY_SIDE => {
            let latents = ["a=@/a.npy", "b=@/a.npy", "c=@/a.npy", "d=@/a.npy", "e=@/a.npy", "f=@/a.npy"];
            (force(pack("zstd", &latents)), there)
        }
        "repack" => (repack.into(), there),
        "set" => (vec!["set", "@/there/x.gen5", "tags=sea"], there),
        "merge" => (merge.into(), there),
        "render" => (vec!["render", "@/in.gen5", "-o", "@/there/x.png", "--force"], vec![("x.png", b"old")]),
        "unpack" => (unpack.into(), Vec::new()),
        "unpack, without --force" => {
            (unpack.iter().copied().filter(|word| *word != "--force").collect(), Vec::new())
        }
        "unpack --force" => (unpack.into(), vec![("out/metadata.json", b"old"), ("out/mine.txt", b"mine")]),
        "split" => (vec!["split", "@/in.gen5", "-o", "@/there/out"], Vec::new()),
        other => panic!("no scene {other}"),
    }
}

fn add(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        match entry.path().is_dir() {
            true => add(&entry.path(), &format!("{name}/"), tree),
            false => _ = tree.insert(name, fs::read(entry.path()).unwrap()),
        }
    }
}

fn sizes(tree: &Tree) -> BTreeMap<&str, usize> {
    tree.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect()
}

/// The messages of a process on standard error.
pub fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}
