//! Files that change while they are read.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::scene::{LEFT, Scene, said};

/// Where hashes are compared once for all that is read piece by piece, that is behind the reading.
#[test]
fn what_is_changed_while_it_is_taken_apart_is_not_published() {
    for words in
        [&["unpack", "--format", "original", "--no-environment-check"][..], &["split", "--rows", "100"]]
    {
        let scene = Scene::of("split");
        scene.reset();
        let (file, out) = (scene.folder.path("in.gen5"), scene.there().join("out"));
        // When the draft is there, the file is open, and none of its values was read.
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=mkdir", "-e", "inject=mkdir:delay_exit=2000000"]);
        command.arg(env!("CARGO_BIN_EXE_gen5")).args(words).arg(&file).arg("-o").arg(&out);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while !crate::support::names(&scene.there()).iter().any(|name| name.ends_with(LEFT)) {
            assert!(start.elapsed() < Duration::from_secs(60), "{words:?}");
            sleep(Duration::from_millis(10));
        }
        let mut bytes = fs::read(&file).unwrap();
        bytes[100] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let ran = child.wait_with_output().unwrap();
        assert_eq!(ran.status.code(), Some(3), "{words:?}: {ran:?}");
        assert!(said(&ran).contains("the payload is damaged"), "{words:?}: {ran:?}");
        assert_eq!(crate::support::names(&scene.there()), [""; 0], "{words:?}");
    }
}
