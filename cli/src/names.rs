//! File names for extracted latents.
//!
//! A key is any text, including `../../etc/passwd`; a file name made from it is harmless on every
//! system. The original keys belong in an index file next to the files.

use std::collections::{HashMap, HashSet};

/// Maximum number of characters in a name, without its extension.
const MAX_CHARACTERS: usize = 100;

/// Number of characters kept before a number: leaves room for `-` and any `usize`.
const MAX_NUMBERED: usize = MAX_CHARACTERS - 21;

/// The name for latents without a key, and for keys without any safe characters.
pub const NAMELESS: &str = "latent";

/// File names for `keys`, in order, each with `.extension`.
///
/// Each name consists of ASCII letters, digits, `.`, `_` and `-`, does not start with `.` or `-`,
/// is not a Windows device, and has at most 100 characters before the extension. All names are
/// different, even on systems that ignore case: if keys give the same name, the first gets it, and
/// the others get the suffixes `-2`, `-3` and so on, skipping names of other keys. The same keys
/// always give the same names.
pub fn file_names<'a>(keys: impl Iterator<Item = Option<&'a str>>, extension: &str) -> Vec<String> {
    let names: Vec<String> = keys.map(|key| key.map_or_else(|| NAMELESS.to_owned(), safe_name)).collect();
    let given: HashSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut seen = HashSet::with_capacity(given.len());
    // The next number for each name with numbers. A name in `given` can only collide with the
    // numbered names of one counter, since the text before its last `-` determines the counter. So
    // the total time is linear.
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let unique = |name: String| {
        if seen.insert(name.to_ascii_lowercase()) {
            return name;
        }
        let stem: String = name.chars().take(MAX_NUMBERED).collect();
        let folded = stem.to_ascii_lowercase();
        let number = numbers.entry(folded.clone()).or_insert(2);
        while given.contains(&format!("{folded}-{number}")) {
            *number += 1;
        }
        let numbered = format!("{stem}-{number}");
        *number += 1;
        numbered
    };
    names.into_iter().map(unique).map(|name| format!("{name}.{extension}")).collect()
}

/// The name for a single key.
fn safe_name(key: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let mut name = String::new();
    name.extend(key.chars().map(kept).skip_while(|c| matches!(c, '.' | '-')).take(MAX_CHARACTERS));
    if is_device(&name) {
        name.insert(0, '_');
    }
    // The name is ASCII, so a character is a byte.
    name.truncate(MAX_CHARACTERS);
    name.truncate(name.trim_end_matches('.').len());
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

/// Whether Windows treats the name as a device, with any extension. `CONIN$` and `CONOUT$` are also
/// devices, but names here never contain `$`.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    match stem.as_bytes() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(keys: &[&str]) -> Vec<String> {
        let mut names = file_names(keys.iter().copied().map(Some), "npy");
        for name in &mut names {
            name.truncate(name.strip_suffix(".npy").unwrap().len());
        }
        names
    }

    #[test]
    fn names_are_safe_alone() {
        let table = [
            ("initial_noise", "initial_noise"),
            ("step-3.v_pred", "step-3.v_pred"),
            ("../../x", "_.._x"),
            ("/etc/passwd", "_etc_passwd"),
            ("C:\\x", "C__x"),
            ("a\0b", "a_b"),
            ("-rf", "rf"),
            ("...", "latent"),
            ("", "latent"),
            ("雪", "_"),
            ("x. .", "x._"),
            ("x..", "x"),
            ("CON", "_CON"),
            ("con.x", "_con.x"),
            (".nul", "_nul"),
            ("Lpt9", "_Lpt9"),
            ("com0", "_com0"),
            ("COM10", "COM10"),
            ("com\u{b9}", "com_"),
            ("CONIN$", "CONIN_"),
            ("conout$.x", "conout_.x"),
            ("console", "console"),
        ];
        for (key, name) in table {
            assert_eq!(names(&[key]), [name], "{key:?}");
        }
        assert_eq!(file_names([None, None].into_iter(), "npy"), ["latent.npy", "latent-2.npy"]);
    }

    #[test]
    fn names_are_cut_to_100_characters() {
        let long = "x".repeat(300);
        assert_eq!(names(&[&long, &long]), ["x".repeat(100), format!("{}-2", "x".repeat(79))]);
        assert_eq!(names(&[&format!("con.{long}")]), [format!("_con.{}", "x".repeat(95))]);
        assert_eq!(names(&[&format!("{}..y", "x".repeat(98))]), ["x".repeat(98)]);
        assert_eq!(names(&[&format!("{}{long}", ".-".repeat(200))]), ["x".repeat(100)]);
    }

    #[test]
    fn equal_names_get_numbers_that_no_other_key_has() {
        assert_eq!(names(&["a", "A", "a-2", "a", "A-3"]), ["a", "A-4", "a-2", "a-5", "A-3"]);
        assert_eq!(names(&["a", "a-2", "a-2", "a"]), ["a", "a-2", "a-2-2", "a-3"]);
    }

    #[test]
    fn many_equal_keys_take_linear_time() {
        let prefix = "y".repeat(99);
        let mut keys: Vec<String> = vec!["x".to_owned(); 100_000];
        keys.extend((0..100_000).map(|at| format!("x-{at}")));
        keys.extend((0..50_000).map(|at| format!("{prefix}{}{at}", ["a", "b"][at % 2])));
        let all: HashSet<String> =
            names(&keys.iter().map(String::as_str).collect::<Vec<_>>()).into_iter().collect();
        assert_eq!(all.len(), keys.len());
    }

    proptest! {
        #[test]
        fn names_are_safe_and_unique(
            keys in prop::collection::vec(
                prop_oneof![
                    Just(None),
                    any::<String>().prop_map(Some),
                    "[aA.-][-.2]{0,3}[23]?".prop_map(Some),
                    "(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\\$)[. $x]{0,2}".prop_map(Some),
                    "[xX]{78,101}[-.]{0,2}[23]?".prop_map(Some),
                ],
                0..60,
            )
        ) {
            let names = file_names(keys.iter().map(Option::as_deref), "npy");
            prop_assert_eq!(&names, &file_names(keys.iter().map(Option::as_deref), "npy"));
            prop_assert_eq!(names.len(), keys.len());
            let folded: HashSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            prop_assert_eq!(folded.len(), names.len());
            for name in &names {
                let base = name.strip_suffix(".npy").unwrap();
                prop_assert!((1..=100).contains(&base.len()));
                prop_assert!(base.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                prop_assert!(!base.starts_with(['.', '-']) && !base.ends_with('.'));
                prop_assert!(!is_device(base));
            }
        }
    }
}
