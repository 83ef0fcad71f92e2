//! This machine as records: host, GPUs, and what a Python interpreter has installed.

mod gpus;
mod host;
mod nvml;
mod process;
mod python;
mod question;
mod records;
mod silence;
mod sysfs;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::gpus::{AskedGpus, Place};
use self::host::Host;
use self::process::TimeLimit;
use self::python::Interpreter;
use self::question::Question;
use self::silence::Silence;
use crate::cancelled::Cancelled;
use crate::environment::Environment;
use crate::manifest::HardwareInfo;

/// Captures this machine: operating system, processor, memory, GPUs, and the packages of a Python interpreter.
///
/// Each source is asked once, and they are asked side by side, so it takes as long as Python takes
/// to start, or NVIDIA's library if that takes longer. What cannot be learned is left out: a
/// machine without GPUs, NVIDIA's library or Python is an ordinary one. No source can hold up the
/// capture: one that hangs is left out after 5 seconds.
///
/// A capture runs other code: a Python interpreter and NVIDIA's library. Neither is taken from the
/// working folder: variables and entries of `PATH` that are empty count as unset, and relative ones
/// are ignored with a note. For `libnvidia-ml.so.1` the dynamic linker decides, which looks into
/// folders of `LD_LIBRARY_PATH` first; on Windows it is `nvml.dll` of the system folder.
///
/// ```
/// let captured = gen5::Capture::new().no_python().run();
/// assert!(captured.environment.get("torch").is_none());
/// println!("{} in {:?}", captured.hardware.os, captured.timings.total);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Capture {
    interpreter: Interpreter,
    python_timeout: Duration,
    /// Where NVIDIA's library is loaded.
    place: Place,
    gpus: bool,
    gpu_timeout: Duration,
    cancelled: Cancelled,
}

/// What [`Capture::run`] learned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Captured {
    /// What decides an image, as components in this order, those in the reference's own words first:
    ///
    /// | id | text | |
    /// |---|---|---|
    /// | `torch` | `name=torch;version=2.15.0;cuda=13.2` | without what follows a `+` in its version; `cuda=None` without CUDA |
    /// | `numpy` | `name=numpy;version=2.4.6` | |
    /// | `python` | `name=python;version=3.11.7` | |
    /// | `cuda` | `name=cuda;version=13.2` | that of torch, `none` if it has none; absent without torch |
    /// | `os` | `name=os;version=Linux 6.18.44` | system name and release as uname gives them |
    /// | `gpu` | `name=gpu;model=NVIDIA A100;driver=535.129.01` | one for each |
    /// | `cpu` | `name=cpu;model=…` | from here on, what the reference does not know and passes over with a warning |
    /// | `rocm` | `name=rocm;version=6.2.41133` | that of torch |
    /// | `diffusers` | `name=diffusers;version=0.35.1` | and so each package of those below, without what follows a `+` |
    ///
    /// Further packages are, under the names that they are installed by, `transformers`, `accelerate`, `xformers`,
    /// `safetensors`, `tensorflow`, `jax`, `jaxlib`, `flax`, `onnxruntime`, and the builds of `tensorflow` and `onnxruntime`
    /// that have names of their own, as `onnxruntime-gpu`.
    pub environment: Environment,
    /// The machine. Memory is in units of 2^30 bytes, as its makers count it, and rounded to two decimals; `cpu_cores` are the
    /// physical ones if they are known, and the member `logical_cores` in `extra` are all. `framework` is torch, else jax
    /// or tensorflow; `compute_lib` is what torch was built for.
    pub hardware: HardwareInfo,
    /// What the caller may want to know: that an interpreter which was named did not answer, that a
    /// source hangs, or that a variable is ignored. The remedies in them are options of the command
    /// line; [`Capture`] has a method for each.
    pub notes: Vec<String>,
    /// How long it took.
    pub timings: CaptureTimings,
}

/// How long a capture took.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CaptureTimings {
    /// From the call to its return.
    pub total: Duration,
    /// The Python interpreter, from its start to its end; `None` if none was started.
    pub python: Option<Duration>,
    /// The start of NVML, which is the driver's affair and can take seconds where no other program keeps the cards
    /// ready; `None` if it did not start.
    pub nvml_start: Option<Duration>,
}

/// How long a source may take, unless the caller gives another time.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often whoever waits for a source looks whether it is still there, and whether to go on.
const POLL: Duration = Duration::from_millis(20);

static HOST: Question<Host> = Question::new(|tell| tell(Host::ask()));

impl Capture {
    /// Everything, with 5 seconds for each source.
    pub fn new() -> Self {
        Self {
            interpreter: Interpreter::Found,
            python_timeout: TIMEOUT,
            place: Place::Thread,
            gpus: true,
            gpu_timeout: TIMEOUT,
            cancelled: Cancelled::default(),
        }
    }

    /// The Python interpreter to ask: a path, or a name without separators that is on `PATH`.
    ///
    /// By default it is that of the active virtual environment (`VIRTUAL_ENV`) or conda environment (`CONDA_PREFIX`), else
    /// `python3` on `PATH` (on Windows `python` or `py`). It is started once, and imports none of the packages that it
    /// tells of. Only a path that is given here may be relative to the working folder.
    pub fn python(mut self, path: impl Into<PathBuf>) -> Self {
        self.interpreter = Interpreter::Given(path.into());
        self
    }

    /// Does not start Python.
    pub fn no_python(mut self) -> Self {
        self.interpreter = Interpreter::None;
        self
    }

    /// Does not look for GPUs, and does not load NVIDIA's library.
    pub fn no_gpus(mut self) -> Self {
        self.gpus = false;
        self
    }

    /// Loads NVIDIA's library in a process of its own: `program`, an absolute path, with
    /// `arguments`, which must call [`serve_gpus`](Self::serve_gpus) and end.
    ///
    /// By default the library is loaded on a thread of this process. If it hangs, the capture goes
    /// on without it, but the thread cannot be ended: it may keep the process from ending if it
    /// hangs in the kernel, and if it hangs while it is loaded, it holds the lock of the dynamic
    /// linker, which other threads need. A process can be killed, and a library that crashes ends
    /// nothing else.
    pub fn gpu_process(
        mut self,
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.place = Place::Process(program.into(), arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Asks NVIDIA's library, and writes its answer to `out`, which is standard output, for the
    /// capture that has started this process by [`gpu_process`](Self::gpu_process). On Linux the
    /// process is killed when that capture ends.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn serve_gpus(out: &mut dyn Write) -> io::Result<()> {
        gpus::serve(out)
    }

    /// How long Python may take before it is killed and passed over. 5 seconds by default.
    pub fn python_timeout(mut self, timeout: Duration) -> Self {
        self.python_timeout = timeout;
        self
    }

    /// How long NVIDIA's library, and Linux for other GPUs, may take before their GPUs are left
    /// out. 5 seconds by default.
    ///
    /// A capture that finds the library hanging since an earlier capture in this process does not
    /// ask it again, and waits no longer than until this time has passed since then.
    pub fn gpu_timeout(mut self, timeout: Duration) -> Self {
        self.gpu_timeout = timeout;
        self
    }

    /// Polls `cancelled` while a source takes its time. Once it returns true, what has not answered
    /// is ended and left out, without a note.
    pub fn cancel_when(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancelled = Cancelled::when(cancelled);
        self
    }

    /// Asks everything.
    pub fn run(&self) -> Captured {
        let start = Instant::now();
        let within = |limit| TimeLimit { start, limit, cancelled: self.cancelled.clone() };
        let host = HOST.ask();
        let gpus = self.gpus.then(|| AskedGpus::ask(&self.place));
        let asked = python::ask(&self.interpreter, &within(self.python_timeout));
        let gpus = gpus.map(|gpus| gpus.answer(&within(self.gpu_timeout))).unwrap_or_default();
        let host = host.and_then(|host| host.answer(TIMEOUT, &self.cancelled));

        let notes = [note_on_host(&host).into_iter().collect(), gpus.notes, asked.notes].concat();
        let is_host_known = host.is_ok();
        let (host, python) = (host.unwrap_or_default(), asked.python.unwrap_or_default());
        let mut environment = records::environment(&host, &gpus.list, &python);
        if !is_host_known {
            environment.leave_out(&["os", "cpu"]);
        }
        if !gpus.is_complete {
            environment.leave_out(&["gpu"]);
        }
        Captured {
            environment,
            hardware: records::hardware(&host, gpus.list, &python),
            notes,
            timings: CaptureTimings {
                total: start.elapsed(),
                python: asked.took,
                nvml_start: gpus.nvml_start,
            },
        }
    }
}

/// The note that the host is left out, if it is.
fn note_on_host(host: &Result<Host, Silence>) -> Option<String> {
    let silence = host.as_ref().err().filter(|silence| !matches!(silence, Silence::Cancelled))?;
    Some(format!("operating system, processor and memory are left out: asking the system failed: {silence}"))
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment {
    /// The environment of this machine: that of [`Capture::run`], which tells more of it.
    pub fn capture() -> Self {
        Capture::new().run().environment
    }
}

impl HardwareInfo {
    /// This machine: that of [`Capture::run`], which tells more of it.
    pub fn capture() -> Self {
        Capture::new().run().hardware
    }
}

/// A text that can stand in a component: trimmed, and only if it is short, of one line and without `;`, which ends a part
/// of a component.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= MAX_TEXT;
    (fits && !text.contains(|c: char| c == ';' || c.is_control())).then(|| text.to_owned())
}

/// Longer than any name or version, in bytes.
const MAX_TEXT: usize = 256;

/// Bytes in units of 2^30, rounded to two decimals; no memory is none that is known.
fn gigabytes(bytes: u64) -> Option<f64> {
    let units = bytes as f64 / f64::from(1 << 30);
    (bytes > 0).then(|| (units * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Component;

    #[test]
    fn a_run_asks_only_what_it_is_to() {
        let captured = Capture::new().no_python().no_gpus().run();
        assert!(captured.timings.python.is_none() && captured.timings.nvml_start.is_none());
        assert!(captured.hardware.gpu.is_none() && captured.notes.is_empty());
        let ids: Vec<&str> = captured.environment.components().iter().map(Component::id).collect();
        assert!(ids.iter().all(|id| ["os", "cpu"].contains(id)), "{ids:?}");
    }

    #[test]
    fn a_program_for_the_gpus_is_started_by_an_absolute_path_alone() {
        let notes = |program: &str, arguments: &[&str]| {
            Capture::new().no_python().gpu_process(program, arguments.iter().copied()).run().notes
        };
        let failed = |problem: &str| {
            [format!(
                "NVIDIA GPUs are left out: asking the NVIDIA library failed: {problem}; check the driver, or skip GPUs with \
                 --no-gpus"
            )]
        };
        for program in ["cargo", "./cargo", ""] {
            let problem = "it could not be started: its path is not absolute";
            assert_eq!(notes(program, &[]), failed(problem), "{program}");
        }
        #[cfg(unix)]
        for (answer, problem) in [
            ("gen5-gpus: []", "its answer makes no sense"),
            ("", "it ended without an answer (exit status: 0)"),
        ] {
            assert_eq!(notes("/bin/sh", &["-c", &format!("echo '{answer}'")]), failed(problem));
        }
    }

    #[test]
    #[cfg(unix)]
    fn what_a_process_for_the_gpus_answers_is_not_trusted() {
        use crate::manifest::Gpu;

        let answer = r#"{"start":{"secs":1,"nanos":0},"driver":"1;name=torch","cuda":"13.2","cards":[
            {"name":"A\u001b[31m","memory":null},{"name":"B","memory":1073741824},{"name":"","memory":1}]}"#;
        let text = format!("echo 'gen5-gpus: {}'", answer.replace('\n', ""));
        let captured = Capture::new().no_python().gpu_process("/bin/sh", ["-c", &text]).run();
        assert_eq!(captured.notes, [""; 0]);
        let gpus = captured.hardware.gpu.unwrap();
        let gpu = Gpu { memory_gb: Some(1.0), cuda_version: Some("13.2".into()), ..Gpu::new("B") };
        // Those that Linux knows of follow.
        assert_eq!(gpus.first(), Some(&gpu));
        assert_eq!(captured.timings.nvml_start, Some(Duration::from_secs(1)));
    }

    #[test]
    fn texts_that_would_break_a_component_are_left_out() {
        assert_eq!(plain(" 2.15.0\n").as_deref(), Some("2.15.0"));
        for text in ["", " ", "1;cuda=2", "1\n2", "1\u{0}2", &"9".repeat(257)] {
            assert_eq!(plain(text), None, "{text:?}");
        }
    }

    #[test]
    fn memory_is_counted_as_its_makers_do() {
        assert_eq!(gigabytes(85_899_345_920), Some(80.0));
        assert_eq!(gigabytes(33_528_193_024), Some(31.23));
        assert_eq!(gigabytes(0), None);
    }
}
