//! Runs the sessions in `tests/cmd/*.md`: commands, their output and their exit codes.
//! Each session runs in its own folder with copies of the files of `tests/data`.
//!
//! ```sh
//! # Runs the sessions with ls in their names.
//! cargo test -p gen5-cli --test it sessions -- trycmd=ls
//! # Accepts the current output.
//! TRYCMD=overwrite cargo test -p gen5-cli --test it sessions && git diff
//! ```

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn sessions_go_as_they_are_written_down() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (sessions, inputs) = (here.join("tests/cmd"), here.join("../tests/data"));
    let room = tempfile::tempdir().unwrap();
    for session in files(&sessions) {
        let folder = room.path().join(&session).with_extension("in");
        fs::create_dir(&folder).unwrap();
        for input in files(&inputs) {
            fs::copy(inputs.join(&input), folder.join(&input)).unwrap();
        }
        fs::copy(sessions.join(&session), room.path().join(&session)).unwrap();
    }
    trycmd::TestCases::new()
        .register_bin("gen5", Path::new(env!("CARGO_BIN_EXE_gen5")))
        .env("NO_COLOR", "1")
        .case(room.path().join("*.md"))
        .run();
    if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        for session in files(&sessions) {
            fs::copy(room.path().join(&session), sessions.join(&session)).unwrap();
        }
    }
}

/// The names of the files in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name().into()).collect()
}
