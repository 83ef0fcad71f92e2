//! The program under a memory limit. It must end with a documented exit code and never abort.

use std::fs;
use std::process::Command;

use gen5_cli::budget;

use crate::library::{Builder, Chunk};
use crate::support::Folder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gen5");

/// All commands. `%` is the file; `@` is a folder with a copy of it, a small file, and the file's
/// metadata.
const COMMANDS: [&str; 22] = [
    "pack @/out.gen5 --latent a=@/a.npy --metadata @/model_info.json --no-environment",
    "unpack % -o @/out --no-environment-check --format safetensors",
    "info %",
    "info --json %",
    "ls --json %",
    "cat % a",
    "verify --json %",
    "diff % @/plain.gen5",
    "diff --json % @/same.gen5",
    "show %",
    "show --json %",
    "render % -o @/out.png",
    "report % @/same.gen5 -o @/out.html --no-environment-check --json",
    "env % @/same.gen5",
    "set % -o @/out.gen5 generation_settings.note=1",
    "repack % @/out.gen5",
    "merge % @/same.gen5 -o @/out.gen5 --stack",
    "split % -o @/out",
    "split % -o @/out --rows 1",
    "fingerprint %",
    "completions bash",
    "man -o @/out",
];

/// The size of the text that fills a table.
const TEXT: usize = 2 << 20;

#[test]
fn no_command_is_ended_by_a_limit_for_what_it_may_take() {
    let plain = Builder::new([Chunk::latent("a", &[2, 2], &[0.0; 4])]).build();
    let with = |member: &str| {
        let text = format!("\"prompt\":\"p\",{member}");
        Builder::new([Chunk::latent("a", &[2, 2], &[0.0; 4])]).replace("\"prompt\":\"p\"", &text).build()
    };
    let gpus = vec![r#"{"name":"a"}"#; TEXT / 13].join(",");
    let shape = Builder::new([Chunk::latent("a", &[1 << 62, 0], &[])]).build();
    for (name, file) in [
        ("a shape", shape),
        ("GPUs", with(&format!(r#""hardware_info":{{"os":"x","gpu":[{gpus}]}}"#))),
        ("a list", with(&format!(r#""x":[{}]"#, vec!["0"; TEXT / 2].join(",")))),
    ] {
        let folder = Folder::new();
        let metadata = gen5::Reader::from_bytes(file.clone()).unwrap().model_info_json().to_owned();
        fs::write(folder.path("model_info.json"), metadata).unwrap();
        fs::write(folder.path("plain.gen5"), &plain).unwrap();
        folder.npy("a.npy", &[1], &[0.0]);
        for copy in ["file.gen5", "same.gen5"] {
            fs::write(folder.path(copy), &file).unwrap();
        }
        // The limit allows for two files in memory. The program counts as well, and has debug
        // information.
        let program = fs::metadata(PROGRAM).unwrap().len();
        let kilobytes = (budget::memory(2 * TEXT as u64) + program) / 1024;
        for line in COMMANDS {
            let line = line.replace('%', "@/file.gen5").replace('@', folder.path("").to_str().unwrap());
            for name in ["out", "out.gen5", "out.png", "out.html"] {
                _ = fs::remove_dir_all(folder.path(name));
                _ = fs::remove_file(folder.path(name));
            }
            let script = format!("ulimit -v {kilobytes}; exec \"$0\" --jobs 2 \"$@\"");
            let mut command = Command::new("sh");
            command.args(["-c", &script, PROGRAM]).args(line.split(' '));
            // glibc reserves memory for each thread that would count without being used.
            let ran = command.env("MALLOC_ARENA_MAX", "1").output().unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(
                ran.status.code().is_some_and(|code| code <= 4),
                "{line}, {name}: {:?} {said}",
                ran.status
            );
            assert!(!said.contains("memory"), "{line}, {name}: {said}");
        }
    }
}
