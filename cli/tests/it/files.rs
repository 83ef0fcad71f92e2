//! Many files: folders, patterns, standard input, and missing files.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Folder, json_lines};

/// A folder with copies of one file: visible, hidden, in a hidden folder, and partially written. It
/// also has a file of another format.
fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("runs/b")).unwrap();
    fs::create_dir_all(folder.path("runs/.trash")).unwrap();
    let files = [
        "runs/a.gen5",
        "runs/b/[1].gen5",
        "runs/.hidden.gen5",
        "runs/.trash/c.gen5",
        "runs/.d.gen5.Ab12.gen5-partial",
    ];
    for name in files {
        fs::write(folder.path(name), data()).unwrap();
    }
    fs::write(folder.path("runs/note.txt"), "text").unwrap();
    folder
}

fn data() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/no_image.gen5")).unwrap()
}

/// The second column of each line.
fn paths(lines: &str) -> Vec<&str> {
    lines.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect()
}

#[test]
fn folders_are_gone_through_if_that_is_asked_for() {
    let folder = folder();
    assert_eq!(
        paths(&folder.ok(&["fingerprint", "-r", "@/runs"])),
        ["@/runs/a.gen5", "@/runs/b/[1].gen5"],
        "sorted, without what is hidden"
    );
    let ran = folder.run(&["fingerprint", "@/runs", "@/runs/a.gen5"]);
    assert_eq!((ran.code, paths(&ran.out)), (1, vec!["@/runs/a.gen5"]));
    assert_eq!(ran.messages, "gen5: @/runs is a folder; -r reads all .gen5 files below it\n");
    fs::create_dir(folder.path("empty")).unwrap();
    let ran = folder.run(&["verify", "-r", "--json", "@/empty", "@/runs"]);
    assert_eq!((ran.code, ran.messages.as_str()), (1, "gen5: there is no .gen5 file below @/empty\n"));
    let lines = json_lines(&ran.out);
    assert_eq!(lines[0]["error"], "there is no .gen5 file below @/empty");
    assert_eq!(lines.iter().map(|line| line["ok"] == true).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
#[cfg(unix)]
fn links_that_lead_in_circles_are_left() {
    let folder = folder();
    std::os::unix::fs::symlink(folder.path("runs"), folder.path("runs/b/up")).unwrap();
    std::os::unix::fs::symlink(folder.path("runs/a.gen5"), folder.path("runs/b/link.gen5")).unwrap();
    assert_eq!(
        paths(&folder.ok(&["fingerprint", "-r", "@/runs"])),
        ["@/runs/a.gen5", "@/runs/b/[1].gen5", "@/runs/b/link.gen5"]
    );
}

#[test]
fn patterns_need_no_shell() {
    let folder = folder();
    assert_eq!(paths(&folder.ok(&["fingerprint", "@/runs/*.gen5"])), ["@/runs/a.gen5"]);
    assert_eq!(
        paths(&folder.ok(&["fingerprint", "@/runs/**/*.gen5"])),
        ["@/runs/a.gen5", "@/runs/b/[1].gen5"]
    );
    let ran = folder.run(&["fingerprint", "@/runs/*"]);
    assert_eq!((ran.code, paths(&ran.out)), (3, vec!["@/runs/a.gen5"]), "what is matched is looked at");
}

#[test]
fn a_name_that_is_a_pattern_is_a_file_where_there_is_one() {
    let folder = folder();
    assert_eq!(paths(&folder.ok(&["fingerprint", "@/runs/b/[1].gen5"])), ["@/runs/b/[1].gen5"]);
    let ran = folder.run(&["info", "@/runs/x*.gen5", "@/runs/[.gen5"]);
    assert_eq!(ran.code, 1);
    let lines: Vec<&str> = ran.messages.lines().collect();
    assert_eq!(lines[0], "gen5: nothing matches @/runs/x*.gen5");
    assert!(lines[1].contains("is neither an existing file nor a valid pattern"), "{ran:?}");
}

#[test]
fn json_is_a_line_for_each_of_several_files() {
    let folder = folder();
    for command in ["info", "verify", "fingerprint"] {
        assert!(
            folder.ok(&[command, "--json", "@/runs/a.gen5"]).lines().count() > 1,
            "{command}: for people"
        );
        let ran = folder.run(&[command, "--json", "@/runs/a.gen5", "@/runs/note.txt", "@/runs/b/[1].gen5"]);
        let lines = json_lines(&ran.out);
        assert_eq!((ran.code, lines.len()), (3, 3), "{command}");
        assert!(lines[1]["error"].as_str().unwrap().contains("not a GEN5 file"), "{command}");
        assert!(lines[2]["error"].is_null() && lines[2]["path"].is_string(), "{command}");
        let ran = folder.run(&[command, "--json", "@/*/a.gen5"]);
        assert_eq!(json_lines(&ran.out).len(), 1, "{command}: a pattern can match several");
    }
}

#[test]
fn standard_input_is_a_file_once() {
    let folder = folder();
    let data = data();
    for (command, shown) in [
        (&["info", "-"][..], "-: GEN5 1.0"),
        (&["verify", "-"], "-: fine, 2 chunks"),
        (&["ls", "-"], "z\tfloat16"),
        (&["fingerprint", "-"], ""),
        (&["diff", "-", "@/runs/a.gen5"], "- and @/runs/a.gen5 are the same"),
        (&["env", "-", "@/runs/a.gen5"], "-: the environment matches that of @/runs/a.gen5"),
        (&["unpack", "-", "-o", "@/out", "--no-environment-check"], "@/out: 1 latent"),
    ] {
        let ran = folder.run_with_input(command, &data);
        assert_eq!((ran.code, ran.messages.as_str()), (0, ""), "{command:?}");
        assert!(ran.out.starts_with(shown), "{command:?}: {ran:?}");
    }
    for words in [&["info", "-", "-"][..], &["report", "-", "@/runs/a.gen5", "-", "-o", "@/x.html"]] {
        let ran = folder.run_with_input(words, &data);
        let said = "gen5: - is standard input, which can be read once\n";
        assert_eq!((ran.code, ran.out.as_str(), ran.messages.as_str()), (2, "", said));
    }
    assert!(!folder.path("x.html").exists());
    assert_eq!(folder.run_with_input(&["info", "-"], b"text").code, 3);
}

#[test]
fn what_is_not_there_brings_a_proposal() {
    let folder = folder();
    let ran = folder.run(&["info", "@/runs/aa.gen5"]);
    assert_eq!(ran.code, 1);
    assert!(ran.messages.ends_with("; did you mean a.gen5?\n"), "{ran:?}");
    fs::write(folder.path("steps.gen5"), include_bytes!("../../../tests/data/zstd_f16.gen5")).unwrap();
    let ran = folder.run(&["cat", "@/steps.gen5", "inital_noise"]);
    let expected =
        "gen5: @/steps.gen5: no latent is called \"inital_noise\"; did you mean \"initial_noise\"?\n";
    assert_eq!((ran.code, ran.messages.as_str()), (1, expected));
}

#[test]
fn a_file_goes_to_standard_output() {
    let folder = Folder::new();
    folder.npy("a.npy", &[4], &[1.5; 4]);
    let words = [
        "--latent",
        "@/a.npy",
        "--model-name",
        "SD",
        "--model-version",
        "3",
        "--no-environment",
        "--date",
        "2026-11-22",
    ];
    folder.ok(&[&["pack", "@/a.gen5"], &words[..]].concat());
    let (code, out, messages) = folder.run_for_bytes(&[&["pack", "-"], &words[..]].concat());
    assert_eq!((code, messages.as_str()), (0, ""));
    assert!(out == fs::read(folder.path("a.gen5")).unwrap(), "the same bytes");
    let ran = folder.run_on_terminal(&[&["pack", "-"], &words[..]].concat());
    assert!(ran.code == 2 && ran.messages.contains("would garble the terminal"), "{ran:?}");
    let given = ["--image", "-", "--metadata", "-"];
    let ran = folder.run_with_input(&[&["pack", "@/b.gen5"], &words[..], &given].concat(), b"x");
    assert!(ran.code == 2 && ran.messages.contains("can be read once"), "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5", "a.npy"]);
}

#[test]
fn what_changes_a_file_works_in_a_pipe() {
    let folder = Folder::new();
    folder.npy("x.npy", &[2], &[1.0, 2.0]);
    let model = ["--model-name", "SD", "--model-version", "3", "--no-environment", "--date", "2026-11-24"];
    folder.ok(&[&["pack", "@/one.gen5", "--latent", "@/x.npy"][..], &model].concat());
    let (one, before) = (fs::read(folder.path("one.gen5")).unwrap(), folder.names());

    let (code, repacked, messages) = folder.run_for_bytes(&["repack", "@/one.gen5", "-"]);
    assert!(code == 0 && messages.is_empty() && repacked == one, "{messages}");
    let (code, merged, _) = folder.run_for_bytes(&["merge", "@/one.gen5", "-o", "-"]);
    assert!(code == 0 && merged.starts_with(b"GEN5"));
    let (code, changed, _) = folder.run_for_bytes(&["set", "@/one.gen5", "prompt=sea", "-o", "-"]);
    assert!(code == 0 && gen5::Reader::from_bytes(changed).unwrap().model_info_json().contains("\"sea\""));
    assert_eq!(folder.names(), before);
    for words in [&["repack", "@/one.gen5", "-"][..], &["set", "@/one.gen5", "prompt=sea", "-o", "-"]] {
        let ran = folder.run_on_terminal(words);
        assert!(ran.code == 2 && ran.messages.contains("would garble the terminal"), "{ran:?}");
    }
}

#[test]
fn a_file_from_standard_input_is_changed_on_its_way_to_standard_output() {
    let folder = Folder::new();
    folder.npy("x.npy", &[2], &[1.0, 2.0]);
    let model = ["--model-name", "SD", "--model-version", "3", "--no-environment"];
    folder.ok(&[&["pack", "@/one.gen5", "--latent", "@/x.npy"][..], &model].concat());
    let one = fs::read(folder.path("one.gen5")).unwrap();
    let changed = Command::new(env!("CARGO_BIN_EXE_gen5"))
        .args(["set", "-", "prompt=sea"])
        .stdin(fs::File::open(folder.path("one.gen5")).unwrap())
        .output()
        .unwrap();
    assert!(changed.status.success() && changed.stderr.is_empty());
    assert!(gen5::Reader::from_bytes(changed.stdout).unwrap().model_info_json().contains("\"sea\""));
    assert!(fs::read(folder.path("one.gen5")).unwrap() == one, "the file itself stays as it is");
}

#[test]
fn a_destination_is_refused_before_the_work() {
    let folder = Folder::new();
    fs::create_dir(folder.path("folder.html")).unwrap();
    for (words, problem) in [
        (&["report", "@/a.gen5", "-o", "@/no/x.html"][..], "could not create @/no/x.html: No such file"),
        (
            &["report", "@/a.gen5", "-o", "@/folder.html", "--force"],
            "the path exists, but is not a regular file",
        ),
    ] {
        let ran = folder.run(words);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.messages.contains(problem) && !ran.messages.contains("a.gen5"), "{ran:?}");
    }
    assert_eq!(folder.names(), ["folder.html"]);
}

/// Commands that make one file, up to the output's name, and the extension it must have.
const MAKERS: [(&[&str], &str); 2] = [
    (&["report", "@/run.gen5", "--force", "--no-environment-check", "-o"], "html"),
    (&["render", "@/run.gen5", "--force", "-o"], "png"),
];

#[test]
#[cfg(unix)]
fn a_picture_or_page_keeps_the_mode_and_the_link_that_are_there() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    let folder = Folder::new();
    folder.sample("run.gen5");
    fs::create_dir(folder.path("inner")).unwrap();
    let target = folder.path("inner/x");
    for (words, extension) in MAKERS {
        let name = format!("link.{extension}");
        let link = folder.path(&name);
        symlink("inner/x", &link).unwrap();
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        folder.ok(&[words, &[&*format!("@/{name}")]].concat());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "{words:?}");
        let there = fs::metadata(&target).unwrap();
        assert!(there.mode() & 0o777 == 0o600 && there.len() > 3, "{words:?}: {there:?}");
    }
    fs::create_dir(folder.path("man")).unwrap();
    symlink("../inner/x", folder.path("man/gen5.1")).unwrap();
    folder.ok(&["man", "-o", "@/man", "--force"]);
    assert!(fs::read_to_string(&target).unwrap().contains(".TH"));
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o600);
}

#[test]
#[cfg(unix)]
fn a_picture_or_page_does_not_replace_what_is_no_file() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for (words, extension) in MAKERS {
        let name = format!("x.{extension}");
        let _socket = std::os::unix::net::UnixListener::bind(folder.path(&name)).unwrap();
        let ran = folder.run(&[words, &[&*format!("@/{name}")]].concat());
        assert!(ran.code == 1 && ran.messages.contains("not a regular file"), "{ran:?}");
        assert!(!fs::symlink_metadata(folder.path(&name)).unwrap().is_file());
    }
    assert_eq!(folder.names(), ["run.gen5", "x.html", "x.png"]);
}

#[test]
fn a_picture_or_page_may_have_the_longest_name() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for (words, extension) in MAKERS {
        folder.ok(&[words, &[&*format!("@/{}.{extension}", "n".repeat(240))]].concat());
    }
}

/// If `-o` is followed by a pattern by mistake, its first match becomes the output and the others
/// the inputs.
#[test]
fn a_page_is_no_gen5_file_and_a_folder_is_not_standard_output() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    folder.sample("b.gen5");
    let before = fs::read(folder.path("a.gen5")).unwrap();
    let ran = folder.run(&["report", "-f", "-o", "@/a.gen5", "@/b.gen5"]);
    let problem = "gen5: @/a.gen5 must end in .html, the format of the page\n";
    assert_eq!((ran.code, ran.messages.as_str()), (2, problem));
    assert!(fs::read(folder.path("a.gen5")).unwrap() == before);
    let problem = "gen5: a folder cannot go to standard output; for one called -, write ./-\n";
    for words in
        [&["unpack", "@/a.gen5", "-o", "-"][..], &["split", "@/a.gen5", "-o", "-"], &["man", "-o", "-"]]
    {
        let ran = folder.run(words);
        assert_eq!((ran.code, ran.messages.as_str()), (2, problem), "{words:?}");
    }
}

#[test]
#[cfg(unix)]
fn what_has_no_end_is_refused() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let ran = folder.run(&["set", "@/run.gen5", "--metadata", "/dev/zero"]);
    let message = "gen5: /dev/zero has more than 64.0 MiB, the limit on a text\n";
    assert_eq!((ran.code, ran.messages.as_str()), (1, message));
}

#[test]
fn merge_takes_patterns_and_folders() {
    let folder = folder();
    for files in [&["@/runs/**/*.gen5"][..], &["-r", "@/runs"], &["-r", "@/r*"]] {
        folder.ok(&[&["merge", "--prefix", "--force", "-o", "@/all.gen5"], files].concat());
        let listed = folder.ok(&["ls", "@/all.gen5"]);
        let keys: Vec<&str> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(keys, ["a/z", "[1]/z"], "{files:?}");
    }
    let before = fs::read(folder.path("all.gen5")).unwrap();
    let ran = folder.run(&["merge", "--prefix", "--force", "-o", "@/all.gen5", "-r", "@/"]);
    let message = "gen5: the output @/all.gen5 is also among the files that were found; name the files, or \
         write the output elsewhere\n";
    assert_eq!((ran.code, &*ran.messages), (1, message));
    assert!(fs::read(folder.path("all.gen5")).unwrap() == before);
    folder.ok(&["merge", "--prefix", "--force", "-o", "@/all.gen5", "@/all.gen5", "@/runs/a.gen5"]);
    for (files, error) in [
        ("@/runs", "@/runs is a folder; -r reads all .gen5 files below it"),
        ("@/runs/x*.gen5", "nothing matches @/runs/x*.gen5"),
    ] {
        let ran = folder.run(&["merge", "-o", "@/x.gen5", "@/runs/a.gen5", files]);
        assert_eq!((ran.code, ran.messages), (1, format!("gen5: {error}\n")));
    }
    assert!(!folder.path("x.gen5").exists());
}

#[test]
fn pack_takes_patterns() {
    let folder = Folder::new();
    for name in ["b.npy", "a.npy", "one[1].npy", "one1.npy"] {
        folder.npy(name, &[2], &[1.0, 2.0]);
    }
    fs::create_dir(folder.path("c.npy")).unwrap();
    let pack = |latents: &[&str]| {
        let words =
            ["pack", "@/x.gen5", "--model-name=SD", "--model-version=3", "--no-environment", "--force"];
        folder.run(&[&words[..], &["--latent"], latents].concat())
    };
    let keys = |latents: &[&str]| {
        let ran = pack(latents);
        assert_eq!((ran.code, &*ran.messages), (0, ""), "{latents:?}");
        let listed = folder.ok(&["ls", "@/x.gen5"]);
        listed.lines().filter_map(|line| Some(line.split('\t').next()?.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(keys(&["@/?.npy", "key=@/one1*"]), ["a", "b", "key"], "sorted, without the folder");
    assert_eq!(keys(&["@/one[1].npy"]), ["one[1]"], "a file of that name is that file");
    let ran = pack(&["key=@/?.npy"]);
    let message = "gen5: key=@/?.npy: the pattern matches 2 files, too many for one key; --from key=@ \
         makes one latent of all files in the folder\n";
    assert_eq!((ran.code, &*ran.messages), (2, message));
    for none in ["@/x*.npy", "@/c*"] {
        assert_eq!(pack(&[none]).messages, format!("gen5: nothing matches {none}\n"));
    }
}
