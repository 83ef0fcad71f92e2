//! File names for extracted latents.
//!
//! A key is any text, including `../../etc/passwd`; a file name made from it is harmless on every
//! system. The original keys belong in an index file next to the files.

use std::collections::{HashMap, HashSet};

/// Characters of a name, its extension not counted.
const MAX_CHARACTERS: usize = 100;

/// Characters that a name keeps when a number is put behind it: room for a `-` and any `usize`.
const MAX_NUMBERED: usize = MAX_CHARACTERS - 21;

/// The name of latents without a key, and of keys of which nothing can be kept.
pub const NAMELESS: &str = "latent";

/// File names for `keys`, in their order, each with `.extension` behind it.
///
/// Each name consists of ASCII letters, digits, `.`, `_` and `-`, starts with neither `.` nor `-`, is no device of
/// Windows, and has at most 100 characters before the extension. No two are equal, also where case makes no
/// difference: of keys that give the same name the first gets it, the others `-2`, `-3` and so on behind it, skipping
/// names that other keys have. The same keys give the same names.
pub fn file_names<'a>(keys: impl Iterator<Item = Option<&'a str>>, extension: &str) -> Vec<String> {
    let names: Vec<String> = keys.map(|key| key.map_or_else(|| NAMELESS.to_owned(), safe_name)).collect();
    let given: HashSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut seen = HashSet::with_capacity(given.len());
    // The next number of each name that a number was put behind. A numbered name can be taken only as a whole, by a
    // name in `given`: what is before and behind its last `-` tells which other numbered names it differs from.
    // So each name in `given` is in the way of one counter only, and the whole takes linear time.
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

/// The name for a key, taken alone.
fn safe_name(key: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let mut name = String::new();
    name.extend(key.chars().map(kept).skip_while(|c| matches!(c, '.' | '-')).take(MAX_CHARACTERS));
    if is_device(&name) {
        name.insert(0, '_');
    }
    // All of it is ASCII, so a character is a byte.
    name.truncate(MAX_CHARACTERS);
    name.truncate(name.trim_end_matches('.').len());
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

/// Whether Windows takes this for a device, whatever its extension. `CONIN$` and `CONOUT$` are devices too, but no
/// name here has a `$`.
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
