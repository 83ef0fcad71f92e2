//! What holds for every command: how much it says, colours, and how it ends when it is interrupted.

use std::process::Command;

use crate::support::Folder;

fn gen5() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gen5"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

/// What a command prints to either stream, with this in the environment.
fn printed(folder: &Folder, words: &[&str], environment: &[(&str, &str)]) -> String {
    let ran =
        gen5().args(words).current_dir(folder.path(".")).envs(environment.iter().copied()).output().unwrap();
    String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap()
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for words in [
        &["info", "run.gen5"][..],
        &["verify", "run.gen5"],
        &["diff", "run.gen5", "run.gen5"],
        &["info", "x"],
    ] {
        let coloured = |more: &[&str], environment: &[(&str, &str)]| {
            printed(&folder, &[words, more].concat(), environment).contains('\u{1b}')
        };
        assert!(!coloured(&[], &[]), "{words:?}: no terminal");
        assert!(coloured(&["--color", "always"], &[]), "{words:?}");
        assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]), "{words:?}");
        assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]), "{words:?}");
        assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]), "{words:?}");
        assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), "{words:?}");
    }
    assert!(!printed(&folder, &["info", "run.gen5", "--json", "--color", "always"], &[]).contains('\u{1b}'));
}

#[test]
fn quiet_is_without_notes_and_verbose_has_more() {
    let folder = Folder::new();
    folder.npy("a.npy", &[4], &[1.0; 4]);
    let pack = |more: &[&str]| {
        let words = [
            "pack",
            "@/x.gen5",
            "--latent",
            "@/a.npy",
            "--model-name",
            "SD",
            "--model-version",
            "3",
            "--force",
        ];
        // With the date of now files may differ in their length.
        let fixed = ["--no-environment", "--compress", "shuffled", "--date", "2026-11-22"];
        folder.run(&[&words[..], &fixed, more].concat())
    };
    let (plain, quiet, verbose) = (pack(&[]), pack(&["-q"]), pack(&["-v"]));
    assert!(plain.messages.contains("is of version 1.1"), "{plain:?}");
    assert_eq!((quiet.code, quiet.messages.as_str(), &quiet.out), (0, "", &plain.out));
    assert!(verbose.messages.contains("gen5: a: float32 4, "), "{verbose:?}");
    assert!(verbose.messages.lines().count() > plain.messages.lines().count() + 1, "{verbose:?}");
    assert_eq!(folder.run(&["info", "@/no.gen5", "-q"]).messages.lines().count(), 1, "errors are told");
    assert_eq!(folder.run(&["info", "@/x.gen5", "-q", "-v"]).code, 2);
}

/// What is not done at once is cut off in its midst, for which a file is big enough that takes seconds.
#[cfg(target_os = "linux")]
mod signals {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitStatus, Stdio};
    use std::time::{Duration, Instant};

    use gen5::Dtype;

    use super::gen5;
    use crate::support::{Folder, names};

    /// Zeros that take a page on the disk.
    fn sparse(folder: &Folder, mebibytes: usize) {
        let mut header = Vec::new();
        gen5_cli::convert::npy::write_header(&mut header, Dtype::F32, &[mebibytes, 1 << 18]).unwrap();
        let file = File::create(folder.path("a.npy")).unwrap();
        file.write_all_at(&header, 0).unwrap();
        file.set_len(header.len() as u64 + ((mebibytes as u64) << 20)).unwrap();
    }

    const ENDED: &str = "gen5: interrupted\n";

    const PACK: [&str; 12] = [
        "pack",
        "x.gen5",
        "--latent",
        "a.npy",
        "--model-name",
        "SD",
        "--model-version",
        "3",
        "--no-environment",
        "--compress",
        "none",
        "--jobs=1",
    ];

    fn start(folder: &Folder, words: &[&str]) -> Child {
        let mut command = gen5();
        command.args(words).current_dir(folder.path(".")).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Sends a signal as soon as there is something in the folder that was not there before.
    fn interrupt(folder: &Folder, child: Child, signal: &str) -> (ExitStatus, String) {
        let before = ["a.npy", "x.gen5"];
        let deadline = Instant::now() + Duration::from_secs(60);
        while folder.names().iter().all(|name| before.contains(&name.as_str())) {
            assert!(Instant::now() < deadline, "nothing is written");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(5));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let ran = child.wait_with_output().unwrap();
        (ran.status, String::from_utf8(ran.stderr).unwrap())
    }

    #[test]
    fn an_interrupted_command_leaves_nothing() {
        let folder = Folder::new();
        sparse(&folder, 4096);
        for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
            let child = start(&folder, &PACK);
            let (status, messages) = interrupt(&folder, child, signal);
            // As a shell has to see it, which else goes on with its loop.
            assert_eq!(status.signal(), Some(number), "{messages}");
            assert!(messages.ends_with(ENDED), "{messages}");
            assert_eq!(folder.names(), ["a.npy"], "{signal}");
        }
    }

    #[test]
    fn what_was_there_stays_as_it_was() {
        let folder = Folder::new();
        sparse(&folder, 96);
        assert!(start(&folder, &PACK).wait().unwrap().success());
        let before = std::fs::read(folder.path("x.gen5")).unwrap();
        let again = [&PACK[..], &["--force"]].concat();
        let unpack = ["unpack", "x.gen5", "-o", "out", "--jobs", "1"];
        for words in [&again[..], &unpack] {
            let child = start(&folder, words);
            let (status, messages) = interrupt(&folder, child, "-INT");
            assert_eq!(status.signal(), Some(2), "{messages}");
            assert!(messages.ends_with(ENDED), "{messages}");
            assert_eq!(names(&folder.path(".")), ["a.npy", "x.gen5"], "{words:?}");
            assert!(std::fs::read(folder.path("x.gen5")).unwrap() == before);
        }
    }

    /// What takes long is reading and hashing one file, with nothing written in between.
    #[test]
    fn reading_stops_too() {
        let folder = Folder::new();
        sparse(&folder, 96);
        let zstd = PACK.map(|word| if word == "none" { "zstd" } else { word });
        assert!(start(&folder, &zstd).wait().unwrap().success());
        let verify = ["report", "x.gen5", "-o", "y.html", "--no-environment-check"];
        for words in
            [&verify[..], &[&verify[..], &["--no-verify"]].concat(), &["render", "x.gen5", "-o", "y.png"]]
        {
            let child = start(&folder, &[words, &["--jobs", "1"]].concat());
            let began = Instant::now();
            let (status, messages) = interrupt(&folder, child, "-INT");
            // To the end it would take longer, unless all is optimized.
            assert!(began.elapsed() < Duration::from_secs(4), "{words:?}: {:?}", began.elapsed());
            assert_eq!((status.signal(), messages.as_str()), (Some(2), ENDED), "{words:?}");
            assert_eq!(folder.names(), ["a.npy", "x.gen5"], "{words:?}");
        }
    }

    #[test]
    fn a_command_that_writes_nothing_ends_at_once() {
        let folder = Folder::new();
        // All wait for standard input.
        for words in [&["info", "-"][..], &["set", "-", "tags=x"], &["report", "-", "-o", "x.html"]] {
            let mut child = gen5();
            child.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir(folder.path("."));
            ends_at_once(child.spawn().unwrap(), words);
            assert_eq!(folder.names(), [""; 0], "{words:?}");
        }
    }

    /// Sends a signal to a process that waits.
    #[track_caller]
    fn ends_at_once(mut child: Child, words: &[&str]) {
        std::thread::sleep(Duration::from_millis(200));
        assert!(child.try_wait().unwrap().is_none(), "{words:?}: it is to wait");
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => {
                    child.kill().unwrap();
                    panic!("{words:?}: it goes on waiting");
                }
            }
        };
        assert_eq!(status.signal(), Some(2), "{words:?}: {status:?}");
    }

    /// More than a pipe holds is written to standard output, and nobody reads it.
    #[test]
    fn a_command_that_nobody_reads_ends_at_once() {
        let folder = Folder::new();
        sparse(&folder, 4);
        assert!(start(&folder, &PACK).wait().unwrap().success());
        std::fs::create_dir(folder.path("tmp")).unwrap();
        for words in [&["repack", "x.gen5", "-"][..], &["set", "x.gen5", "tags=x", "-o", "-"]] {
            let mut child = gen5();
            child.args(words).stdout(Stdio::piped()).env("TMPDIR", folder.path("tmp"));
            ends_at_once(child.current_dir(folder.path(".")).spawn().unwrap(), words);
            assert_eq!(names(&folder.path("tmp")), [""; 0], "{words:?}");
        }
    }
}
