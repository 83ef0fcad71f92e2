//! The binary as a process: pipes, redirections, signals and environment variables.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::Folder;

fn gen5() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gen5"))
}

#[test]
fn results_and_messages_go_their_own_ways() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let ran = gen5().arg("verify").arg(folder.path("run.gen5")).arg("/nonexistent.gen5").output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8(ran.stdout).unwrap().contains("fine, 4 chunks"));
    assert!(String::from_utf8(ran.stderr).unwrap().starts_with("gen5: could not open /nonexistent.gen5"));
}

#[test]
fn help_and_version_are_results() {
    for words in [&["--help"][..], &["--version"], &["help", "pack"], &["verify", "--help"]] {
        let ran = gen5().args(words).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{words:?}");
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{words:?}");
    }
    let ran = gen5().output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(ran.stdout.is_empty() && !ran.stderr.is_empty());
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_quietly() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let path = folder.path("run.gen5");
    for words in [&["info"][..], &["info", "--json"], &["verify", "--json"], &["ls"], &["ls", "--json"]] {
        // The output far exceeds a pipe's capacity, so the command still writes after the reader
        // closes it.
        let mut child = gen5()
            .args(words)
            .args(std::iter::repeat_n(&path, 500))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ran = child.wait_with_output().unwrap();
        let messages = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), messages), (Some(0), String::new()), "{words:?}");
    }
}

#[test]
#[cfg(unix)]
fn damage_is_told_by_the_exit_code_even_if_nobody_reads_on() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let path = folder.path("run.gen5");
    let mut bytes = fs::read(&path).unwrap();
    bytes[52 + 12] ^= 1;
    fs::write(&path, bytes).unwrap();
    for words in [&["verify"][..], &["verify", "--json"]] {
        let mut child =
            gen5().args(words).arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(3), "{words:?}");
    }
}

#[test]
#[cfg(unix)]
fn values_that_nobody_reads_on_end_quietly() {
    let folder = Folder::new();
    folder.npy("a.npy", &[1 << 20], &vec![1.5; 1 << 20]);
    folder.ok(&[
        "pack",
        "@/a.gen5",
        "--latent",
        "@/a.npy",
        "--model-name",
        "SD",
        "--model-version",
        "3",
        "--no-environment",
    ]);
    for more in [&[][..], &["--npy"]] {
        let mut command = gen5();
        command.arg("cat").arg(folder.path("a.gen5")).arg("a").args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 4];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ran = child.wait_with_output().unwrap();
        let messages = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), messages), (Some(0), String::new()));
    }
}

#[test]
fn a_slip_of_the_finger_is_met_with_a_proposal() {
    for words in [&["inof"][..], &["help", "inof"]] {
        let ran = gen5().args(words).output().unwrap();
        let messages = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2));
        assert!(messages.contains("'info'"), "{messages}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn results_that_cannot_be_written_are_a_failure() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = gen5().arg("info").arg(folder.path("run.gen5")).stdout(full).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
}

/// Commands that print in different ways.
#[cfg(unix)]
const PRINTERS: [&[&str]; 17] = [
    &["info", "run.gen5"],
    &["info", "run.gen5", "--json"],
    &["ls", "run.gen5"],
    &["ls", "run.gen5", "--json"],
    &["cat", "run.gen5", "noise"],
    &["diff", "run.gen5", "run.gen5"],
    &["show", "run.gen5", "--json"],
    &["verify", "run.gen5", "run.gen5", "--json"],
    &["fingerprint", "run.gen5"],
    &["repack", "run.gen5", "-"],
    &["set", "run.gen5", "tags=x", "-o", "-"],
    &["render", "run.gen5", "-o", "-"],
    &["report", "run.gen5", "-o", "-", "--no-environment-check"],
    &["repack", "run.gen5", "x.gen5", "--force", "--json"],
    &["completions", "bash"],
    &["help", "pack"],
    &["--version"],
];

/// Runs a command in the folder through a shell, with these redirections.
#[cfg(unix)]
fn redirected(folder: &Folder, words: &[&str], redirections: &str) -> std::process::Output {
    let command = format!("exec \"$0\" \"$@\" {redirections}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &command, env!("CARGO_BIN_EXE_gen5")]).args(words).current_dir(folder.path("."));
    shell.output().unwrap()
}

#[test]
#[cfg(unix)]
fn results_that_cannot_go_anywhere_are_a_failure() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for words in PRINTERS {
        for (redirection, why) in
            [(">&-", "standard output is closed"), ("1</dev/null", "Bad file descriptor")]
        {
            let ran = redirected(&folder, words, redirection);
            let messages = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(ran.status.code(), Some(1), "{words:?} {redirection}: {messages}");
            let problem = format!("could not write the results: {why}");
            assert!(messages.contains(&problem), "{words:?} {redirection}: {messages}");
        }
        let ran = redirected(&folder, words, ">/dev/null");
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), &b""[..]), "{words:?}");
        // Some programs open standard output for reading and writing when they discard it.
        let ran = redirected(&folder, words, "1<>/dev/null");
        assert_eq!(ran.status.code(), Some(0), "{words:?}");
    }
}

#[test]
#[cfg(unix)]
fn without_standard_error_the_exit_code_tells() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for redirection in ["2>&-", "2</dev/null", "<&- 2>&-"] {
        for (words, code) in [
            (&["info", "run.gen5"][..], 0),
            (&["info", "gone.gen5"], 1),
            (&["info", "--nothing"], 2),
            (&["info", "run.gen5", "--verbose"], 0),
            (&["unpack", "run.gen5", "-o", "out", "--force", "--no-environment-check"], 0),
        ] {
            assert_eq!(
                redirected(&folder, words, redirection).status.code(),
                Some(code),
                "{words:?} {redirection}"
            );
        }
        let ran = redirected(&folder, &["info", "run.gen5"], &format!("{redirection} >&-"));
        assert_eq!(ran.status.code(), Some(1), "{redirection}");
    }
}

#[test]
#[cfg(unix)]
fn standard_input_that_cannot_be_read_is_a_failure() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let array =
        ["pack", "x.gen5", "--latent", "k=-", "--model-name=SD", "--model-version=3", "--no-environment"];
    for words in
        [&["info", "-"][..], &["set", "-", "tags=x"], &["set", "run.gen5", "--metadata", "-"], &array]
    {
        for (redirection, why) in [("<&-", "standard input is closed"), ("0>sink", "Bad file descriptor")] {
            let ran = redirected(&folder, words, redirection);
            let messages = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(ran.status.code(), Some(1), "{words:?} {redirection}: {messages}");
            assert!(messages.contains(why), "{words:?} {redirection}: {messages}");
        }
    }
}

#[test]
#[cfg(unix)]
fn no_more_of_standard_input_is_kept_than_can_be_a_file() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let array =
        ["pack", "x.gen5", "--latent", "k=-", "--model-name=SD", "--model-version=3", "--no-environment"];
    let endless = |words: &[&str], before: &str| {
        // The limit, in units of 512 bytes, is slightly above the largest table that is read.
        let command = format!("cat {before} /dev/zero | (ulimit -f 300000; exec \"$0\" \"$@\")");
        let mut shell = Command::new("sh");
        shell.args(["-c", &command, env!("CARGO_BIN_EXE_gen5")]).args(words).current_dir(folder.path("."));
        let ran = shell.output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    for words in [
        &["info", "-"][..],
        &["verify", "-"],
        &["report", "-", "-o", "x.html", "--no-environment-check", "-f"],
    ] {
        let (code, messages) = endless(words, "");
        assert!(code == Some(3) && messages.contains("not a GEN5 file"), "{words:?}: {messages}");
        let (code, messages) = endless(words, "run.gen5");
        assert!(code == Some(3) && messages.contains("the length of the file"), "{words:?}: {messages}");
    }
    // Headers of a 4 GiB file, of a large file with an early table, and of a file over the limit.
    let small = [&b"GEN5\x01\0\0\0"[..], &[255; 16], &[0; 8]].concat();
    let large = |table: u64| {
        let sizes = [u32::MAX, 0, 2, u32::MAX].map(u32::to_le_bytes).concat();
        [&b"GEN5\x01\x01\x01\0"[..], &sizes, &table.to_le_bytes()].concat()
    };
    for (name, header, says) in [
        ("small", small, "could not keep standard input in a temporary file: File too large"),
        ("large", large(4096), "134217729 bytes are over the limit"),
        ("huge", large(1 << 60), "standard input has more than 64.0 GiB"),
    ] {
        fs::write(folder.path(name), header).unwrap();
        let (code, messages) = endless(&["info", "-"], name);
        assert!(code == Some(1) && messages.contains(says), "{name}: {code:?} {messages}");
    }
    let (code, messages) = endless(&array, "");
    assert!(code == Some(1) && messages.contains("judging by its first bytes"), "{messages}");
    let ran = Command::new("sh")
        .args(["-c", "cat run.gen5 | \"$0\" verify -", env!("CARGO_BIN_EXE_gen5")])
        .current_dir(folder.path("."))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

/// Sets environment variables that affect commands to meaningless values.
#[test]
#[cfg(unix)]
fn variables_of_the_environment_are_harmless() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::new();
    folder.sample("run.gen5");
    let values: [&[u8]; 9] = [
        b"",
        b"0",
        b"-1",
        b"1",
        b"513",
        b"99999999999999999999",
        b"\xff\xfe",
        b"\x1b]0;x\x07",
        &[b'9'; 70_000],
    ];
    let names = [
        "COLUMNS",
        "LINES",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "TERM",
        "COLORTERM",
        "TERM_PROGRAM",
        "KONSOLE_VERSION",
        "RAYON_NUM_THREADS",
        "RAYON_RS_NUM_CPUS",
        "RUST_BACKTRACE",
        "LC_ALL",
        "TZ",
        "HOME",
    ];
    for name in names {
        for value in values {
            for words in [&["info", "run.gen5"][..], &["show", "run.gen5"], &["help"], &["verify", "gone"]] {
                let mut command = gen5();
                command.args(words).env(name, OsStr::from_bytes(value)).current_dir(folder.path("."));
                let ran = command.output().unwrap();
                let code = if words.contains(&"gone") { 1 } else { 0 };
                assert_eq!(ran.status.code(), Some(code), "{name}={}: {ran:?}", value.escape_ascii());
                let printed = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
                let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
                let is_coloured = name == "CLICOLOR_FORCE";
                assert!(
                    is_coloured || !printed.contains(steers),
                    "{name}={}: {printed:?}",
                    value.escape_ascii()
                );
            }
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn threads_are_bounded_and_not_needed() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let verify = |threads: &str, before: &str| {
        let command = format!("{before} exec \"$0\" verify run.gen5");
        let mut shell = Command::new("sh");
        shell.args(["-c", &command, env!("CARGO_BIN_EXE_gen5")]).env("RAYON_NUM_THREADS", threads);
        let ran = shell.current_dir(folder.path(".")).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stderr).unwrap()
    };
    for ignored in ["", "0", "-3", "many"] {
        assert_eq!(verify(ignored, ""), "");
    }
    let messages = verify("100000", "");
    assert!(messages.starts_with("gen5: RAYON_NUM_THREADS is 100000, but "), "{messages}");
    // Enough memory for the stacks of a few threads, which are so large that the command still has
    // enough of its own when one more does not fit.
    let messages = verify("500", "ulimit -v 700000; export RUST_MIN_STACK=200000000;");
    assert!(
        messages.starts_with("gen5: works on one thread because more could not be started: "),
        "{messages}"
    );
    let most = std::thread::available_parallelism().unwrap().get().max(512);
    let ran = folder.run(&["verify", "@/run.gen5", "-j", &(most + 1).to_string()]);
    assert!(
        ran.code == 2 && ran.messages.contains(&format!("expected a number from 1 to {most}")),
        "{ran:?}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_done_at_once_shows_no_bar_on_a_terminal() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let command = format!("{} verify {}", env!("CARGO_BIN_EXE_gen5"), folder.path("run.gen5").display());
    // `script` runs the command on a new terminal.
    let ran =
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success() && shown.contains("fine"), "{shown:?}");
    assert!(!shown.contains("verifying"), "{shown:?}");
}
