//! Finds programs on `PATH`, only in absolute paths. Systems also search the working folder: for
//! empty and relative entries, and on Windows before any entry.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The result of a search on `PATH`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lookup {
    /// The program in the first absolute entry that has it.
    pub(super) program: Option<PathBuf>,
    /// Earlier relative entries that also have it.
    pub(super) passed_over: Vec<PathBuf>,
}

/// Finds the program with this name, an executable regular file. Empty entries of `path` are
/// ignored.
pub(super) fn find(name: &OsStr, path: &OsStr) -> Lookup {
    let mut lookup = Lookup::default();
    for folder in env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty()) {
        let program = folder.join(name);
        if folder.is_absolute() {
            lookup.program = which::which_global(program).ok();
        } else if which::which(program).is_ok() {
            lookup.passed_over.push(folder);
        }
        if lookup.program.is_some() {
            break;
        }
    }
    lookup
}

/// Returns the absolute entries of a list such as `PATH`, and the relative ones.
pub(super) fn absolute_entries(list: &OsStr) -> (Vec<PathBuf>, Vec<PathBuf>) {
    env::split_paths(list)
        .filter(|entry| !entry.as_os_str().is_empty())
        .partition(|entry| entry.is_absolute())
}

/// Returns a path for a message.
pub(super) fn shown(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_first_regular_file_that_may_be_executed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |name: &str| folder.path().join(name);
        for name in ["none", "folder", "data", "link", "first", "second"] {
            fs::create_dir(entry(name)).unwrap();
        }
        fs::create_dir(entry("folder/p")).unwrap();
        for (name, mode) in [("data", 0o644), ("first", 0o755), ("second", 0o755)] {
            fs::write(entry(name).join("p"), "").unwrap();
            fs::set_permissions(entry(name).join("p"), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("nowhere", entry("link/p")).unwrap();
        let path = |names: &[&str]| env::join_paths(names.iter().map(|name| entry(name))).unwrap();
        let all = path(&["missing", "none", "folder", "data", "link", "first", "second"]);
        let program = |name: &str| Lookup { program: Some(entry(name).join("p")), passed_over: Vec::new() };
        assert_eq!(find("p".as_ref(), &all), program("first"));
        assert_eq!(find("p".as_ref(), &path(&["second", "first"])), program("second"));
        assert_eq!(find("p".as_ref(), &path(&["none", "data"])), Lookup::default());
    }

    #[test]
    fn entries_that_are_not_absolute_are_passed_over() {
        // Tests run in the folder of the crate: a relative path from there to a program.
        let program = fs::canonicalize("/bin/sh").unwrap();
        let folder = program.parent().unwrap();
        let name = program.file_name().unwrap();
        let depth = env::current_dir().unwrap().components().count() - 1;
        let relative = PathBuf::from("../".repeat(depth)).join(folder.strip_prefix("/").unwrap());
        assert!(relative.join(name).is_file() && relative.is_relative());
        let list = |parts: &[&OsStr]| parts.join(OsStr::new(":"));
        let lookup = |list: OsString| find(name, &list);

        let passed_over = vec![relative.clone()];
        assert_eq!(
            lookup(relative.clone().into()),
            Lookup { program: None, passed_over: passed_over.clone() }
        );
        let relative = relative.as_os_str();
        let absolute = folder.as_os_str();
        let there = Some(program.clone());
        let before = list(&["".as_ref(), "src".as_ref(), relative, absolute]);
        assert_eq!(lookup(before), Lookup { program: there.clone(), passed_over });
        let behind = list(&[absolute, relative, "".as_ref()]);
        assert_eq!(lookup(behind), Lookup { program: there, passed_over: Vec::new() });
        // Other programs treat an empty entry as the working folder.
        assert_eq!(find("Cargo.toml".as_ref(), ":".as_ref()), Lookup::default());
        assert_eq!(find("Cargo.toml".as_ref(), "".as_ref()), Lookup::default());
    }
}
