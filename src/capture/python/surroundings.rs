//! The environment variables of an interpreter, without those that would make it run code from the
//! working folder.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::lookup::{absolute_entries, shown};

/// Lists of folders. `PATH` is needed for wrapper scripts, such as those of pyenv.
const LISTS: [&str; 2] = ["PATH", "PYTHONPATH"];

/// Folders of modules and of their compiled forms. Those of the user are in the home folder.
const FOLDERS: [&str; 6] =
    ["PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "HOME", "USERPROFILE", "APPDATA"];

/// A change to a variable.
#[derive(Debug, PartialEq)]
struct ChangedVariable {
    name: &'static str,
    /// The new value, or `None` to remove the variable.
    value: Option<OsString>,
    /// The ignored paths for a note, or `None` if they are empty or not for modules.
    ignored: Option<String>,
}

/// The changes to this process's variables.
pub(super) struct Surroundings(Vec<ChangedVariable>);

impl Surroundings {
    /// Returns the changes to the values that `variable` returns.
    pub(super) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name| Some((name, variable(name)?));
        let lists = LISTS.into_iter().filter_map(&variable);
        let folders = FOLDERS.into_iter().filter_map(&variable);
        let lists = lists.filter_map(|(name, list)| shortened(name, &list));
        Self(lists.chain(folders.filter_map(|(name, folder)| removed(name, &folder))).collect())
    }

    pub(super) fn apply(&self, command: &mut Command) {
        for ChangedVariable { name, value, .. } in &self.0 {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }

    /// Returns notes on ignored paths.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let told = self.0.iter().filter_map(|change| Some((change.name, change.ignored.as_ref()?)));
        told.map(|(name, ignored)| {
            format!("relative paths in {name} are ignored: {ignored}; set absolute paths")
        })
    }
}

/// Returns a list without its empty and relative entries, if it has any.
fn shortened(name: &'static str, list: &OsStr) -> Option<ChangedVariable> {
    let (absolute, relative) = absolute_entries(list);
    if absolute.len() == env::split_paths(list).count() {
        return None;
    }
    // Paths that come from a list can be joined again.
    let value = env::join_paths(absolute).ok().filter(|list| !list.is_empty());
    let relative: Vec<String> = relative.iter().map(|entry| shown(entry)).collect();
    // The search for the interpreter reports ignored entries of `PATH`.
    let is_told = name != "PATH" && !relative.is_empty();
    Some(ChangedVariable { name, value, ignored: is_told.then(|| relative.join(", ")) })
}

/// Removes a folder that is empty or relative. `PYTHONHOME` may be two folders.
fn removed(name: &'static str, folder: &OsStr) -> Option<ChangedVariable> {
    let is_absolute = match name {
        "PYTHONHOME" => env::split_paths(folder).all(|folder| folder.is_absolute()),
        _ => Path::new(folder).is_absolute(),
    };
    let ignored = (!folder.is_empty()).then(|| shown(folder.as_ref()));
    (!is_absolute).then_some(ChangedVariable { name, value: None, ignored })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// Returns the new value of a variable with this value, and the note.
    fn change(name: &str, value: &str) -> Option<(Option<String>, Option<String>)> {
        let Surroundings(changes) = Surroundings::of(|asked| (asked == name).then(|| value.into()));
        let [change] = &changes[..] else { return None };
        assert_eq!(change.name, name);
        let value = change.value.as_ref().map(|value| value.to_str().unwrap().to_owned());
        Some((value, change.ignored.clone()))
    }

    #[test]
    fn only_absolute_entries_of_lists_are_handed_on() {
        let text = |text: &str| Some(text.to_owned());
        for list in LISTS {
            assert_eq!(change(list, "/a:/b"), None);
            assert_eq!(change(list, ":/a::/b:"), Some((text("/a:/b"), None)));
            for empty in ["", ":", "::"] {
                assert_eq!(change(list, empty), Some((None, None)), "{empty}");
            }
        }
        assert_eq!(change("PYTHONPATH", ".:/a:b"), Some((text("/a"), text("\".\", \"b\""))));
        assert_eq!(change("PYTHONPATH", "src"), Some((None, text("\"src\""))));
        assert_eq!(change("PATH", ".:/a"), Some((text("/a"), None)));
    }

    #[test]
    fn only_absolute_folders_are_handed_on() {
        for name in FOLDERS {
            assert_eq!(change(name, "/a"), None, "{name}");
            assert_eq!(change(name, ""), Some((None, None)), "{name}");
            for relative in ["a", ".", "./a", "../a"] {
                assert_eq!(change(name, relative), Some((None, Some(format!("\"{relative}\"")))), "{name}");
            }
        }
        assert_eq!(change("HOME", "/a:b"), None, "one folder");
        assert_eq!(change("PYTHONHOME", "/a:/b"), None);
        assert!(change("PYTHONHOME", "/a:b").is_some());
    }
}
