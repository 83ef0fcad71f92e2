//! Runs the reference through `reference.py`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::description::DescribedComponent;

/// The environment variable with the path of a Python interpreter that has the reference.
const INTERPRETER: &str = "GEN5_REFERENCE_PYTHON";

/// The result of decoding files with the reference.
#[derive(Debug, Deserialize)]
pub(crate) struct Decoded {
    pub(crate) files: usize,
    pub(crate) latents: usize,
    pub(crate) parts: usize,
    /// The first failures.
    failures: Vec<String>,
    failure_count: usize,
}

/// The counts of files and latents that the reference wrote.
#[derive(Debug, Deserialize)]
pub(crate) struct Encoded {
    pub(crate) files: usize,
    pub(crate) latents: usize,
}

/// The path of the Python interpreter that has the reference.
pub(crate) fn interpreter() -> PathBuf {
    let Some(interpreter) = std::env::var_os(INTERPRETER) else {
        panic!(
            "{INTERPRETER} is not set. It names a Python that has the reference; to make one:\n    \
             python3 -m venv reference\n    \
             reference/bin/pip install gen5==0.1.0\n    \
             {INTERPRETER}=reference/bin/python cargo test --test interop"
        );
    };
    interpreter.into()
}

/// Runs a command of `reference.py` and returns its standard output.
pub(crate) fn run(arguments: &[&OsStr]) -> String {
    let interpreter = interpreter();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/reference.py");
    let output = Command::new(&interpreter)
        .arg(script)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{INTERPRETER}={}: {error}", interpreter.display()));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "reference.py {arguments:?}, {}:\n{told}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Parses the result in the last line of standard output.
pub(crate) fn result<T: DeserializeOwned>(output: &str) -> T {
    let last = output.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("result of reference.py: {error} in {last:?}"))
}

/// Decodes the files in `folder` with the reference. Asserts that they match `expected.json`, and
/// that they keep the writer's promises beyond the reference's own files.
pub(crate) fn decodes_strictly(folder: &Path) -> Decoded {
    let decoded: Decoded = result(&run(&["decode".as_ref(), folder.as_ref(), "--strict".as_ref()]));
    let told = decoded.failures.join("\n");
    assert_eq!(decoded.failure_count, 0, "{} failures, the first of them:\n{told}", decoded.failure_count);
    decoded
}

/// Writes random files and `expected.json` into `folder` with the reference.
pub(crate) fn encode(folder: &Path, count: usize, seed: u64) -> Encoded {
    let (count, seed) = (count.to_string(), seed.to_string());
    result(&run(&["encode".as_ref(), folder.as_ref(), count.as_ref(), seed.as_ref()]))
}

/// The environment that the reference captures where it runs.
pub(crate) fn environment() -> Vec<DescribedComponent> {
    #[derive(Deserialize)]
    struct Captured {
        environment: Vec<DescribedComponent>,
    }
    let Captured { environment } = result(&run(&["environment".as_ref()]));
    environment
}

/// The environment stored in a file, and the current one to compare it with.
#[derive(Serialize)]
pub(crate) struct Pair {
    /// The file's name in the folder of `pairs.json`.
    pub(crate) file: String,
    pub(crate) stored: Vec<DescribedComponent>,
    pub(crate) current: Vec<DescribedComponent>,
}

/// The reference's warnings when it decodes the file of a pair in the other environment.
#[derive(Deserialize)]
pub(crate) struct Warnings {
    /// A file with the same environment, written by the reference.
    pub(crate) own: String,
    /// The warnings for the pair's file.
    pub(crate) here: Vec<String>,
    /// The warnings for the reference's own file.
    pub(crate) there: Vec<String>,
}

/// Compares the environments of these pairs, whose files are in `folder`, with the reference.
pub(crate) fn drift(folder: &Path, pairs: &[Pair]) -> Vec<Warnings> {
    #[derive(Deserialize)]
    struct Told {
        warnings: Vec<Warnings>,
    }
    std::fs::write(folder.join("pairs.json"), serde_json::to_vec(pairs).unwrap()).unwrap();
    let Told { warnings } = result(&run(&["drift".as_ref(), folder.as_ref()]));
    assert_eq!(warnings.len(), pairs.len());
    warnings
}

/// Whether the reference refuses to decode a file, and why.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) refused: bool,
    pub(crate) error: Option<String>,
}

/// Decodes these files with the reference. They need not be sound.
pub(crate) fn refuses(files: &[PathBuf]) -> Vec<Verdict> {
    #[derive(Deserialize)]
    struct Verdicts {
        verdicts: Vec<Verdict>,
    }
    let arguments: Vec<&OsStr> =
        std::iter::once("refuses".as_ref()).chain(files.iter().map(|file| file.as_os_str())).collect();
    let Verdicts { verdicts } = result(&run(&arguments));
    assert_eq!(verdicts.len(), files.len());
    verdicts
}
