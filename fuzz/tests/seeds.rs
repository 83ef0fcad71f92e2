//! Writes the initial inputs for fuzzing into `corpus/`. The inputs come from the test data and from
//! a folder that `write_corpus` filled with invalid files:
//!
//! ```sh
//! GEN5_CORPUS=folder cargo test --test seeds -- --ignored write_seeds
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use gen5::Reader;
use gen5::chunk::Digest;

/// The files in a folder.
fn files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.as_ref().display()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// The maximum length of an input in bytes, as in `.ci/fuzz`. The fuzzer would truncate longer
/// ones.
const LONGEST: usize = 32 << 10;

/// Stores an input of a target under a name derived from its bytes.
fn keep(target: &str, input: &[u8]) {
    if input.len() > LONGEST {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    let name = Digest::of(input).to_string();
    fs::write(folder.join(&name[..16]), input).unwrap();
}

/// The text of a file's manifest, if the header locates it and zstd can decode it.
fn manifest(file: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    let table = file.get(word(8)?..)?;
    let meta = zstd::bulk::decompress(table, 4 << 20).ok()?;
    meta.get(12..).map(<[u8]>::to_vec)
}

#[test]
#[ignore = "writes files"]
fn write_seeds() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let bad = PathBuf::from(std::env::var_os("GEN5_CORPUS").expect("GEN5_CORPUS names a folder"));
    let all = [files(&data), files(data.join("own")), files(bad)].concat();
    for path in all.iter().filter(|path| path.extension().is_some_and(|extension| extension == "gen5")) {
        let file = fs::read(path).unwrap();
        keep("backends_agree", &file);
        // These targets interpret arbitrary bytes as a series of choices.
        for target in ["command_line", "structured_file", "writer_ops"] {
            file.chunks(1000).take(2).for_each(|choices| keep(target, choices));
        }
        if let Some(text) = manifest(&file) {
            keep("parse_table", &[&[file[5], 0][..], &text].concat());
        }
        for record in Reader::from_bytes(file.clone())
            .iter()
            .flat_map(Reader::chunks)
            .filter(|record| record.is_compressed())
        {
            let (start, size) = (record.offset() as usize, record.stored_size() as usize);
            keep("chunk_decode", &[&[0], &file[start..start + size]].concat());
        }
    }
    keep("image_text", &[&[0], &fs::read(data.join("pixel.png")).unwrap()[..]].concat());
    for path in files(data.join("../../cli/tests/data/image_text")) {
        let text = fs::read(path).unwrap();
        keep("image_text", &[&[1], &text[..]].concat());
        keep("image_text", &[&[3], &text[..]].concat());
        keep("show_text", &[&[0], &text[..]].concat());
        keep("extract_paths", &text);
    }
}
