//! Suggestions of the name that a misspelled one most likely means.

use std::path::Path;
use std::{fs, io};

use gen5_picture::text::escape;

/// The known name most similar to `name`, ignoring case; the first wins a tie. Names over
/// MAX_COMPARED bytes are skipped: comparison is quadratic.
pub(crate) fn likely_meant<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let is_short = |name: &str| name.len() <= MAX_COMPARED;
    let known = known.filter(|known| is_short(name) && is_short(known));
    let lower = name.to_lowercase();
    let score = |known: &str| {
        if known == name {
            // An exact match wins over those that only differ in case.
            2.0
        } else {
            strsim::jaro_winkler(&lower, &known.to_lowercase())
        }
    };
    let alike = known.map(|known| (score(known), known)).filter(|(score, _)| *score > ALIKE);
    alike.min_by(|(one, _), (other, _)| other.total_cmp(one)).map(|(_, known)| known)
}

/// The existing file name in the same folder that a missing one most likely means.
pub(crate) fn likely_file(path: &Path, cause: &io::Error) -> Option<String> {
    if cause.kind() != io::ErrorKind::NotFound {
        return None;
    }
    let entries = fs::read_dir(folder_of(path)).ok()?.flatten().take(LOOKED_AT);
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    likely_meant(path.file_name()?.to_str()?, names.iter().map(String::as_str)).map(str::to_owned)
}

/// A system error with this path and the description `failed`. If the file does not exist, it
/// suggests a similar name.
pub(crate) fn of_path(cause: io::Error, path: &Path, failed: String) -> anyhow::Error {
    match likely_file(path, &cause) {
        Some(name) => anyhow::anyhow!("{failed}: {cause}; did you mean {}?", escape(&name)),
        None => anyhow::Error::new(cause).context(failed),
    }
}

/// The folder of a file, which may not exist yet.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Limit on the files of a folder searched for a suggestion.
const LOOKED_AT: usize = 10_000;

/// Minimum score of a misspelled name: `sed` and `seed`, `promt` and `prompt`, but not `note` and
/// `noise`.
const ALIKE: f64 = 0.9;

/// Limit on the bytes of compared names.
const MAX_COMPARED: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_alike_and_short() {
        let known = ["noise", "x_0"].map(str::to_owned).into_iter().chain(["y".repeat(1 << 20)]);
        let known: Vec<String> = known.collect();
        let meant = |name: &str| likely_meant(name, known.iter().map(String::as_str));
        assert_eq!((meant("nosie"), meant("note")), (Some("noise"), None));
        // The first wins a tie, and an exact match wins over others.
        let meant_of = |name, known: &[&'static str]| likely_meant(name, known.iter().copied());
        assert_eq!(meant_of("lat", &["lat00", "lat01", "lat02"]), Some("lat00"));
        assert_eq!(meant_of("Noise", &["noise", "Noise"]), Some("Noise"));
        assert_eq!(meant_of("NOISE", &["noise", "Noise"]), Some("noise"));
        // Comparing these would take forever.
        assert_eq!(meant(&"y".repeat((1 << 20) - 1)), None);
    }
}
