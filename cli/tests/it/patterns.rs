//! Patterns that the shell did not expand.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Folder, Ran};

/// A folder with empty files of these names.
fn folder(names: &[&str]) -> Folder {
    let folder = Folder::new();
    for name in names {
        let path = folder.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

/// The files that were read. None is a GEN5 file, so each gets a message.
fn looked_at(ran: &Ran) -> Vec<&str> {
    ran.messages.lines().map(|line| line.split(": ").nth(1).unwrap().trim_start_matches("@/")).collect()
}

#[test]
fn characters_of_patterns_mean_what_they_do_in_a_shell() {
    let names = [
        "a1.x",
        "a10.x",
        "a2.x",
        "b1.x",
        "é1.x",
        "[1].x",
        "]1.x",
        "-1.x",
        "!1.x",
        "{a,b}.x",
        "a.x",
        "b.x",
        ".h.x",
        "sub/a1.x",
        "sub/deep/a1.x",
        "sub/.hidden/a1.x",
        ".git/a1.x",
        "A1.x",
    ];
    let folder = folder(&names);
    let table: [(&str, &[&str]); 24] = [
        ("a?.x", &["a1.x", "a2.x"]),
        ("a*.x", &["a.x", "a1.x", "a10.x", "a2.x"]),
        ("?1.x", &["!1.x", "-1.x", "A1.x", "]1.x", "a1.x", "b1.x", "é1.x"]),
        ("[ab]1.x", &["a1.x", "b1.x"]),
        ("[!ab]1.x", &["!1.x", "-1.x", "A1.x", "]1.x", "é1.x"]),
        ("[a-c]1.x", &["a1.x", "b1.x"]),
        ("[à-ü]1.x", &["é1.x"]),
        ("[a-]1.x", &["-1.x", "a1.x"]),
        ("[]]1.x", &["]1.x"]),
        ("[!]]1.x", &["!1.x", "-1.x", "A1.x", "a1.x", "b1.x", "é1.x"]),
        ("[[]1[]].x", &["[1].x"]),
        ("[1].x*", &[]),
        ("{a,b}.[x]", &["{a,b}.x"]),
        (
            "*.x",
            &[
                "!1.x", "-1.x", "A1.x", "[1].x", "]1.x", "a.x", "a1.x", "a10.x", "a2.x", "b.x", "b1.x",
                "{a,b}.x", "é1.x",
            ],
        ),
        (".*.x", &[".h.x"]),
        ("[.]h.x", &[]),
        ("?h.x", &[]),
        (".git/a*.x", &[".git/a1.x"]),
        ("*/a1.x", &["sub/a1.x"]),
        ("**/a1.x", &["a1.x", "sub/a1.x", "sub/deep/a1.x"]),
        ("**/**/deep/**/a?.x", &["sub/deep/a1.x"]),
        ("sub/**/a1.x", &["sub/a1.x", "sub/deep/a1.x"]),
        ("sub/../a?.x", &["sub/../a1.x", "sub/../a2.x"]),
        ("s*/../b?.x", &["sub/../b1.x"]),
    ];
    for (pattern, expected) in table {
        let ran = folder.run(&["verify", &format!("@/{pattern}")]);
        match expected {
            [] => assert_eq!(ran.messages, format!("gen5: nothing matches @/{pattern}\n")),
            _ => assert_eq!(looked_at(&ran), expected, "{pattern}"),
        }
    }
    for (pattern, why) in [
        ("a**", "** matches folders, and must be a whole name, as in **/*.gen5"),
        ("***", "** matches folders, and must be a whole name, as in **/*.gen5"),
        ("x[", "a [ needs a closing ] in the same name; [[] matches the character ["),
        ("x[]", "a [ needs a closing ] in the same name; [[] matches the character ["),
        ("x[!]", "a [ needs a closing ] in the same name; [[] matches the character ["),
        ("[a/b]", "a [ needs a closing ] in the same name; [[] matches the character ["),
    ] {
        let ran = folder.run(&["verify", &format!("@/{pattern}")]);
        let problem = format!("gen5: @/{pattern} is neither an existing file nor a valid pattern: {why}\n");
        assert_eq!((ran.code, ran.messages), (1, problem));
    }
}

#[test]
fn a_pattern_that_ends_in_a_separator_matches_folders_only() {
    let folder = folder(&["a.gen5", "b.gen5/x.gen5"]);
    assert_eq!(folder.run(&["verify", "@/*.gen5/"]).messages, "gen5: nothing matches @/*.gen5/\n");
    assert_eq!(looked_at(&folder.run(&["verify", "-r", "@/*.gen5/"])), ["b.gen5/x.gen5"]);
}

#[test]
fn with_r_each_file_of_the_folders_that_match_is_looked_at_once() {
    let folder = folder(&["a/x.gen5", "a/b/X.GEN5", "a/c/note.txt", "d/y.gen5"]);
    for pattern in ["@/**", "@/*", "@/[ad]"] {
        assert_eq!(
            looked_at(&folder.run(&["verify", "-r", pattern])),
            ["a/b/X.GEN5", "a/x.gen5", "d/y.gen5"]
        );
    }
    assert_eq!(folder.run(&["verify", "-r", "@/a/c*"]).messages, "gen5: nothing matches @/a/c*\n");
}

#[test]
#[cfg(unix)]
fn links_are_followed_and_each_folder_is_looked_through_once() {
    use std::os::unix::fs::symlink;

    let folder = folder(&["real/x.gen5", "outside/y.gen5"]);
    // Each folder links twice to the next one, so 2^40 paths lead to the last.
    for level in 0..40 {
        let inner = folder.path(&format!("chain/{level:02}"));
        fs::create_dir_all(&inner).unwrap();
        for link in ["l", "r"] {
            symlink(format!("../{:02}", level + 1), inner.join(link)).unwrap();
        }
    }
    fs::create_dir(folder.path("chain/40")).unwrap();
    fs::write(folder.path("chain/40/z.gen5"), "").unwrap();
    symlink("..", folder.path("real/up")).unwrap();
    symlink(".", folder.path("real/here")).unwrap();
    symlink("real", folder.path("alias")).unwrap();
    let expected = ["chain/40/z.gen5", "outside/y.gen5", "real/x.gen5"];
    assert_eq!(looked_at(&folder.run(&["verify", "@/**/*.gen5"])), expected);
    assert_eq!(looked_at(&folder.run(&["verify", "-r", "@/"])), expected);
    assert_eq!(looked_at(&folder.run(&["verify", "@/alias/*.gen5"])), ["alias/x.gen5"]);
    assert_eq!(looked_at(&folder.run(&["verify", "@/a*s/*.gen5"])), ["alias/x.gen5"]);
    assert_eq!(looked_at(&folder.run(&["verify", "@/**/l/z.gen5"])), ["chain/39/l/z.gen5"]);
}

#[test]
#[cfg(unix)]
fn what_cannot_be_looked_at_is_told_and_the_rest_is_found() {
    use std::os::unix::fs::symlink;

    let folder = folder(&["a/x.gen5", "b/y.gen5"]);
    symlink("gone", folder.path("link")).unwrap();
    symlink("missing", folder.path("a/gone.gen5")).unwrap();
    let gone = "No such file or directory (os error 2)";
    for words in [&["verify", "-r", "@/"][..], &["verify", "@/**/*.gen5"]] {
        let ran = folder.run(words);
        assert!(ran.messages.contains(&format!("gen5: could not inspect @/link: {gone}\n")), "{ran:?}");
        assert_eq!(ran.messages.matches("@/a/gone.gen5: No such file").count(), 1, "{ran:?}");
        assert!(ran.messages.contains("@/a/x.gen5: ") && ran.messages.contains("@/b/y.gen5: "), "{ran:?}");
    }
    // Like a shell, the pattern skips matches that do not exist.
    assert_eq!(looked_at(&folder.run(&["verify", "@/*/y.gen5"])), ["b/y.gen5"]);
}

/// Nested folders whose paths exceed the system's limit.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_looked_into_is_told() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    let folder = folder(&["a/x.gen5"]);
    let (mut inner, name) = (fs::File::open(folder.path("a")).unwrap(), "n".repeat(250));
    for _ in 0..20 {
        mkdirat(&inner, &name, Mode::RWXU).unwrap();
        inner = openat(&inner, &name, OFlags::DIRECTORY, Mode::empty()).unwrap().into();
    }
    for words in [&["verify", "-r", "@/"][..], &["verify", "@/**/*.gen5"]] {
        let ran = folder.run(words);
        assert!(
            ran.messages.contains("gen5: could not inspect @/a/nnn")
                && ran.messages.contains(": File name too long"),
            "{ran:?}"
        );
        assert!(ran.messages.contains("@/a/x.gen5: "), "{ran:?}");
    }
    let long = format!("@/*/{}/x.gen5", "n".repeat(300));
    assert_eq!(folder.run(&["verify", &long]).messages, format!("gen5: nothing matches {long}\n"));
}

#[test]
fn a_pattern_costs_what_the_folders_cost_that_it_can_match() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("many/sub")).unwrap();
    fs::create_dir_all(folder.path("few")).unwrap();
    for number in 0..100_000 {
        fs::File::create(folder.path(&format!("many/{number}.npy"))).unwrap();
    }
    fs::write(folder.path("few/x.gen5"), "").unwrap();
    fs::write(folder.path("many/sub/y.gen5"), "").unwrap();
    let timed = |pattern: &str, found: &[&str]| {
        let start = Instant::now();
        assert_eq!(looked_at(&folder.run(&["verify", pattern])), found);
        start.elapsed()
    };
    let many = timed("@/m*/**/*.gen5", &["many/sub/y.gen5"]);
    assert!(many < Duration::from_secs(20), "{many:?}");
    let few = timed("@/few/*.gen5", &["few/x.gen5"]);
    assert!(few * 5 < many, "{few:?} of {many:?}");
    let stars = format!("@/many/{}b", "*1".repeat(40));
    let start = Instant::now();
    assert_eq!(folder.run(&["verify", &stars]).messages, format!("gen5: nothing matches {stars}\n"));
    assert!(start.elapsed() < Duration::from_secs(20));
}
