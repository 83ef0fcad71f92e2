//! Files made to deceive or break a reader, tried with every command that reads a file.

use std::fs;
use std::path::Path;

use crate::support::Folder;

/// Commands, with `IN` for the file, and their exit codes for each `Fault`: a sound file, a damaged
/// latent, a damaged table.
const COMMANDS: [(&str, [u8; 3]); 20] = [
    ("verify IN", [0, 3, 3]),
    ("info IN", [0, 0, 3]),
    ("info --json IN", [0, 0, 3]),
    ("ls IN", [0, 0, 3]),
    ("cat IN #0", [0, 3, 3]),
    ("cat IN #0 --npy", [0, 3, 3]),
    ("show --json IN", [0, 3, 3]),
    ("show IN", [0, 3, 3]),
    ("render IN -o @/o.png", [0, 3, 3]),
    ("report IN -o @/o.html --no-environment-check", [0, 3, 3]),
    ("unpack IN -o @/o --no-environment-check", [0, 3, 3]),
    ("unpack IN -o @/o --no-environment-check --format safetensors", [0, 3, 3]),
    ("unpack IN -o @/o --no-environment-check --format npz", [0, 3, 3]),
    ("repack IN @/o.gen5", [0, 3, 3]),
    ("merge IN @/good.gen5 -o @/o.gen5", [0, 3, 3]),
    ("split IN -o @/o", [0, 3, 3]),
    // The files have no latent in common, so `diff` reads no values.
    ("diff IN @/good.gen5", [4, 4, 3]),
    ("diff @/good.gen5 IN", [4, 4, 3]),
    ("fingerprint IN", [0, 0, 3]),
    ("set IN tags=a", [0, 0, 3]),
];

/// The kind of damage; it selects an exit code in `COMMANDS`.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Latent,
    Table,
}

/// The files of `data/hostile` and their damage.
const FILES: [(&str, Fault); 6] = [
    // zstd decoders disagree about the contents of these frames. The hash is that of the contents
    // only some of them return.
    ("matches_beyond_the_window_0.gen5", Fault::Latent),
    ("matches_beyond_the_window_1.gen5", Fault::Latent),
    ("matches_beyond_the_window_2.gen5", Fault::Latent),
    ("nan_in_an_offset.gen5", Fault::Table),
    ("nan_in_a_number.gen5", Fault::Table),
    // A latent without values.
    ("an_axis_of_2_to_the_44.gen5", Fault::None),
];

fn data() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/hostile"))
}

#[test]
fn every_command_says_the_same_of_a_hostile_file_on_any_number_of_threads() {
    for (name, fault) in FILES {
        for (command, codes) in COMMANDS {
            let mut first = None;
            for jobs in ["-j1", "-j2", "-j5"] {
                let folder = Folder::new();
                folder.sample("good.gen5");
                fs::copy(data().join(name), folder.path("in.gen5")).unwrap();
                let command = command.replace("IN", "@/in.gen5");
                let words: Vec<&str> = command.split(' ').chain([jobs]).collect();
                let (code, out, messages) = folder.run_for_bytes(&words);
                assert_eq!(code, codes[fault as usize], "{name}: {words:?}: {messages}");
                let out = String::from_utf8_lossy(&out).replace(folder.path("").to_str().unwrap(), "@/");
                let first = first.get_or_insert_with(|| (out.clone(), messages.clone()));
                assert!(
                    (&out, &messages) == (&first.0, &first.1),
                    "{name}: {words:?}: {messages}, {first:?}"
                );
            }
        }
    }
}

#[test]
fn every_hostile_file_is_tried() {
    let mut there: Vec<String> = fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let mut tried: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    tried.sort_unstable();
    assert_eq!(there, tried);
}
