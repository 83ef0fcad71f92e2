//! Several processes change one file or create one folder at the same time. Some files are large,
//! so that another process can interfere with a command.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gen5::{Metadata, Reader, WriteOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::library::{Builder, Chunk};
use crate::support::{Folder, names};

fn start(folder: &Folder, words: &[&str]) -> Child {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM,HUP", env!("CARGO_BIN_EXE_gen5")]);
    command.args(words).current_dir(folder.path(".")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Runs commands concurrently and returns their outputs.
fn at_once<'w>(folder: &Folder, commands: impl IntoIterator<Item = Vec<&'w str>>) -> Vec<Output> {
    let children: Vec<Child> = commands.into_iter().map(|words| start(folder, &words)).collect();
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

/// Writes a file that takes a while to process. Hashing its latents of zeros takes time; `set` only
/// copies, for which a gap is enough.
fn large(path: &Path, latents: &[&str], mebibytes: usize, gap: usize) {
    let values = vec![0.0; mebibytes << 18];
    let chunk = |key| Chunk::latent(key, &[2, values.len() / 2], &values);
    let last = Chunk::latent("last", &[1], &[1.0]).after_gap(&vec![0; gap << 20]);
    let chunks: Vec<Chunk> = latents.iter().copied().map(chunk).chain([last]).collect();
    fs::write(path, Builder::new(chunks).build()).unwrap();
}

/// Waits until a command's temporary file appears in the folder, or until the command ends.
fn until_it_writes(child: &mut Child, folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_begun = || names(folder).iter().any(|name| name.ends_with(".gen5-partial"));
    while !is_begun() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "nothing is written");
        sleep(Duration::from_millis(1));
    }
}

fn model_info(path: &Path) -> Value {
    serde_json::from_str(Reader::open(path).unwrap().model_info_json()).unwrap()
}

#[test]
fn changes_that_many_processes_make_at_once_are_all_there() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for round in 0..8 {
        let changes: Vec<String> = (0..6).map(|at| format!("field{at}={round}")).collect();
        for ran in at_once(&folder, changes.iter().map(|change| vec!["set", "run.gen5", change])) {
            assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        }
        let found = model_info(&folder.path("run.gen5"));
        for at in 0..6 {
            assert_eq!(found[format!("field{at}")], round, "field{at}: {found}");
        }
    }
    Reader::open(folder.path("run.gen5")).unwrap().verify().unwrap();
    assert_eq!(folder.names(), ["run.gen5"]);
}

/// `repack`, `merge` and `set -o` may write to their input file.
#[test]
fn commands_that_write_the_file_that_they_read_wait_for_each_other() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    folder.npy("b.npy", &[1], &[1.0]);
    let pack = ["pack", "@/b.gen5", "--latent", "@/b.npy", "--model-name=m", "--model-version=1"];
    folder.ok(&[&pack[..], &["--no-environment"]].concat());
    folder.ok(&["repack", "@/run.gen5", "@/base.gen5"]);
    for round in 0..8 {
        fs::copy(folder.path("base.gen5"), folder.path("run.gen5")).unwrap();
        let commands = [
            vec!["set", "run.gen5", "x=1"],
            vec!["set", "run.gen5", "y=1", "-o", "run.gen5", "--force"],
            vec!["merge", "run.gen5", "b.gen5", "-o", "run.gen5", "--force"],
            vec!["repack", "run.gen5", "run.gen5", "--force", "--rename", "noise=first"],
        ];
        for ran in at_once(&folder, commands) {
            assert_eq!(ran.status.code(), Some(0), "{round}: {ran:?}");
        }
        let reader = Reader::open(folder.path("run.gen5")).unwrap();
        let mut keys: Vec<String> =
            reader.latents().filter_map(|latent| latent.key().map(str::to_owned)).collect();
        keys.sort();
        assert_eq!(keys, ["b", "final/latent", "first"], "{round}");
        let found = model_info(&folder.path("run.gen5"));
        assert_eq!((&found["x"], &found["y"]), (&1.into(), &1.into()), "{round}");
    }
}

/// A change that another program makes to a file.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Replace,
    Append,
    Cut,
    Remove,
}

impl Deed {
    fn what(self) -> &'static str {
        match self {
            Self::Replace => "replaced",
            Self::Append | Self::Cut => "changed",
            Self::Remove => "removed",
        }
    }

    fn make(self, path: &Path) {
        let write = || File::options().append(true).open(path).unwrap();
        match self {
            Self::Replace => {
                let other = path.with_extension("other");
                fs::write(&other, "another file").and_then(|()| fs::rename(other, path)).unwrap();
            }
            Self::Append => write().write_all(b"more").unwrap(),
            Self::Cut => write().set_len(1 << 20).unwrap(),
            Self::Remove => fs::remove_file(path).unwrap(),
        }
    }
}

#[test]
fn a_file_that_another_program_changes_meanwhile_is_not_replaced() {
    let folder = Folder::new();
    large(&folder.path("copied.gen5"), &[], 0, 64);
    large(&folder.path("hashed.gen5"), &["a"], 4, 0);
    folder.sample("other.gen5");
    let set = ["set", "run.gen5", "prompt=x"];
    let repack = ["repack", "run.gen5", "run.gen5", "--force", "--jobs=1"];
    let merge = ["merge", "other.gen5", "run.gen5", "-o", "run.gen5", "--force", "--jobs=1"];
    let all = [Deed::Replace, Deed::Append, Deed::Cut, Deed::Remove];
    // Commands that decode a truncated file report it as damaged, so `Cut` is left out.
    let some = [Deed::Replace, Deed::Append, Deed::Remove];
    for (words, file, deeds) in
        [(&set[..], "copied.gen5", &all[..]), (&repack, "hashed.gen5", &some), (&merge, "hashed.gen5", &some)]
    {
        for deed in deeds {
            // On a busy machine the command may finish before the change. Such a run proves nothing
            // and is repeated.
            let in_time = (0..20).find_map(|_| {
                fs::copy(folder.path(file), folder.path("run.gen5")).unwrap();
                let mut child = start(&folder, words);
                until_it_writes(&mut child, &folder.path("."));
                deed.make(&folder.path("run.gen5"));
                let there = fs::read(folder.path("run.gen5")).ok();
                let ran = child.wait_with_output().unwrap();
                (!ran.status.success()).then_some((there, ran))
            });
            let (there, ran) = in_time.expect("a change that is noticed");
            let told = format!("{words:?}, {deed:?}: {ran:?}");
            assert_eq!(ran.status.code(), Some(1), "{told}");
            let message = format!("another program has {} it since it was read", deed.what());
            assert!(said(&ran).contains(&message), "{told}");
            assert!(fs::read(folder.path("run.gen5")).ok() == there, "{told}");
            assert!(folder.names().iter().all(|name| !name.contains("partial")), "{told}");
        }
    }
}

#[test]
fn a_change_waits_for_who_has_the_file_locked() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let before = fs::read(folder.path("run.gen5")).unwrap();
    let holder = File::open(folder.path("run.gen5")).unwrap();
    holder.lock().unwrap();
    let words = ["set", "run.gen5", "x=1"];

    // Ctrl-C ends it at once, since nothing needs cleanup.
    let mut child = start(&folder, &words);
    sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it is to wait");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.signal(), Some(2), "{ran:?}");
    assert_eq!(fs::read(folder.path("run.gen5")).unwrap(), before);

    let child = start(&folder, &words);
    sleep(Duration::from_millis(1500));
    // Readers do not wait.
    folder.ok(&["verify", "@/run.gen5"]);
    drop(holder);
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(said(&ran), "gen5: run.gen5: waiting for another program that is changing it\n");
    assert_eq!(model_info(&folder.path("run.gen5"))["x"], 1);
    assert_eq!(folder.names(), ["run.gen5"]);
}

/// Two files that `split` turns into different files.
fn two_files(folder: &Folder) {
    for (name, keys) in [("one.gen5", ["a", "b"]), ("two.gen5", ["b", "c"])] {
        let mut writer = WriteOptions::new().create(folder.path(name)).unwrap();
        for key in keys {
            writer.latent(key, &[4096], &[1.0_f32; 4096]).unwrap();
        }
        writer.finish(&Metadata::builder("m", "1").prompt(name).build().unwrap()).unwrap();
    }
}

#[test]
fn of_commands_that_make_one_folder_at_once_one_succeeds() {
    let folder = Folder::new();
    two_files(&folder);
    for words in [&["unpack", "--no-environment-check"][..], &["split"]] {
        let expected: Vec<Vec<String>> = ["one.gen5", "two.gen5"]
            .map(|file| {
                folder.ok(&[words, &[&format!("@/{file}"), "-o", "@/alone"]].concat());
                let found = names(&folder.path("alone"));
                fs::remove_dir_all(folder.path("alone")).unwrap();
                found
            })
            .into();
        for is_there in [false, true] {
            for round in 0..10 {
                if is_there {
                    fs::create_dir(folder.path("out")).unwrap();
                }
                let files = ["one.gen5", "two.gen5", "one.gen5", "two.gen5"];
                let ran = at_once(&folder, files.map(|file| [words, &[file, "-o", "out"]].concat()));
                let told = format!("{words:?}, {is_there}, {round}: {ran:?}");
                let winners: Vec<usize> = (0..4).filter(|at| ran[*at].status.success()).collect();
                assert_eq!(winners.len(), 1, "{told}");
                assert!(ran.iter().filter(|ran| ran.status.code() == Some(1)).count() == 3, "{told}");
                assert_eq!(names(&folder.path("out")), expected[winners[0] % 2], "{told}");
                assert_eq!(folder.names(), ["one.gen5", "out", "two.gen5"], "{told}");
                fs::remove_dir_all(folder.path("out")).unwrap();
            }
        }
    }
}

#[test]
fn what_comes_while_a_folder_is_made_stays() {
    let folder = Folder::new();
    large(&folder.path("large.gen5"), &["a", "b"], 3, 0);
    let out = folder.path("out");
    for words in [&["unpack", "--no-environment-check", "--jobs=1"][..], &["split", "--jobs=1"]] {
        let words = [words, &["large.gen5", "-o", "out"]].concat();
        for is_there in [false, true] {
            // On a busy machine the command may finish before the folder changes.
            let in_time = (0..20).find_map(|_| {
                if is_there {
                    fs::create_dir(&out).unwrap();
                }
                let mut child = start(&folder, &words);
                until_it_writes(&mut child, &if is_there { out.clone() } else { folder.path(".") });
                let is_new = (is_there || fs::create_dir(&out).is_ok())
                    && File::create_new(out.join("index.json")).is_ok_and(|mut file| {
                        file.write_all(b"precious").unwrap();
                        true
                    });
                let ran = child.wait_with_output().unwrap();
                if !is_new {
                    fs::remove_dir_all(&out).unwrap();
                }
                is_new.then_some(ran)
            });
            let ran = in_time.expect("a folder that comes in time");
            let told = format!("{words:?}, {is_there}: {ran:?}");
            assert_eq!(ran.status.code(), Some(1), "{told}");
            assert!(said(&ran).contains("it already exists"), "{told}");
            assert!(said(&ran).contains("choose another folder, or use --force"), "{told}");
            assert_eq!(fs::read_to_string(out.join("index.json")).unwrap(), "precious", "{told}");
            assert_eq!(names(&out), ["index.json"], "{told}");
            assert_eq!(folder.names(), ["large.gen5", "out"], "{told}");

            // The message suggests `--force`.
            let again = start(&folder, &[&words[..], &["--force"]].concat());
            assert!(again.wait_with_output().unwrap().status.success(), "{told}");
            assert_ne!(fs::read_to_string(out.join("index.json")).unwrap(), "precious");
            fs::remove_dir_all(&out).unwrap();
        }
    }
}

/// If the first part replaced the input and moving the second part failed, the second would be
/// lost.
#[test]
fn a_file_is_not_replaced_by_a_part_of_it() {
    let folder = Folder::new();
    two_files(&folder);
    fs::rename(folder.path("one.gen5"), folder.path("b.gen5")).unwrap();
    let before = fs::read(folder.path("b.gen5")).unwrap();
    let ran = folder.run(&["split", "@/b.gen5", "-o", "@", "--force"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let message = "gen5: @/b.gen5 would be replaced by a file made from it; choose another folder\n";
    assert_eq!(ran.messages, message);
    assert!(fs::read(folder.path("b.gen5")).unwrap() == before);
    assert_eq!(folder.names(), ["b.gen5", "two.gen5"]);
    // With another name, the input is a different file.
    folder.ok(&["split", "@/two.gen5", "-o", "@", "--force"]);
    assert_eq!(folder.names(), ["b.gen5", "c.gen5", "index.json", "two.gen5"]);
}
