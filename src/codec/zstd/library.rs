//! Checks that this crate supports the linked zstd library. By default, that is the one in the
//! crate `zstd-sys`, but a build may use the system's.

use zstd::zstd_safe::{self, zstd_sys};

/// Returns an error for a library with another minor version, because the functions that decode
/// single blocks are not part of zstd's stable interface.
pub(super) fn check() -> Result<(), String> {
    check_version(zstd_safe::version_number())
}

/// Checks `version`, in zstd's numbering: 10507 is 1.5.7.
fn check_version(version: u32) -> Result<(), String> {
    let minor = |version: u32| (version / 10_000, version / 100 % 100);
    let found = minor(version);
    let expected = minor(zstd_sys::ZSTD_VERSION_NUMBER);
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "the system's zstd library has version {}.{}, but this program needs {}.{}: build it \
         without ZSTD_SYS_USE_PKG_CONFIG to use the bundled library",
        found.0, found.1, expected.0, expected.1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_of_the_same_minor_version_are_accepted() {
        assert_eq!(check(), Ok(()));
        for (version, accepted) in
            [(10_500, true), (10_507, true), (10_499, false), (10_600, false), (20_507, false)]
        {
            assert_eq!(check_version(version).is_ok(), accepted, "{version}");
        }
        let refused = check_version(10_408).unwrap_err();
        assert!(refused.starts_with("the system's zstd library has version 1.4, but this program needs 1.5"));
    }
}
