//! The programs and libraries that commands start and load, as `SECURITY.md` lists them. None comes
//! from the working folder.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::fake_nvml::library;
use crate::support::Folder;

/// A folder with an array and two files, `other.gen5` and `run.gen5`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.npy("noise.npy", &[2], &[0.0, 1.0]);
    for name in ["run.gen5", "other.gen5"] {
        let out = format!("@/{name}");
        folder.ok(&["pack", &out, "--latent", "@/noise.npy", "--model-name=SD", "--model-version=3"]);
    }
    folder
}

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the command in a working folder with only these environment variables.
fn gen5(folder: &Path, words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut gen5 = Command::new(env!("CARGO_BIN_EXE_gen5"));
    gen5.args(words).current_dir(folder).env_clear().envs(environment.iter().copied()).output().unwrap()
}

/// The programs and libraries that a command line starts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Started {
    python: bool,
    nvidia: bool,
}

const NOTHING: Started = Started { python: false, nvidia: false };
const BOTH: Started = Started { python: true, nvidia: true };
const PYTHON: Started = Started { python: true, nvidia: false };
const NVIDIA: Started = Started { python: false, nvidia: true };

const PACK: [&str; 6] =
    ["pack", "new.gen5", "--latent=noise.npy", "--model-name=SD", "--model-version=3", "-f"];
const UNPACK: [&str; 5] = ["unpack", "run.gen5", "-o", "out", "-f"];
const REPORT: [&str; 5] = ["report", "run.gen5", "-o", "page.html", "-f"];

#[test]
fn only_these_commands_start_python_or_load_the_nvidia_library() {
    let cases: [(&[&str], &[&str], Started); 32] = [
        (&PACK, &[], BOTH),
        (&PACK, &["--no-python"], NVIDIA),
        (&PACK, &["--no-gpus"], PYTHON),
        (&PACK, &["--no-environment"], NOTHING),
        (&PACK, &["--environment", "environment.json"], NOTHING),
        (&UNPACK, &[], BOTH),
        (&UNPACK, &["--no-python"], NVIDIA),
        (&UNPACK, &["--no-gpus"], PYTHON),
        (&UNPACK, &["--no-environment-check"], NOTHING),
        (&REPORT, &[], BOTH),
        (&REPORT, &["--no-python"], NVIDIA),
        (&REPORT, &["--no-gpus"], PYTHON),
        (&REPORT, &["--no-environment-check"], NOTHING),
        (&["env"], &[], BOTH),
        (&["env"], &["run.gen5"], BOTH),
        (&["env", "run.gen5"], &["--no-python"], NVIDIA),
        (&["env", "run.gen5"], &["--no-python", "--no-gpus"], NOTHING),
        (&["env", "run.gen5"], &["other.gen5"], NOTHING),
        (&["info", "run.gen5"], &[], NOTHING),
        (&["info", "run.gen5"], &["--check-environment"], BOTH),
        (&["info", "run.gen5"], &["--check-environment", "--no-python", "--no-gpus"], NOTHING),
        (&["ls", "run.gen5"], &[], NOTHING),
        (&["cat", "run.gen5", "noise"], &[], NOTHING),
        (&["diff", "run.gen5", "run.gen5"], &[], NOTHING),
        (&["show", "run.gen5"], &[], NOTHING),
        (&["render", "run.gen5", "-o", "sheet.png"], &[], NOTHING),
        (&["verify", "run.gen5"], &[], NOTHING),
        (&["fingerprint", "run.gen5"], &[], NOTHING),
        (&["set", "run.gen5", "tags=sea"], &["-o", "set.gen5"], NOTHING),
        (&["repack", "run.gen5", "repacked.gen5"], &[], NOTHING),
        (&["merge", "run.gen5", "other.gen5", "-o", "merged.gen5"], &["--stack"], NOTHING),
        (&["split", "run.gen5", "-o", "parts"], &[], NOTHING),
    ];
    let others: [&[&str]; 2] = [&["completions", "bash"], &["man", "-o", "man"]];
    let cases = cases.into_iter().chain(others.map(|words| (words, &[][..], NOTHING)));

    let folder = folder();
    let libraries = library(&folder, &[]);
    let (started, loaded) = (folder.path("started"), folder.path("loaded"));
    program(&folder.path("bin/python3"), &format!("echo >> '{}'", started.display()));
    let environment_json = folder.ok(&["unpack", "@/run.gen5", "-o", "@/out", "--no-environment-check"]);
    assert!(environment_json.contains("1 latent"));
    fs::copy(folder.path("out/environment.json"), folder.path("environment.json")).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path("bin").display());
    let environment = [
        ("PATH", path.as_str()),
        ("LD_LIBRARY_PATH", libraries.to_str().unwrap()),
        ("FAKE_NVML_LOADED", loaded.to_str().unwrap()),
    ];
    let mut commands = BTreeSet::new();
    for (words, more, expected) in cases {
        let words = [words, more].concat();
        let ran = gen5(&folder.path("."), &words, &environment);
        let is_done = ran.status.success() || (words[0] == "env" && ran.status.code() == Some(4));
        assert!(is_done, "{words:?}: {ran:?}");
        let found = Started { python: started.exists(), nvidia: loaded.exists() };
        assert_eq!(found, expected, "{words:?}");
        // The marks may not exist.
        let _ = (fs::remove_file(&started), fs::remove_file(&loaded));
        commands.insert(words[0].to_owned());
    }
    let help = String::from_utf8(gen5(&folder.path("."), &["--help"], &[]).stdout).unwrap();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split_once(' ')).map(|(name, _)| name);
    let mut all: BTreeSet<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    assert!(all.remove("help"));
    assert_eq!(commands, all, "every command is tried");
}

/// An untrusted working folder. Each program or module in it leaves a mark when it runs.
struct Stranger {
    folder: Folder,
    /// The folder of a real interpreter, `python3`.
    python: String,
}

impl Stranger {
    fn new() -> Self {
        let folder = folder();
        fs::create_dir(folder.path("there")).unwrap();
        let asked = Command::new("python3").args(["-c", TELL]).output().unwrap();
        let told = String::from_utf8(asked.stdout).unwrap();
        let [python, version] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
        let stranger = Self { folder, python: python.to_owned() };
        stranger.add_programs();
        stranger.add_modules(version);
        stranger.add_compiled();
        stranger
    }

    fn there(&self) -> PathBuf {
        self.folder.path("there")
    }

    fn mark(&self) -> PathBuf {
        self.folder.path("mark")
    }

    fn add_programs(&self) {
        let text = format!("echo $0 >> '{}'", self.mark().display());
        for path in ["python3", "python", "env", "sh", "bash", "bin/python3", "bin/python"] {
            program(&self.there().join(path), &text);
        }
    }

    /// Adds modules that an interpreter may import before it runs any code.
    fn add_modules(&self, version: &str) {
        let packages = format!("lib/python{version}/site-packages");
        let of_user = format!(".local/{packages}");
        let library = format!("home/lib/python{version}");
        for folder in [".", "lib", &library, &packages, &of_user] {
            for name in ["os", "site", "sitecustomize", "usercustomize", "encodings/__init__", "x"] {
                let path = self.there().join(folder).join(name).with_extension("py");
                // The text must not import a module that it replaces.
                let text = format!(
                    "import posix\n\
                     mark = posix.open(b{:?}, posix.O_CREAT | posix.O_WRONLY | posix.O_APPEND)\n\
                     posix.write(mark, b'{folder}/{name} ')\n",
                    self.mark()
                );
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            fs::write(self.there().join(folder).join("x.pth"), "import x\n").unwrap();
        }
    }

    fn add_compiled(&self) {
        let mut python = Command::new(Path::new(&self.python).join("python3"));
        python.args(["-c", COMPILE]).arg(self.mark()).current_dir(self.there());
        assert!(python.status().unwrap().success());
    }

    /// Runs a command in the folder. Returns its messages and the marks.
    fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> (String, Option<String>) {
        let ran = gen5(&self.there(), words, environment);
        let marked = fs::read_to_string(self.mark()).ok();
        // There may be no mark.
        let _ = fs::remove_file(self.mark());
        let messages = String::from_utf8(ran.stderr).unwrap();
        assert!(matches!(ran.status.code(), Some(0 | 4)), "{words:?}: {messages}");
        (messages, marked)
    }
}

/// Prints an interpreter's folder and version.
const TELL: &str = "import os, sys; print(os.path.dirname(os.path.realpath(sys.executable))); \
    print('%d.%d' % sys.version_info[:2])";

/// Compiles different code under the name of a module imported at startup, into the folder `cache`.
const COMPILE: &str = r#"import encodings.aliases as module, importlib.util, marshal, os, struct, sys
sys.pycache_prefix = 'cache'
state = os.stat(module.__file__)
path = importlib.util.cache_from_source(module.__file__)
os.makedirs(os.path.dirname(path))
mark = 'import posix; posix.close(posix.open(%r, posix.O_CREAT)); aliases = {}' % sys.argv[1].encode()
code = compile(mark, 'x', 'exec')
head = struct.pack('<III', 0, int(state.st_mtime), state.st_size & 0xffffffff)
open(path, 'wb').write(importlib.util.MAGIC_NUMBER + head + marshal.dumps(code))"#;

const COMMANDS: [&[&str]; 6] = [
    &["pack", "new.gen5", "--latent=../noise.npy", "--model-name=SD", "--model-version=3", "-f"],
    &["unpack", "../run.gen5", "-o", "out", "-f"],
    &["report", "../run.gen5", "-o", "page.html", "-f"],
    &["env"],
    &["env", "../run.gen5"],
    &["info", "../run.gen5", "--check-environment"],
];

#[test]
fn no_program_of_the_working_folder_is_started() {
    let stranger = Stranger::new();
    let python = stranger.python.as_str();
    let remedy = "set an absolute path, or name the interpreter with --python";
    let is_relative = |name: &str, folder: &str| {
        format!("gen5: {name} is ignored because \"{folder}\" is a relative path; {remedy}\n")
    };
    let entry = |entry: &str| {
        format!(
            "gen5: the entry \"{entry}\" of PATH, which has \"python3\", is ignored because it is relative; {remedy}\n"
        )
    };
    let [empty_before, empty_behind, dot, bin, behind] = [
        format!(":{python}"),
        format!("{python}:"),
        format!(".:{python}"),
        format!("bin:{python}"),
        format!("{python}:."),
    ];
    let cases: [(&[(&str, &str)], String); 14] = [
        (&[("PATH", python), ("VIRTUAL_ENV", "")], String::new()),
        (&[("PATH", python), ("CONDA_PREFIX", "")], String::new()),
        (&[("PATH", python), ("VIRTUAL_ENV", "."), ("CONDA_PREFIX", "")], is_relative("VIRTUAL_ENV", ".")),
        (&[("PATH", python), ("VIRTUAL_ENV", "../there")], is_relative("VIRTUAL_ENV", "../there")),
        (&[("PATH", python), ("CONDA_PREFIX", "./")], is_relative("CONDA_PREFIX", "./")),
        (&[("PATH", &empty_before)], String::new()),
        (&[("PATH", &empty_behind)], String::new()),
        (&[("PATH", "")], String::new()),
        (&[("PATH", ":")], String::new()),
        (&[], String::new()),
        (&[("PATH", &dot)], entry(".")),
        (&[("PATH", &bin)], entry("bin")),
        (&[("PATH", "bin")], entry("bin")),
        (&[("PATH", &behind)], String::new()),
    ];
    for (environment, expected) in cases {
        for words in COMMANDS {
            let (messages, marked) = stranger.run(words, environment);
            assert_eq!(marked, None, "{words:?} with {environment:?}");
            // Other messages compare the environment, which is not tested here.
            let notes: String =
                messages.split_inclusive('\n').filter(|line| line.contains("ignored")).collect();
            assert_eq!(notes, expected, "{words:?} with {environment:?}");
        }
    }
    // An interpreter that is named explicitly is used.
    let (_, marked) = stranger.run(&["env", "--python", "./python3"], &[("PATH", python)]);
    assert_eq!(marked.as_deref(), Some("./python3\n"));
    let (messages, marked) = stranger.run(&["env", "--python", "python"], &[("PATH", ":/none")]);
    let expected = "gen5: Python at python: it is not in any folder of PATH; to give a path, include a \
         separator, as in ./python\n";
    assert_eq!((messages.as_str(), marked), (expected, None));
}

#[test]
fn a_script_in_the_place_of_an_interpreter_finds_no_program_of_the_working_folder() {
    let stranger = Stranger::new();
    let shims = stranger.folder.path("shims");
    let text = format!("exec sh -c 'exec \"$0\" \"$@\"' {}/python3 \"$@\"", stranger.python);
    program(&shims.join("python3"), &text);
    for before in ["", ".", "bin:"] {
        let path = format!("{before}:{}:/usr/bin:/bin", shims.display());
        let (messages, marked) = stranger.run(&["env"], &[("PATH", &path)]);
        assert_eq!(marked, None, "{path}: {messages}");
    }
}

#[test]
fn no_module_of_the_working_folder_is_imported() {
    let stranger = Stranger::new();
    let path = ("PATH", stranger.python.as_str());
    let note = |name: &str, value: &str| {
        format!("gen5: relative paths in {name} are ignored: \"{value}\"; set absolute paths\n")
    };
    let cases = [
        ("PYTHONPATH", "", String::new()),
        ("PYTHONPATH", ":/none", String::new()),
        ("PYTHONPATH", "/none::/none", String::new()),
        ("PYTHONPATH", ".", note("PYTHONPATH", ".")),
        ("PYTHONPATH", "/none:lib", note("PYTHONPATH", "lib")),
        ("PYTHONHOME", "home", note("PYTHONHOME", "home")),
        ("PYTHONUSERBASE", ".", note("PYTHONUSERBASE", ".")),
        ("PYTHONPYCACHEPREFIX", "cache", note("PYTHONPYCACHEPREFIX", "cache")),
        ("HOME", ".", note("HOME", ".")),
        ("HOME", "", String::new()),
        ("PYTHONSTARTUP", "os.py", String::new()),
    ];
    for (name, value, expected) in cases {
        for words in [&["env"][..], COMMANDS[0]] {
            let (messages, marked) = stranger.run(words, &[path, (name, value)]);
            assert_eq!(marked, None, "{name}={value}: {messages}");
            assert_eq!(messages, expected, "{name}={value}");
        }
        let machine = gen5(&stranger.there(), &["env"], &[path, (name, value)]);
        let told = String::from_utf8(machine.stdout).unwrap();
        assert!(told.contains("environment  python version=3."), "{name}={value}: {told}");
    }
}
