//! Files replaced by new versions of themselves while other programs do the same.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use gen5::{Error, Metadata, ReadOptions, Reader, WriteOptions};

use super::support::{data, metadata};

/// A folder with a copy of a file from the reference.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.gen5");
    fs::copy(data("raw_f32.gen5"), &path).unwrap();
    (folder, path)
}

fn with_prompt(prompt: &str) -> Metadata {
    Metadata::builder("m", "1").date("2026-11-24T00:00:00+00:00").prompt(prompt).build().unwrap()
}

fn prompt(path: &Path) -> String {
    Reader::open(path).unwrap().metadata().unwrap().model_info().prompt.clone()
}

/// Replaces a file with a version derived from `reader`, in one of the possible ways.
fn replace(reader: &Reader, path: &Path, way: &str) -> gen5::Result<()> {
    let options = WriteOptions::new();
    match way {
        "rewrite" => {
            options.create(path).and_then(|writer| writer.rewrite(reader, &with_prompt("mine"))).map(|_| ())
        }
        "finish_as" => {
            let model_info = serde_json::to_string(with_prompt("mine").model_info()).unwrap();
            options.create(path)?.finish_like(reader, &model_info).map(|_| ())
        }
        _ => options.replacing(reader).create(path)?.finish(&with_prompt("mine")).map(|_| ()),
    }
}

const WAYS: [&str; 3] = ["rewrite", "finish_as", "replacing"];

/// A change that another program makes to a file.
type Change = fn(&Path);

const CHANGES: [(&str, Change); 4] = [
    ("replaced", |path| {
        let other = Reader::open(path).unwrap();
        WriteOptions::new()
            .create(path)
            .and_then(|writer| writer.rewrite(&other, &with_prompt("theirs")))
            .unwrap();
    }),
    ("replaced", |path| {
        fs::copy(path, path.with_extension("copy")).unwrap();
        fs::rename(path.with_extension("copy"), path).unwrap();
    }),
    ("changed", |path| {
        // File system clocks may advance in steps of some milliseconds.
        sleep(Duration::from_millis(30));
        let bytes = fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
    }),
    ("removed", |path| fs::remove_file(path).unwrap()),
];

#[test]
fn a_file_that_was_changed_since_it_was_read_is_not_replaced() {
    for way in WAYS {
        for (change, make) in CHANGES {
            let (folder, path) = folder();
            // SAFETY: the values are not read.
            #[allow(unsafe_code)]
            let mapped = unsafe { Reader::map(&path) }.unwrap();
            for reader in [mapped, Reader::open(&path).unwrap()] {
                make(&path);
                let there = fs::read(&path).ok();
                let error = replace(&reader, &path, way).unwrap_err();
                let told = format!("{way}, {change}: {error}");
                assert!(
                    matches!(&error, Error::Outdated { change: found, .. } if *found == change),
                    "{told}"
                );
                assert!(error.to_string().contains(path.to_str().unwrap()), "{told}");
                assert_eq!(fs::read(&path).ok(), there, "{told}");
                assert!(fs::read_dir(folder.path()).unwrap().count() <= 1, "{told}");
                if !path.exists() {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_as_it_was_read_is_replaced() {
    for way in WAYS {
        let (_folder, path) = folder();
        let reader = Reader::open(&path).unwrap();
        replace(&reader, &path, way).unwrap();
        assert_eq!(prompt(&path), "mine", "{way}");
        // The first replacement made it another file.
        let error = replace(&reader, &path, way).unwrap_err();
        assert!(matches!(error, Error::Outdated { change: "replaced", .. }), "{way}: {error}");
    }
}

/// Symbolic links lead to the same path.
#[test]
#[cfg(unix)]
fn a_file_is_known_by_any_of_its_paths() {
    use std::os::unix::fs::symlink;

    let (folder, path) = folder();
    let link = folder.path().join("link.gen5");
    symlink("run.gen5", &link).unwrap();
    for (read, written) in [(&path, &link), (&link, &path), (&link, &link)] {
        let reader = Reader::open(read).unwrap();
        WriteOptions::new()
            .create(written)
            .and_then(|writer| writer.rewrite(&reader, &with_prompt("mine")))
            .unwrap();
        assert_eq!(prompt(&path), "mine");
        WriteOptions::new()
            .create(&path)
            .and_then(|writer| writer.rewrite(&Reader::open(&path).unwrap(), &with_prompt("theirs")))
            .unwrap();
        let error = WriteOptions::new()
            .create(written)
            .and_then(|writer| writer.rewrite(&reader, &with_prompt("mine")))
            .unwrap_err();
        assert!(matches!(error, Error::Outdated { .. }), "{error}");
        assert_eq!(prompt(&path), "theirs");
    }
    // A link to another target names another file.
    let reader = Reader::open(&link).unwrap();
    fs::copy(&path, folder.path().join("other.gen5")).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("other.gen5", &link).unwrap();
    let error = WriteOptions::new()
        .create(&link)
        .and_then(|writer| writer.rewrite(&reader, &with_prompt("mine")))
        .unwrap_err();
    assert!(matches!(error, Error::Outdated { change: "replaced", .. }), "{error}");
    // Replacing a hard link leaves the other link with the old file.
    let twin = folder.path().join("twin.gen5");
    fs::hard_link(&path, &twin).unwrap();
    let reader = Reader::open(&path).unwrap();
    WriteOptions::new()
        .create(&path)
        .and_then(|writer| writer.rewrite(&reader, &with_prompt("mine")))
        .unwrap();
    assert_eq!((prompt(&path), prompt(&twin)), ("mine".into(), "theirs".into()));
}

/// Writing a copy to another path does not change the original.
#[test]
fn a_file_at_another_path_is_replaced_whatever_became_of_it() {
    let (folder, path) = folder();
    let other = folder.path().join("other.gen5");
    let reader = Reader::open(&path).unwrap();
    fs::write(&other, "old").unwrap();
    for way in ["rewrite", "finish_as"] {
        fs::write(&other, "newer").unwrap();
        replace(&reader, &other, way).unwrap();
        assert_eq!(prompt(&other), "mine", "{way}");
    }
    let bytes = Reader::from_bytes(fs::read(&path).unwrap()).unwrap();
    replace(&bytes, &other, "replacing").unwrap();
}

#[cfg(unix)]
mod locks {
    use super::*;

    fn locked(path: &Path, longest: u64) -> gen5::Result<Reader> {
        ReadOptions::new().lock(Duration::from_millis(longest)).open(path)
    }

    /// Each program reads the output of the one before it.
    #[test]
    fn programs_that_lock_a_file_change_it_one_after_the_other() {
        let (folder, path) = folder();
        let reader = Reader::open(&path).unwrap();
        WriteOptions::new()
            .create(&path)
            .and_then(|writer| writer.rewrite(&reader, &with_prompt("")))
            .unwrap();
        scope(|scope| {
            for thread in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..10 {
                        let reader = locked(path, 60_000).unwrap();
                        let before = reader.metadata().unwrap().model_info().prompt.clone();
                        let prompt = format!("{before} {thread}.{number}");
                        WriteOptions::new()
                            .create(path)
                            .and_then(|writer| writer.rewrite(&reader, &with_prompt(&prompt)))
                            .unwrap();
                    }
                });
            }
        });
        let found = prompt(&path);
        let mut words: Vec<&str> = found.split_whitespace().collect();
        words.sort_unstable();
        let all: Vec<String> =
            (0..4).flat_map(|thread| (0..10).map(move |number| format!("{thread}.{number}"))).collect();
        assert_eq!(words, all);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// A program fails and starts again whenever another was faster, but never reports success for
    /// a lost change.
    #[test]
    fn programs_that_lock_nothing_lose_no_change_without_a_word() {
        let (_folder, path) = folder();
        WriteOptions::new()
            .create(&path)
            .and_then(|writer| writer.rewrite(&Reader::open(&path).unwrap(), &with_prompt("")))
            .unwrap();
        let failed = AtomicUsize::new(0);
        scope(|scope| {
            for thread in 0..4 {
                let (path, failed) = (&path, &failed);
                scope.spawn(move || {
                    let mut number = 0;
                    while number < 50 {
                        let reader = Reader::open(path).unwrap();
                        let before = reader.metadata().unwrap().model_info().prompt.clone();
                        let prompt = with_prompt(&format!("{before} {thread}.{number}"));
                        match WriteOptions::new()
                            .sync(false)
                            .create(path)
                            .and_then(|writer| writer.rewrite(&reader, &prompt))
                        {
                            Ok(_) => number += 1,
                            Err(Error::Outdated { .. }) => _ = failed.fetch_add(1, Ordering::Relaxed),
                            Err(other) => panic!("{other}"),
                        }
                    }
                });
            }
        });
        let found = prompt(&path);
        let words: HashSet<&str> = found.split_whitespace().collect();
        assert_eq!((words.len(), found.split_whitespace().count()), (200, 200));
        assert!(failed.into_inner() > 0, "they never met");
    }

    #[test]
    fn who_waits_too_long_for_a_lock_is_told() {
        let (_folder, path) = folder();
        let holder = locked(&path, 0).unwrap();
        // The lock does not exclude readers.
        Reader::open(&path).unwrap().verify().unwrap();
        let start = Instant::now();
        let error = locked(&path, 200).unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(200));
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::TimedOut), "{error:?}");
        let expected =
            format!("could not lock {}: another program has kept it locked for 0.2 s", path.display());
        assert!(format!("{error:#}").starts_with(&expected), "{error}");

        // A latent keeps the file locked, as a clone of the reader does.
        let latent = holder.latents().next().unwrap();
        drop(holder);
        locked(&path, 0).unwrap_err();
        drop(latent);
        locked(&path, 0).unwrap();
    }

    #[test]
    fn waiting_for_a_lock_can_be_cancelled() {
        let (_folder, path) = folder();
        let _holder = locked(&path, 0).unwrap();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_cancelled);
        let options = ReadOptions::new().lock(Duration::from_secs(60));
        let options = options.cancel_when(move || asked.load(Ordering::Relaxed));
        scope(|scope| {
            scope.spawn(|| {
                sleep(Duration::from_millis(50));
                is_cancelled.store(true, Ordering::Relaxed);
            });
            assert!(matches!(options.open(&path), Err(Error::Cancelled)));
        });
    }

    /// The lock belongs to the file and not to its path, so the file that replaced it has a
    /// separate lock.
    #[test]
    fn who_gets_the_lock_of_a_file_that_was_replaced_takes_the_new_one() {
        let (_folder, path) = folder();
        let holder = locked(&path, 0).unwrap();
        scope(|scope| {
            let waiting = scope.spawn(|| locked(&path, 60_000).unwrap());
            sleep(Duration::from_millis(100));
            WriteOptions::new()
                .create(&path)
                .and_then(|writer| writer.rewrite(&holder, &with_prompt("mine")))
                .unwrap();
            drop(holder);
            let reader = waiting.join().unwrap();
            assert_eq!(reader.metadata().unwrap().model_info().prompt, "mine");
            WriteOptions::new()
                .create(&path)
                .and_then(|writer| writer.rewrite(&reader, &with_prompt("theirs")))
                .unwrap();
        });
        assert_eq!(prompt(&path), "theirs");
    }

    /// A writer that replaces the file unconditionally waits only a moment. The holder of the lock
    /// notices the change.
    #[test]
    fn a_file_that_is_locked_can_be_replaced_all_the_same() {
        let (_folder, path) = folder();
        let holder = locked(&path, 0).unwrap();
        let start = Instant::now();
        WriteOptions::new().create(&path).unwrap().finish(&metadata()).unwrap();
        assert!(start.elapsed() < Duration::from_secs(30));
        let error = WriteOptions::new()
            .create(&path)
            .and_then(|writer| writer.rewrite(&holder, &with_prompt("mine")))
            .unwrap_err();
        assert!(matches!(error, Error::Outdated { change: "replaced", .. }), "{error}");
    }
}
