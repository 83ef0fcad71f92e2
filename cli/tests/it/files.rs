//! The files that arguments stand for: folders, patterns, standard input. And colours.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::support::{Folder, json_lines};

/// A file of one small latent.
fn small(folder: &Folder, name: &str) {
    folder.npy("x.npy", &[2], &[1.0, 2.0]);
    let model = ["--model-name", "SD", "--model-version", "3", "--no-environment", "--date", "2026-11-24"];
    let out = format!("@/{name}");
    folder.ok(&[&["pack", &out, "--latent", "@/x.npy"][..], &model].concat());
    fs::remove_file(folder.path("x.npy")).unwrap();
}

/// `runs/` with two files, one below it, and what is passed over.
fn runs() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("runs/b/.hidden")).unwrap();
    small(&folder, "runs/c.gen5");
    for name in ["a.gen5", "b/d.gen5", "b/.hidden/e.gen5", ".c.gen5.x1.gen5-partial", ".f.gen5", "notes.txt"]
    {
        fs::copy(folder.path("runs/c.gen5"), folder.path(&format!("runs/{name}"))).unwrap();
    }
    folder
}

#[test]
fn folders_are_looked_through_when_that_is_asked_for() {
    let folder = runs();
    let listed = folder.ok(&["ls", "-r", "@/runs"]);
    let paths: Vec<&str> = listed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(paths, ["@/runs/a.gen5", "@/runs/b/d.gen5", "@/runs/c.gen5"]);

    let ran = folder.run(&["verify", "@/runs", "@/runs/a.gen5"]);
    assert_eq!(ran.messages, "gen5: @/runs is a folder; -r looks at the .gen5 files below it\n");
    assert_eq!((ran.code, ran.out.as_str()), (1, "@/runs/a.gen5: fine, 1 chunk, 8 B\n"));

    fs::create_dir(folder.path("empty")).unwrap();
    let ran = folder.run(&["info", "-r", "@/empty"]);
    assert_eq!((ran.code, ran.messages.as_str()), (1, "gen5: no .gen5 file is below @/empty\n"));
}

#[test]
#[cfg(unix)]
fn links_are_followed_to_files_alone() {
    let folder = runs();
    std::os::unix::fs::symlink(folder.path("runs"), folder.path("runs/b/loop")).unwrap();
    std::os::unix::fs::symlink(folder.path("runs/a.gen5"), folder.path("runs/z.gen5")).unwrap();
    std::os::unix::fs::symlink(folder.path("gone"), folder.path("runs/y.gen5")).unwrap();
    let listed = folder.ok(&["fingerprint", "-r", "@/runs"]);
    let names: Vec<&str> = listed.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["a.gen5", "d.gen5", "c.gen5", "z.gen5"]);
}

#[test]
fn a_pattern_stands_for_what_it_matches() {
    let folder = runs();
    let listed = folder.ok(&["ls", "--json", "@/runs/[a-c].gen5"]);
    let paths: Vec<_> = json_lines(&listed).into_iter().map(|line| line["path"].clone()).collect();
    assert_eq!(paths, ["@/runs/a.gen5", "@/runs/c.gen5"].map(serde_json::Value::from));
    assert_eq!(folder.ok(&["fingerprint", "@/runs/**/d.gen5"]).lines().count(), 1);

    let ran = folder.run(&["info", "@/runs/*.safetensors"]);
    assert_eq!((ran.code, ran.messages.as_str()), (1, "gen5: no file matches @/runs/*.safetensors\n"));
    let ran = folder.run(&["info", "@/runs/***.gen5"]);
    assert_eq!(ran.code, 2, "{ran:?}");

    // What is there by that name is meant.
    fs::copy(folder.path("runs/a.gen5"), folder.path("[x].gen5")).unwrap();
    fs::copy(folder.path("runs/a.gen5"), folder.path("x.gen5")).unwrap();
    assert!(folder.ok(&["fingerprint", "@/[x].gen5"]).ends_with("@/[x].gen5\n"));
}

#[test]
fn results_of_many_files_come_in_their_order() {
    let folder = Folder::new();
    small(&folder, "one.gen5");
    fs::create_dir(folder.path("many")).unwrap();
    for number in 0..200 {
        fs::copy(folder.path("one.gen5"), folder.path(&format!("many/{number:03}.gen5"))).unwrap();
    }
    fs::write(folder.path("many/100.gen5"), "no GEN5 file").unwrap();
    for command in ["info", "ls", "verify", "fingerprint"] {
        let ran = folder.run(&[command, "--json", "-r", "@/many"]);
        let lines = json_lines(&ran.out);
        let expected: Vec<String> = (0..200).map(|number| format!("@/many/{number:03}.gen5")).collect();
        assert_eq!(lines.iter().map(|line| line["path"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        assert_eq!((ran.code, ran.messages.lines().count()), (3, 1), "{command}");
        assert!(lines[100]["error"].as_str().unwrap().starts_with("not a GEN5 file"), "{command}");
    }
}

fn gen5() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gen5"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn standard_input_is_a_file_too() {
    let folder = Folder::new();
    small(&folder, "one.gen5");
    let run = |words: &[&str]| {
        let input = File::open(folder.path("one.gen5")).unwrap();
        let ran = gen5().args(words).stdin(input).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    assert_eq!(run(&["ls", "-"]), (Some(0), "x\tfloat32\t2\t8\t20\traw\n".into(), String::new()));
    assert_eq!(run(&["verify", "-"]).1, "-: fine, 1 chunk, 8 B\n");
    let path = folder.path("one.gen5");
    assert_eq!(run(&["diff", "-", path.to_str().unwrap()]).0, Some(0));
    let (code, _, messages) = run(&["diff", "-", "-"]);
    assert_eq!((code, messages.as_str()), (Some(2), "gen5: - is standard input, which can be read once\n"));

    let mut child = gen5().args(["ls", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(3));
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), "gen5: -: not a GEN5 file: it is empty\n");
}

#[test]
fn standard_output_is_a_file_too() {
    let folder = Folder::new();
    small(&folder, "one.gen5");
    let path = folder.path("one.gen5");
    let run = |words: &[&str], input: Option<&str>| {
        let input = input.map_or_else(Stdio::null, |name| File::open(folder.path(name)).unwrap().into());
        let ran = gen5().args(words).stdin(input).current_dir(folder.path("")).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        (ran.stdout, String::from_utf8(ran.stderr).unwrap())
    };
    let before = folder.names();
    let (packed, messages) = run(&["repack", "one.gen5", "-"], None);
    assert_eq!(packed, fs::read(&path).unwrap());
    assert!(messages.starts_with("gen5: 1 latent (stored raw), 8 B of values, "), "{messages}");
    let (merged, _) = run(&["merge", "one.gen5", "-o", "-"], None);
    assert!(merged.starts_with(b"GEN5"));

    let (changed, messages) = run(&["set", "-", "prompt=sea"], Some("one.gen5"));
    assert_eq!(messages, "gen5: 1 change\n");
    fs::write(folder.path("two.gen5"), changed).unwrap();
    assert!(folder.ok(&["info", "@/two.gen5"]).contains("prompt       sea"));
    fs::remove_file(folder.path("two.gen5")).unwrap();
    assert_eq!(folder.names(), before);

    folder.npy("x.npy", &[2], &[1.0, 2.0]);
    let words = ["pack", "@/-", "--latent", "@/x.npy", "--model-name", "SD", "--model-version", "3"];
    let ran = folder.run(&words);
    assert_eq!(ran.code, 2, "a file called - is none of a GEN5 file's: {ran:?}");
    let ran = folder.run_on_terminal(&[&["pack", "-"], &words[2..]].concat());
    let refused = "gen5: the file is binary, and would upset the terminal; send it to a file (> FILE) or a program (|)\n";
    assert_eq!((ran.code, ran.messages.as_str()), (2, refused));
}

#[test]
fn colours_are_for_those_who_want_them() {
    let folder = Folder::new();
    small(&folder, "one.gen5");
    let path = folder.path("one.gen5");
    let verified = |words: &[&str], variables: &[(&str, &str)]| {
        let ran =
            gen5().arg("verify").arg(&path).args(words).envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(ran.stdout).unwrap().contains('\u{1b}')
    };
    assert!(!verified(&[], &[]), "it is no terminal");
    assert!(verified(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!verified(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(verified(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!verified(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    let json = gen5().args(["info", "--json", "--color", "always"]).arg(&path).output().unwrap();
    assert!(!json.stdout.contains(&0x1b), "JSON is for programs");
}
