//! Files written to a path: either complete under their name, or absent.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use gen5::{Error, Reader, WriteOptions};
use gen5_publish::{Draft, DraftFolder, abandon_drafts};

use crate::support::{metadata, noise};

/// An empty folder, and a path in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes a file whose only latent, `x`, is one number.
fn publish(path: &Path, value: f32) -> gen5::Result<()> {
    let mut writer = WriteOptions::new().create(path)?;
    writer.latent("x", &[], &[value])?;
    writer.finish(&metadata()).map(|_| ())
}

fn value(path: &Path) -> f32 {
    let reader = Reader::open(path).unwrap();
    reader.verify().unwrap();
    reader.latent("x").unwrap().read::<f32>().unwrap()[0]
}

/// The I/O error kind of the errors of both crates.
trait OfSystem: std::fmt::Debug {
    fn kind(&self) -> Option<ErrorKind>;
}

impl OfSystem for Error {
    fn kind(&self) -> Option<ErrorKind> {
        self.io_kind()
    }
}

impl OfSystem for gen5_publish::Error {
    fn kind(&self) -> Option<ErrorKind> {
        if let Self::Io { source, .. } = self { Some(source.kind()) } else { None }
    }
}

#[track_caller]
fn io_kind<T>(result: Result<T, impl OfSystem>) -> ErrorKind {
    let error = result.map(|_| ()).unwrap_err();
    error.kind().unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn nothing_has_the_name_before_the_file_is_finished() {
    for sync in [true, false] {
        let (folder, path) = folder();
        let mut writer = WriteOptions::new().sync(sync).create(&path).unwrap();
        writer.latent("x", &[100], &noise(1, 100)).unwrap();
        assert!(!path.exists());
        let temporary = names(folder.path());
        assert_eq!(temporary.len(), 1);
        assert!(
            temporary[0].starts_with(".x.gen5.") && temporary[0].ends_with(".gen5-partial"),
            "{temporary:?}"
        );
        let error = Reader::open(folder.path().join(&temporary[0])).unwrap_err();
        assert!(matches!(error, Error::NotGen5 { .. }), "what is not finished is no file: {error}");

        let summary = writer.finish(&metadata()).unwrap();
        assert_eq!(names(folder.path()), ["x.gen5"]);
        assert_eq!(fs::metadata(&path).unwrap().len(), summary.file_size);
        Reader::open(&path).unwrap().verify().unwrap();
    }
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let (folder, path) = folder();
    let mut writer = WriteOptions::new().create(&path).unwrap();
    writer.latent("x", &[3], &noise(1, 3)).unwrap();
    let stream = writer.stream::<f32>("y", &[3]).unwrap();
    drop(writer);
    drop(stream);
    assert_eq!(names(folder.path()), [""; 0]);

    publish(&path, 1.0).unwrap();
    drop(WriteOptions::new().create(&path).unwrap());
    assert_eq!((names(folder.path()), value(&path)), (vec!["x.gen5".into()], 1.0));
}

#[test]
fn a_finish_that_fails_leaves_what_was_there() {
    let (folder, path) = folder();
    publish(&path, 1.0).unwrap();
    let mut writer = WriteOptions::new().create(&path).unwrap();
    drop(writer.stream::<f32>("y", &[3]).unwrap());
    assert!(matches!(writer.finish(&metadata()), Err(Error::Incomplete { .. })));
    assert_eq!((names(folder.path()), value(&path)), (vec!["x.gen5".into()], 1.0));
}

#[test]
fn create_new_refuses_what_is_there_already() {
    let (folder, path) = folder();
    fs::write(&path, "precious").unwrap();
    assert_eq!(io_kind(WriteOptions::new().create_new(&path)), ErrorKind::AlreadyExists);
    assert_eq!((names(folder.path()), &*fs::read(&path).unwrap()), (vec!["x.gen5".into()], &b"precious"[..]));
    assert_eq!(io_kind(WriteOptions::new().create_new(folder.path())), ErrorKind::InvalidInput);
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(io_kind(WriteOptions::new().create_new(&link)), ErrorKind::AlreadyExists);
    }
}

#[test]
fn create_new_refuses_what_appears_meanwhile() {
    let (folder, path) = folder();
    let mut writer = WriteOptions::new().create_new(&path).unwrap();
    writer.latent("x", &[3], &noise(1, 3)).unwrap();
    fs::write(&path, "precious").unwrap();
    assert_eq!(io_kind(writer.finish(&metadata())), ErrorKind::AlreadyExists);
    assert_eq!((names(folder.path()), &*fs::read(&path).unwrap()), (vec!["x.gen5".into()], &b"precious"[..]));

    let (folder, path) = self::folder();
    WriteOptions::new().create_new(&path).unwrap().finish(&metadata()).unwrap();
    assert_eq!(names(folder.path()), ["x.gen5"]);
}

#[test]
fn of_two_writers_to_one_path_the_last_to_finish_wins_whole() {
    let (folder, path) = folder();
    let mut first = WriteOptions::new().create(&path).unwrap();
    let mut second = WriteOptions::new().create(&path).unwrap();
    first.latent("x", &[], &[1.0_f32]).unwrap();
    second.latent("x", &[], &[2.0_f32]).unwrap();
    second.finish(&metadata()).unwrap();
    assert_eq!(value(&path), 2.0);
    first.finish(&metadata()).unwrap();
    assert_eq!((names(folder.path()), value(&path)), (vec!["x.gen5".into()], 1.0));
}

#[test]
fn a_draft_is_a_file_of_any_kind() {
    let (folder, path) = folder();
    let mut draft = Draft::create_new(&path).unwrap();
    draft.write_all(b"some").unwrap();
    assert!(!path.exists());
    drop(draft);
    assert_eq!(names(folder.path()), [""; 0]);
    for (text, is_new) in [("new", true), ("other", false)] {
        let mut draft = if is_new { Draft::create_new(&path) } else { Draft::create(&path) }.unwrap();
        draft.write_all(text.as_bytes()).unwrap();
        draft.publish().unwrap();
        assert_eq!(
            (names(folder.path()), fs::read_to_string(&path).unwrap()),
            (vec!["x.gen5".into()], text.into())
        );
    }
    assert_eq!(io_kind(Draft::create_new(&path)), ErrorKind::AlreadyExists);
    assert_eq!(io_kind(Draft::create(folder.path())), ErrorKind::InvalidInput);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_file_has_the_permissions_of_any_new_file() {
        let (folder, path) = folder();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        publish(&path, 1.0).unwrap();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_permissions() {
        let (_folder, path) = folder();
        for bits in [0o600, 0o640, 0o666, 0o755] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            publish(&path, 2.0).unwrap();
            assert_eq!((mode(&path), value(&path)), (bits, 2.0));
        }
    }

    /// The new content of a private file must stay private while it is written.
    #[test]
    fn what_is_to_replace_a_file_is_its_owners_alone_until_it_does() {
        let (folder, path) = folder();
        fs::write(&path, "old").unwrap();
        let _draft = Draft::create(&path).unwrap();
        let temporary = names(folder.path()).into_iter().find(|name| name != "x.gen5").unwrap();
        assert_eq!(mode(&folder.path().join(temporary)), 0o600);
    }

    /// If something other than a file appears at the path while the draft is written, it is not
    /// replaced.
    #[test]
    fn what_came_meanwhile_and_is_no_file_stays() {
        let (folder, path) = folder();
        let draft = Draft::create(&path).unwrap();
        symlink("elsewhere", &path).unwrap();
        assert!(format!("{:#}", draft.publish().unwrap_err()).contains("not a regular file"));
        assert_eq!(fs::read_link(&path).unwrap().to_str(), Some("elsewhere"));
        assert_eq!(names(folder.path()), ["x.gen5"]);
    }

    /// Only root can change the owner of a file. Other users check here that nothing changes.
    #[test]
    fn a_file_that_is_replaced_keeps_its_owner_where_the_system_permits_that() {
        let (_folder, path) = folder();
        let ids = |path: &Path| fs::metadata(path).map(|there| (there.uid(), there.gid())).unwrap();
        publish(&path, 1.0).unwrap();
        let own = ids(&path);
        let is_root = std::os::unix::fs::chown(&path, Some(12345), Some(23456)).is_ok();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        publish(&path, 2.0).unwrap();
        assert_eq!(ids(&path), if is_root { (12345, 23456) } else { own });
        assert_eq!((mode(&path), value(&path)), (0o640, 2.0));
    }

    #[test]
    fn a_symbolic_link_stays_one_and_its_target_is_replaced() {
        let (folder, _) = folder();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let target = inner.join("target.gen5");
        publish(&target, 1.0).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        let (link, twice) = (folder.path().join("link"), folder.path().join("twice"));
        symlink("inner/target.gen5", &link).unwrap();
        symlink("link", &twice).unwrap();

        for (number, path) in [(2.0, &link), (3.0, &twice)] {
            let writer = WriteOptions::new().create(path).unwrap();
            assert_eq!(names(&inner).len(), 2, "the temporary file is beside the target, on its file system");
            drop(writer);
            publish(path, number).unwrap();
            assert!(fs::symlink_metadata(path).unwrap().is_symlink());
            assert_eq!((value(&target), value(path), mode(&target)), (number, number, 0o600));
        }
        assert_eq!((names(&inner), names(folder.path()).len()), (vec!["target.gen5".into()], 3));
    }

    #[test]
    fn what_is_no_regular_file_is_not_replaced() {
        let (folder, path) = folder();
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&*path, &pipe, folder.path(), Path::new("/dev/null")] {
            assert_eq!(io_kind(Draft::create(path)), ErrorKind::InvalidInput, "{}", path.display());
            assert_eq!(io_kind(WriteOptions::new().create(path)), ErrorKind::InvalidInput);
        }
        assert_eq!(names(folder.path()), ["pipe", "x.gen5"]);
        assert!(!fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_link_to_nothing_is_refused() {
        let (folder, path) = folder();
        symlink("nowhere.gen5", &path).unwrap();
        let error = WriteOptions::new().create(&path).unwrap_err();
        assert!(format!("{error:#}").contains("the path is a symbolic link to a missing file"), "{error}");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["x.gen5"]);
    }

    #[test]
    fn a_link_to_a_folder_is_refused() {
        let (folder, path) = folder();
        symlink(".", &path).unwrap();
        let error = WriteOptions::new().create(&path).unwrap_err();
        assert!(format!("{error:#}").contains("the path exists, but is not a regular file"), "{error}");
        assert_eq!(names(folder.path()), ["x.gen5"]);
    }
}

#[test]
fn a_folder_appears_when_it_is_complete() {
    let (folder, _) = folder();
    let path = folder.path().join("out");
    let draft = DraftFolder::create(&path).unwrap();
    let temporary = names(folder.path());
    assert!(temporary[0].starts_with(".out.") && temporary[0].ends_with(".gen5-partial"), "{temporary:?}");
    fs::write(draft.path().join("a"), "a").unwrap();
    drop(draft);
    assert_eq!(names(folder.path()), [""; 0]);

    let draft = DraftFolder::create(&path).unwrap();
    fs::write(draft.path().join("a"), "a").unwrap();
    draft.publish().unwrap();
    assert_eq!((names(folder.path()), names(&path)), (vec!["out".into()], vec!["a".into()]));

    let draft = DraftFolder::create(&path).unwrap();
    assert_eq!(draft.path().parent(), Some(&*path), "inside of what is there");
    draft.publish().unwrap_err();
    assert_eq!(names(&path), ["a"]);
    assert_eq!(io_kind(DraftFolder::create(path.join("a/b"))), ErrorKind::NotADirectory);
    assert_eq!(io_kind(DraftFolder::create(folder.path().join("no/out"))), ErrorKind::NotFound);
}

/// Creates something at a path.
type Make = fn(&Path) -> std::io::Result<()>;

/// A plain rename would replace an empty folder.
#[test]
fn a_new_folder_replaces_nothing() {
    let (folder, _) = folder();
    let path = folder.path().join("out");
    let made: &[(&str, Make)] = &[
        ("an empty folder", |path| fs::create_dir(path)),
        ("a folder", |path| fs::create_dir(path).and_then(|()| fs::write(path.join("b"), "precious"))),
        ("a file", |path| fs::write(path, "precious")),
        #[cfg(unix)]
        ("a link to nothing", |path| std::os::unix::fs::symlink("nowhere", path)),
    ];
    for (what, make) in made {
        let draft = DraftFolder::create(&path).unwrap();
        assert!(!draft.is_inside());
        fs::write(draft.path().join("a"), "a").unwrap();
        make(&path).unwrap();
        let inode = fs::symlink_metadata(&path).map(|there| format!("{there:?}")).unwrap();
        let error = draft.publish().unwrap_err();
        assert_eq!(inode, fs::symlink_metadata(&path).map(|there| format!("{there:?}")).unwrap(), "{what}");
        let message = "out: it already exists, created by another program in the meantime";
        assert!(format!("{error:#}").ends_with(message), "{what}: {error}");
        assert_eq!(names(folder.path()), ["out"], "{what}");
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
    }
}

#[test]
fn of_several_folders_of_one_name_one_is_published() {
    let (folder, _) = folder();
    let path = folder.path().join("out");
    for _ in 0..50 {
        let drafts: Vec<DraftFolder> = (0..4).map(|_| DraftFolder::create(&path).unwrap()).collect();
        for (number, draft) in drafts.iter().enumerate() {
            fs::write(draft.path().join(number.to_string()), "").unwrap();
        }
        let published: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                drafts.into_iter().map(|draft| scope.spawn(|| draft.publish().is_ok())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..4).filter(|number| published[*number]).collect();
        assert_eq!(winners.len(), 1, "{published:?}");
        assert_eq!((names(folder.path()), names(&path)), (vec!["out".into()], vec![winners[0].to_string()]));
        fs::remove_dir_all(&path).unwrap();
    }
}

/// A draft for an existing folder, with files at its top and in inner folders.
fn draft_inside(path: &Path) -> DraftFolder {
    fs::create_dir_all(path).unwrap();
    let draft = DraftFolder::create(path).unwrap();
    assert!(draft.is_inside());
    fs::create_dir_all(draft.path().join("inner/most")).unwrap();
    for name in ["a", "b", "inner/c", "inner/most/d"] {
        fs::write(draft.path().join(name), "new").unwrap();
    }
    draft
}

#[test]
fn files_are_moved_into_a_folder_that_is_there() {
    let (folder, _) = folder();
    let path = folder.path().join("out");
    for replace in [false, true] {
        draft_inside(&path).publish_files(replace).unwrap();
        assert_eq!(names(&path), ["a", "b", "inner"]);
        assert_eq!(names(&path.join("inner")), ["c", "most"]);
        assert_eq!(fs::read_to_string(path.join("inner/most/d")).unwrap(), "new");
        fs::write(path.join("b"), "old").unwrap();
        assert_eq!(io_kind(draft_inside(&path).publish_files(false)), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(path.join("b")).unwrap(), "old");
        draft_inside(&path).publish_files(true).unwrap();
        assert_eq!(fs::read_to_string(path.join("b")).unwrap(), "new");
        fs::remove_dir_all(&path).unwrap();
    }
}

/// The obstacle appears after the check for obstacles, when some files were already moved.
#[test]
fn files_that_were_moved_are_taken_back_when_something_is_in_the_way_of_others() {
    let (folder, _) = folder();
    let path = folder.path().join("out");
    let mine = path.join("z");
    for _ in 0..50 {
        let draft = draft_inside(&path);
        for number in 0..2000 {
            fs::write(draft.path().join(format!("f{number:04}")), "new").unwrap();
        }
        fs::write(draft.path().join("z"), "new").unwrap();
        let (moved, is_mine) = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                while !path.join("f0000").exists() {
                    std::thread::yield_now();
                }
                fs::File::create_new(&mine).and_then(|mut file| file.write_all(b"precious")).is_ok()
            });
            (draft.publish_files(false), other.join().unwrap())
        });
        if is_mine {
            let error = moved.unwrap_err();
            let message = "out/z: it already exists, created by another program in the meantime";
            assert!(format!("{error:#}").ends_with(message), "{error}");
            assert_eq!((names(&path), &*fs::read(&mine).unwrap()), (vec!["z".into()], &b"precious"[..]));
            return;
        }
        moved.unwrap();
        fs::remove_dir_all(&path).unwrap();
    }
    panic!("it never came in time");
}

/// Leftovers of killed processes are recognized because no process holds their lock.
#[cfg(target_os = "linux")]
mod leftovers {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next_of_its_name() {
        let (folder, path) = folder();
        let left = [".x.gen5.aaaaaa.gen5-partial", ".x.gen5.bbbbbb.gen5-partial"];
        for name in left {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        let draft = Draft::create(&path).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(draft);

        let path = folder.path().join("out");
        for (place, name) in
            [(folder.path(), ".out.aaaaaa.gen5-partial"), (&path, ".out.bbbbbb.gen5-partial")]
        {
            fs::create_dir_all(place.join(name).join("latents")).unwrap();
            fs::write(place.join(name).join("latents/a.npy"), "half").unwrap();
        }
        drop(DraftFolder::create(&path).unwrap());
        assert_eq!(names(&path), [""; 0], "inside of what is there");
        fs::remove_dir(&path).unwrap();
        drop(DraftFolder::create(&path).unwrap());
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn what_a_living_writer_holds_stays() {
        let (folder, path) = folder();
        let mut writer = WriteOptions::new().create(&path).unwrap();
        let held = names(folder.path());
        drop(Draft::create(&path).unwrap());
        publish(&path, 2.0).unwrap();
        assert_eq!((names(folder.path()), value(&path)), ([&*held, &["x.gen5".into()]].concat(), 2.0));
        writer.latent("x", &[], &[1.0_f32]).unwrap();
        writer.finish(&metadata()).unwrap();
        assert_eq!((names(folder.path()), value(&path)), (vec!["x.gen5".into()], 1.0));

        let path = folder.path().join("out");
        let (first, second) = (DraftFolder::create(&path).unwrap(), DraftFolder::create(&path).unwrap());
        assert!(first.path().exists() && second.path().exists());
    }

    #[test]
    fn only_what_can_be_nothing_else_goes() {
        let (folder, path) = folder();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("precious"), "precious").unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink(elsewhere.path().join("precious"), at(".x.gen5.aaaaaa.gen5-partial")).unwrap();
        symlink(elsewhere.path(), at(".x.gen5.bbbbbb.gen5-partial")).unwrap();
        fs::create_dir(at(".x.gen5.cccccc.gen5-partial")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(at(".x.gen5.dddddd.gen5-partial")).unwrap();
        for name in
            [".y.gen5.aaaaaa.gen5-partial", ".x.gen5.aaaaaaa.gen5-partial", "x.gen5.aaaaaa.gen5-partial"]
        {
            fs::write(at(name), "another's").unwrap();
        }
        let before = names(folder.path());
        drop(Draft::create(&path).unwrap());
        assert_eq!(names(folder.path()), before);

        fs::write(at(".x.gen5.eeeeee.gen5-partial"), "half").unwrap();
        fs::remove_dir(at(".x.gen5.cccccc.gen5-partial")).unwrap();
        let before = names(folder.path());
        drop(DraftFolder::create(&path).unwrap());
        assert_eq!(names(folder.path()), before, "a file is not what a folder has left");
        assert_eq!(names(elsewhere.path()), ["precious"]);
        drop(socket);
    }

    #[test]
    fn many_writers_to_one_path_take_nothing_from_each_other() {
        let (folder, path) = folder();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|at| publish(path, (thread * 50 + at) as f32).unwrap()));
            }
        });
        assert_eq!(names(folder.path()), ["x.gen5"]);
        assert!((0.0..400.0).contains(&value(&path)));
    }
}

#[test]
fn a_map_of_a_file_outlives_its_replacement() {
    let (_folder, path) = folder();
    let values = noise(1, 100_000);
    let mut writer = WriteOptions::new().create(&path).unwrap();
    writer.latent("x", &[100_000], &values).unwrap();
    writer.finish(&metadata()).unwrap();
    // SAFETY: the file is replaced by renaming, not written to.
    #[allow(unsafe_code)]
    let old = unsafe { Reader::map(&path) }.unwrap();
    let opened = Reader::open(&path).unwrap();
    publish(&path, 2.0).unwrap();
    assert_eq!(old.slice::<f32>("x").unwrap(), values);
    assert_eq!(*opened.latent("x").unwrap().read::<f32>().unwrap(), values);
    old.verify().unwrap();
    assert_eq!(value(&path), 2.0);
}

#[test]
fn a_file_may_be_written_over_the_one_that_is_being_read() {
    let (_folder, path) = folder();
    publish(&path, 1.0).unwrap();
    // SAFETY: the file is replaced by renaming, not written to.
    #[allow(unsafe_code)]
    let old = unsafe { Reader::map(&path) }.unwrap();
    let mut writer = WriteOptions::new().create(&path).unwrap();
    writer.latent("x", &[], old.slice::<f32>("x").unwrap()).unwrap();
    writer.latent("y", &[], old.slice::<f32>("x").unwrap()).unwrap();
    writer.finish(&old.metadata().unwrap()).unwrap();
    assert_eq!(value(&path), 1.0);
    assert_eq!(Reader::open(&path).unwrap().latents().len(), 2);
}

#[test]
fn a_path_that_cannot_be_written_is_refused_at_once() {
    let (folder, path) = folder();
    fs::write(&path, "a file").unwrap();
    let missing = folder.path().join("missing").join("x.gen5");
    for (path, kind, kind_if_new) in [
        (path.join("x.gen5"), ErrorKind::NotADirectory, ErrorKind::NotADirectory),
        (missing, ErrorKind::NotFound, ErrorKind::NotFound),
        (folder.path().to_owned(), ErrorKind::InvalidInput, ErrorKind::InvalidInput),
        (folder.path().join(".."), ErrorKind::InvalidInput, ErrorKind::InvalidInput),
        (PathBuf::new(), ErrorKind::InvalidInput, ErrorKind::InvalidInput),
        // These paths name a folder, whether it exists or not.
        (folder.path().join("new.gen5/"), ErrorKind::InvalidInput, ErrorKind::InvalidInput),
        (folder.path().join("new.gen5/."), ErrorKind::InvalidInput, ErrorKind::InvalidInput),
        (PathBuf::from("."), ErrorKind::InvalidInput, ErrorKind::InvalidInput),
    ] {
        assert_eq!(io_kind(WriteOptions::new().create(&path)), kind, "{}", path.display());
        assert_eq!(io_kind(WriteOptions::new().create_new(&path)), kind_if_new, "{}", path.display());
    }
    assert_eq!((names(folder.path()), &*fs::read(&path).unwrap()), (vec!["x.gen5".into()], &b"a file"[..]));
}

#[test]
fn a_relative_path_may_have_no_folder() {
    // Tests run in the package's folder, so the name is unique and the file is removed at the end.
    let name = format!("publishing-{}.gen5", std::process::id());
    let path = Path::new(&name);
    let written = publish(path, 3.0);
    let read = written.as_ref().ok().map(|()| value(path));
    let there = fs::remove_file(path);
    written.unwrap();
    there.unwrap();
    assert_eq!(read, Some(3.0));
}

#[test]
fn names_of_any_characters_are_written() {
    let (folder, _) = folder();
    for name in ["a b.gen5", "日本.gen5", ".hidden", "no extension", "-x", &"n".repeat(200)] {
        publish(&folder.path().join(name), 1.0).unwrap();
        assert_eq!(value(&folder.path().join(name)), 1.0);
    }
    #[cfg(unix)]
    {
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.gen5");
        publish(&folder.path().join(name), 1.0).unwrap();
        assert_eq!(value(&folder.path().join(name)), 1.0);
    }
}

#[test]
fn the_longest_name_that_the_file_system_takes_is_written() {
    let (folder, _) = folder();
    let path = folder.path().join("n".repeat(255));
    fs::write(&path, "possible").unwrap();
    fs::remove_file(&path).unwrap();
    publish(&path, 1.0).unwrap();
    assert_eq!(value(&path), 1.0);
}

/// All tests of a process share its working directory, so this test starts another process.
#[test]
#[cfg(unix)]
fn a_relative_path_is_meant_as_it_was_given() {
    const MARK: &str = "GEN5_TEST_RELATIVE_PATH";
    if let Some(folder) = std::env::var_os(MARK) {
        let folder = Path::new(&folder);
        std::env::set_current_dir(folder.join("a")).unwrap();
        let mut writer = WriteOptions::new().create("x.gen5").unwrap();
        std::env::set_current_dir(folder.join("b")).unwrap();
        writer.latent("x", &[1], &[1.0_f32]).unwrap();
        writer.finish(&metadata()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let name = "publishing::a_relative_path_is_meant_as_it_was_given";
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(MARK, folder.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(names(&folder.path().join("a")), ["x.gen5"]);
    assert!(names(&folder.path().join("b")).is_empty());
}

/// The call affects all drafts of the process, so the test starts another process.
#[test]
fn abandoned_drafts_are_gone_and_not_published() {
    const INNER: &str = "GEN5_ABANDON_IN";
    let Some(folder) = std::env::var_os(INNER) else {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.gen5"), "old").unwrap();
        let own = std::env::current_exe().unwrap();
        let test = "publishing::abandoned_drafts_are_gone_and_not_published";
        let ran = std::process::Command::new(own)
            .args([test, "--exact"])
            .env(INNER, folder.path())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        assert_eq!(names(folder.path()), ["done.txt", "old.gen5"]);
        assert_eq!(fs::read_to_string(folder.path().join("old.gen5")).unwrap(), "old");
        return;
    };
    let path = |name: &str| Path::new(&folder).join(name);
    let done = Draft::create_new(path("done.txt")).unwrap();
    let draft = Draft::create_new(path("new.txt")).unwrap();
    let inner = DraftFolder::create(path("new")).unwrap();
    fs::write(inner.path().join("x"), "text").unwrap();
    let mut writer = WriteOptions::new().create(path("old.gen5")).unwrap();
    writer.latent("x", &[1], &[1.0_f32]).unwrap();
    done.publish().unwrap();
    abandon_drafts();
    assert_eq!(names(Path::new(&folder)), ["done.txt", "old.gen5"]);
    let later = Draft::create(path("later.txt")).unwrap().publish();
    for failed in [draft.publish(), inner.publish(), later] {
        assert!(format!("{:#}", failed.unwrap_err()).ends_with("the process is ending"));
    }
    let failed = writer.finish(&metadata()).unwrap_err();
    assert!(format!("{failed:#}").ends_with("the process is ending"));
}
