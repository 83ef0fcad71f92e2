//! Files written by numpy, safetensors and torch: packed, unpacked, and read by these libraries.
//!
//! Plain `cargo test` leaves these tests out, since they need a Python with the libraries, such as the
//! reference environment:
//!
//! ```sh
//! GEN5_REFERENCE_PYTHON=reference/bin/python cargo test -p gen5-cli --test foreign
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The environment variable that names the Python interpreter.
const INTERPRETER: &str = "GEN5_REFERENCE_PYTHON";

/// Runs a command of `foreign.py` and returns its output.
fn python(words: &[&Path]) -> String {
    let Some(interpreter) = std::env::var_os(INTERPRETER) else {
        panic!("{INTERPRETER} is not set. It names a Python that has numpy, safetensors and torch");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/foreign.py");
    let output = Command::new(interpreter).arg("-W").arg("ignore").arg(script).args(words).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "foreign.py {words:?}, {}:\n{told}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a `gen5` command that must succeed.
fn gen5(words: &[&str]) {
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let args = std::iter::once("gen5").chain(words.iter().copied()).map(OsString::from);
    let code = gen5_cli::run(args, &mut out, &mut messages);
    assert_eq!(code, 0, "{words:?}: {}", String::from_utf8_lossy(&messages));
}

const MODEL: [&str; 5] = ["--model-name", "x", "--model-version", "1", "--no-environment"];

/// Packs and unpacks each file alone. Its library reads the same contents from the result.
#[test]
fn files_come_back_as_their_libraries_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let (made, back) = (folder.path().join("made"), folder.path().join("back"));
    let files = python(&["make".as_ref(), &made]);
    std::fs::create_dir(&back).unwrap();
    assert!(files.lines().count() >= 9, "{files}");
    for file in files.lines() {
        let (packed, out) = (folder.path().join("x.gen5"), folder.path().join("out"));
        let (packed, out) = (packed.to_str().unwrap(), out.to_str().unwrap());
        let input = made.join(file);
        gen5(
            &[
                &["pack", packed, "--force", "--allow-non-finite", "--latent", input.to_str().unwrap()],
                &MODEL[..],
            ]
            .concat(),
        );
        let is_plain = file.starts_with("plain");
        let format = match input.extension().unwrap().to_str().unwrap() {
            extension @ ("npy" | "npz" | "safetensors") if is_plain => extension,
            _ => "original",
        };
        gen5(&["unpack", packed, "-o", out, "--no-environment-check", "--format", format]);
        let written = match (format, is_plain) {
            ("npy", _) => Path::new(out).join("latents/plain.npy"),
            (_, true) => Path::new(out).join("latents").with_extension(format),
            _ => Path::new(out).join("latents").join(file),
        };
        std::fs::rename(written, back.join(file)).unwrap();
        std::fs::remove_dir_all(out).unwrap();
    }
    assert_eq!(python(&["compare".as_ref(), &made, &back]), files);
}

/// Packs all files as one folder and unpacks them, also after their latents were converted to
/// float32.
#[test]
fn a_folder_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (made, packed, out) =
        (folder.path().join("made"), folder.path().join("x.gen5"), folder.path().join("out"));
    let files = python(&["make".as_ref(), &made]);
    let (packed, from) = (packed.to_str().unwrap(), made.to_str().unwrap());
    gen5(&[&["pack", packed, "--allow-non-finite", "--from", from], &MODEL[..]].concat());
    for words in [&["verify", packed][..], &["repack", packed, packed, "--force", "--dtype", "float32"]] {
        gen5(words);
        gen5(&[
            "unpack",
            packed,
            "-o",
            out.to_str().unwrap(),
            "--no-environment-check",
            "--format",
            "original",
        ]);
        assert_eq!(python(&["compare".as_ref(), &made, &out.join("latents")]), files);
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// Files made from other latents match the expectations of ComfyUI and sd-scripts.
#[test]
fn derived_files_are_as_their_programs_expect() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    python(&["make".as_ref(), &made]);
    let packed = folder.path().join("x.gen5");
    let packed = packed.to_str().unwrap();
    let latent = format!("noise={}", made.join("plain.npy").display());
    gen5(&[&["pack", packed, "--latent", &latent], &MODEL[..]].concat());
    for format in ["comfyui", "kohya"] {
        let out = folder.path().join(format);
        let words = ["--no-environment-check", "--format", format, "--unscale", "sd15"];
        gen5(&[&["unpack", packed, "-o", out.to_str().unwrap()], &words[..]].concat());
    }
    python(&["derived".as_ref(), folder.path()]);
}
