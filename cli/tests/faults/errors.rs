//! Makes each system call fail that touches the destination or an input.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::scene::{LEFT, Scene, State, said};
use crate::strace::{Call, Target, strace, targets};

const ERRORS: [(&str, &str); 4] = [
    ("EIO", "Input/output error (os error 5)"),
    ("ENOSPC", "No space left on device (os error 28)"),
    ("EDQUOT", "Disk quota exceeded (os error 122)"),
    ("EINTR", "Interrupted system call (os error 4)"),
];

/// Whether a command fails without this call. Commands can do without the calls that look for
/// leftovers, and those that open a file without following links to lock it.
fn is_needed(call: &Call) -> bool {
    match &*call.name {
        "read" | "pread64" | "write" | "pwrite64" | "fsync" | "ftruncate" | "fchmod" | "mkdir" => true,
        "rename" | "renameat" | "renameat2" => true,
        "openat" => !call.arguments.contains("O_DIRECTORY") && !call.arguments.contains("O_NOFOLLOW"),
        _ => false,
    }
}

/// Makes a call fail and checks the files afterwards. Returns whether the command succeeded anyway.
fn fail(scene: &Scene, target: &Target, (error, reason): (&str, &str), times: &str) -> bool {
    let Target { call, nth } = target;
    scene.reset();
    let inject = format!("inject={}:error={error}:when={nth}{times}", call.name);
    let (ran, calls) = strace(scene, &["-e", &format!("trace={}", call.name), "-e", &inject]);
    let what = format!("{error} at {}{times} {}({}): {}", nth, call.name, call.arguments, said(&ran));
    let injected =
        calls.iter().find(|call| call.is_injected).unwrap_or_else(|| panic!("nothing failed: {what}"));
    assert!(injected.arguments.contains(&scene.place()), "{what}");

    let (state, left) = scene.state(&what);
    // A folder that cannot be opened cannot be emptied.
    let cannot_clean_up =
        times == "+" && scene.before.is_empty() && matches!(&*call.name, "openat" | "statx");
    assert!(left == 0 || cannot_clean_up && left == 1, "{} leaves {left}, {what}", scene.name);
    match ran.status.code() {
        Some(0) => {
            assert_eq!(state, State::After, "{}, {what}", scene.name);
            assert!(said(&ran).is_empty(), "{}, {what}", scene.name);
            return true;
        }
        // If every write fails, the error cannot be printed either.
        Some(1) if times == "+" && call.name == "write" => assert_eq!(state, State::Before, "{what}"),
        Some(1) => {
            let message = said(&ran);
            assert!(message.starts_with("gen5: ") && message.lines().count() == 1, "{what}");
            assert!(message.contains(&scene.place()) && message.contains(reason), "{what}");
            // The sync of the folder is the last step, when the new file is in place.
            let is_there =
                message.contains("the file is there, complete, but may not survive a power failure");
            assert_eq!(state, if is_there { State::After } else { State::Before }, "{}, {what}", scene.name);
            assert_eq!(is_there, call.name == "fsync" && !call.arguments.contains(".gen5-partial"), "{what}");
        }
        code => panic!("{}: {code:?}, {what}", scene.name),
    }
    false
}

fn all_fail(name: &'static str) {
    let scene = Scene::of(name);
    let targets = targets(&scene);
    let (mut runs, mut needed) = (0, 0);
    for target in &targets {
        let is_needed = is_needed(&target.call);
        needed += usize::from(is_needed);
        if !is_needed {
            fail(&scene, target, ERRORS[0], "");
            runs += 1;
            continue;
        }
        for error in ERRORS {
            // Interrupted calls are retried. Endless interruptions would therefore never end.
            let for_long = if error.0 == "EINTR" { format!("..{}", target.nth + 2) } else { "+".into() };
            for times in ["", &for_long] {
                let succeeded = fail(&scene, target, error, times);
                runs += 1;
                assert!(!succeeded || error.0 == "EINTR", "{name}: {:?} {error:?}", target.call);
            }
        }
    }
    scene.recovers();
    assert!(needed >= 6, "{name}: {needed}");
    println!("{name}: {} calls, {needed} of them needed, {runs} runs", targets.len());
}

#[test]
fn an_error_of_any_call_of_pack_leaves_what_was_there() {
    ["pack", "pack, new", "pack --compress"].into_iter().for_each(all_fail);
}

#[test]
fn an_error_of_any_call_of_repack_leaves_what_was_there() {
    all_fail("repack");
}

#[test]
fn an_error_of_any_call_of_other_commands_leaves_what_was_there() {
    ["set", "merge", "render", "unpack", "split"].into_iter().for_each(all_fail);
}

/// Files are moved one by one into an existing folder.
#[test]
fn in_a_folder_that_is_there_each_file_is_the_old_or_the_new_one() {
    let scene = Scene::of("unpack --force");
    let mut targets = targets(&scene);
    targets.retain(|target| target.call.name == "rename");
    assert_eq!(targets.len(), 3);
    for Target { nth, .. } in targets {
        for fault in ["error=EIO", "signal=KILL"] {
            scene.reset();
            let inject = format!("inject=rename:{fault}:when={nth}");
            let (ran, _) = strace(&scene, &["-e", "trace=rename", "-e", &inject]);
            let is_killed = fault == "signal=KILL";
            assert_eq!(ran.status.code(), if is_killed { None } else { Some(1) }, "{ran:?}");
            let tree = scene.tree();
            assert!(scene.before.keys().all(|name| tree.contains_key(name)));
            for (name, bytes) in tree.iter().filter(|(name, _)| !name.contains(LEFT)) {
                let is_whole = [&scene.before, &scene.after].iter().any(|tree| tree.get(name) == Some(bytes));
                assert!(is_whole, "{fault} at rename {nth}: {name}");
            }
            assert_eq!(tree.keys().any(|name| name.contains(LEFT)), is_killed, "{fault} at rename {nth}");
            // The next run removes the leftovers and completes the folder.
            assert!(scene.command(&[]).output().unwrap().status.success());
            assert_eq!(scene.tree(), scene.after, "{fault} at rename {nth}");
        }
    }
}

/// Makes all calls of some names fail and checks the files. Returns the exit code.
fn refuse_all(scene: &Scene, names: &str, error: &str) -> Option<i32> {
    let inject = format!("inject={names}:error={error}");
    let (ran, calls) = strace(scene, &["-e", &format!("trace={names}"), "-e", &inject]);
    assert!(calls.iter().any(|call| call.is_injected), "{names}, {error}");
    let expected = if ran.status.success() { State::After } else { State::Before };
    let what = format!("{}, {names}, {error}: {ran:?}", scene.name);
    assert_eq!(scene.state(&what), (expected, 0), "{what}");
    ran.status.code()
}

/// Some file systems support neither links nor a rename that fails if the name exists.
#[test]
fn where_nothing_keeps_a_name_it_is_taken_first() {
    for (name, calls) in
        [("pack, new", "renameat2,link,linkat"), ("unpack", "renameat2"), ("split", "renameat2")]
    {
        let scene = Scene::of(name);
        for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
            scene.reset();
            assert_eq!(refuse_all(&scene, calls, error), Some(0), "{name}, {error}");
        }
    }
}

/// An empty folder already exists, so files are moved into it one by one.
#[test]
fn where_nothing_keeps_a_name_files_are_moved_all_the_same() {
    let scene = Scene::of("unpack, without --force");
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        scene.reset();
        std::fs::create_dir(scene.there().join("out")).unwrap();
        assert_eq!(refuse_all(&scene, "renameat2,link,linkat", error), Some(0), "{error}");
    }
}

/// If moving a file into an empty folder fails, the files moved before are removed.
#[test]
fn in_an_empty_folder_there_are_all_files_or_none() {
    let scene = Scene::of("unpack, without --force");
    let out = scene.there().join("out");
    for nth in 1..=3 {
        scene.reset();
        std::fs::create_dir(&out).unwrap();
        let inject = format!("inject=renameat2:error=EIO:when={nth}");
        let (ran, _) = strace(&scene, &["-e", "trace=renameat2", "-e", &inject]);
        assert_eq!(ran.status.code(), Some(1), "{nth}: {ran:?}");
        assert!(
            said(&ran).contains("could not write ") && said(&ran).contains("os error 5"),
            "{nth}: {ran:?}"
        );
        assert_eq!(scene.state("taken back"), (State::Before, 0), "{nth}");
        assert_eq!(crate::support::names(&out), [""; 0], "{nth}");
    }
}

/// Some file systems and sandboxes forbid changes of permissions. A private file stays private, and
/// a readable one becomes readable only by its owner.
#[test]
fn where_permissions_cannot_be_changed_nobody_gains_any() {
    for name in ["pack", "set", "render"] {
        let scene = Scene::of(name);
        for error in ["EPERM", "ENOSYS", "EOPNOTSUPP"] {
            scene.reset();
            assert_eq!(refuse_all(&scene, "fchmod", error), Some(0), "{name}, {error}");
        }
    }
    let scene = Scene::of("pack");
    let path = scene.there().join("x.gen5");
    let set = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    for (mode, code) in [(0o644, Some(0)), (0o4755, Some(0)), (0o400, Some(1)), (0, Some(1))] {
        scene.reset();
        set(mode);
        let (ran, _) = strace(&scene, &["-e", "trace=fchmod", "-e", "inject=fchmod:error=EPERM"]);
        assert_eq!(ran.status.code(), code, "{mode:o}: {ran:?}");
        let now = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(now, if code == Some(0) { 0o600 } else { mode }, "{mode:o}");
        set(0o600);
        let expected = if code == Some(0) { State::After } else { State::Before };
        assert_eq!(scene.state("without fchmod"), (expected, 0), "{mode:o}");
    }
}

/// Some file systems do not support a rename that fails if the name exists.
#[test]
fn where_a_name_cannot_be_kept_by_renaming_it_is_by_a_link() {
    let scene = Scene::of("pack, new");
    let is_rename = |target: &Target| target.call.name.starts_with("rename");
    let target = targets(&scene).into_iter().find(is_rename).unwrap();
    assert!(target.call.arguments.contains("RENAME_NOREPLACE"), "{:?}", target.call);
    for error in ["EINVAL", "ENOSYS"] {
        assert!(fail(&scene, &target, (error, ""), "+"), "{error}");
    }
}

/// Some file systems cannot sync a folder and return an error.
#[test]
fn a_folder_that_cannot_be_synced_is_no_error() {
    let scene = Scene::of("pack");
    let folder = |target: &Target| target.call.name == "fsync" && !target.call.arguments.contains("partial");
    let target = targets(&scene).into_iter().find(folder).unwrap();
    for error in ["EINVAL", "EOPNOTSUPP"] {
        assert!(fail(&scene, &target, (error, ""), ""), "{error}");
    }
}

/// Some network file systems have no locks.
#[test]
fn where_there_are_no_locks_nothing_is_taken_away() {
    let scene = Scene::of("pack");
    scene.reset();
    let left = scene.there().join(".x.gen5.aaaaaa.gen5-partial");
    std::fs::write(&left, "half").unwrap();
    let (ran, calls) = strace(&scene, &["-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"]);
    assert!(
        ran.status.success() && calls.len() == 3 && calls.iter().all(|call| call.is_injected),
        "{calls:?}"
    );
    assert_eq!(scene.state("without locks"), (State::After, 1));
    scene.recovers();
}
