//! Captures this machine as records: host, GPUs, and the packages of a Python interpreter.

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

use self::gpus::{AskedGpus, QueryPlace};
use self::host::Host;
use self::process::TimeLimit;
use self::python::Interpreter;
use self::question::Question;
use self::silence::Silence;
use crate::cancelled::Cancelled;
use crate::manifest::HardwareInfo;
use crate::snapshot::Environment;

/// Captures this machine: operating system, processor, memory, GPUs, and the packages of a Python
/// interpreter.
///
/// All sources are queried in parallel, once each, so a capture takes as long as Python needs to
/// start, or NVIDIA's library if that is slower. Unavailable information is left out: a machine
/// without GPUs, NVIDIA's library or Python is not an error. No source can block the capture: one
/// that hangs is left out after 5 seconds.
///
/// A capture runs other code: a Python interpreter and NVIDIA's library. Neither is loaded from the
/// working folder. Empty variables and empty entries of `PATH` count as unset, and relative ones
/// are ignored with a note. The dynamic linker finds `libnvidia-ml.so.1`, and searches the folders
/// of `LD_LIBRARY_PATH` first; on Windows the library is `nvml.dll` in the system folder.
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
    place: QueryPlace,
    gpus: bool,
    gpu_timeout: Duration,
    cancelled: Cancelled,
}

/// The result of [`Capture::run`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Captured {
    /// The software and hardware that determine an image, as components in this order. The
    /// components of the reference implementation come first, with its texts:
    ///
    /// | id | text | |
    /// |---|---|---|
    /// | `torch` | `name=torch;version=2.15.0;cuda=13.2` | version without `+` and the part after it; `cuda=None` without CUDA |
    /// | `numpy` | `name=numpy;version=2.4.6` | |
    /// | `python` | `name=python;version=3.11.7` | |
    /// | `cuda` | `name=cuda;version=13.2` | torch's CUDA version, `none` if it has none; absent without torch |
    /// | `os` | `name=os;version=Linux 6.18.44` | system name and release from uname |
    /// | `gpu` | `name=gpu;model=NVIDIA A100;driver=535.129.01` | one for each GPU |
    /// | `cpu` | `name=cpu;model=…` | the reference skips this one and all below, with a warning |
    /// | `rocm` | `name=rocm;version=6.2.41133` | torch's ROCm version |
    /// | `diffusers` | `name=diffusers;version=0.35.1` | one for each package listed below, version without `+` and the part after it |
    ///
    /// The other packages are `transformers`, `accelerate`, `xformers`, `safetensors`,
    /// `tensorflow`, `jax`, `jaxlib`, `flax`, `onnxruntime`, and the builds of `tensorflow` and
    /// `onnxruntime` with their own names, such as `onnxruntime-gpu`. Each has the name under which
    /// it is installed.
    pub environment: Environment,
    /// The machine. Memory is in units of 2^30 bytes, the unit in which manufacturers count it,
    /// rounded to two decimals. `cpu_cores` is the number of physical cores if known, and the
    /// member `logical_cores` in `extra` is the number of all cores. `framework` is torch, or
    /// otherwise jax or tensorflow. `compute_lib` is the library that torch was built for.
    pub hardware: HardwareInfo,
    /// Notes for the caller, for example that an explicitly selected interpreter did not answer,
    /// that a source hangs, or that a variable is ignored. They suggest options of the command line
    /// as remedies; [`Capture`] has a method for each.
    pub notes: Vec<String>,
    /// The time that the capture took.
    pub timings: CaptureTimings,
}

/// The time that a capture took.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CaptureTimings {
    /// The time of the whole call.
    pub total: Duration,
    /// The time of the Python interpreter, from start to exit, or `None` if none was started.
    pub python: Option<Duration>,
    /// The time to start NVML, or `None` if it did not start. The driver can take seconds if no
    /// other program keeps the GPUs initialized.
    pub nvml_start: Option<Duration>,
}

/// The default time limit for a source.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The interval at which a waiting thread checks whether the source is still running and whether to
/// continue.
const POLL: Duration = Duration::from_millis(20);

static HOST: Question<Host> = Question::new(|tell| tell(Host::ask()));

impl Capture {
    /// Creates a capture of everything, with a limit of 5 seconds for each source.
    pub fn new() -> Self {
        Self {
            interpreter: Interpreter::Found,
            python_timeout: TIMEOUT,
            place: QueryPlace::Thread,
            gpus: true,
            gpu_timeout: TIMEOUT,
            cancelled: Cancelled::default(),
        }
    }

    /// Sets the Python interpreter to query: a path, or a name without separators that is on
    /// `PATH`. Only a path set here can be relative to the working folder.
    ///
    /// By default, it is the interpreter of the active virtual environment (`VIRTUAL_ENV`) or conda
    /// environment (`CONDA_PREFIX`), and otherwise `python3` on `PATH` (on Windows `python` or
    /// `py`). It is started once, and imports none of the packages that it reports.
    pub fn python(mut self, path: impl Into<PathBuf>) -> Self {
        self.interpreter = Interpreter::Given(path.into());
        self
    }

    /// Uses the answer of an interpreter that is already running, such as the one that calls this
    /// program as its extension, instead of starting one.
    ///
    /// The answer comes from [`python_script`](Self::python_script): run it under a `__name__` other
    /// than `__main__`, then call its function `answer` with
    /// [`python_packages`](Self::python_packages). An answer that makes no sense leaves Python out,
    /// with a note.
    ///
    /// ```
    /// let answer = r#"{"python":"3.11.7","torch":null,"numpy":"2.4.6","packages":{}}"#;
    /// let captured = gen5::Capture::new().no_gpus().python_answer(answer).run();
    /// let numpy = captured.environment.get("numpy").unwrap();
    /// assert_eq!(numpy.canonical(), "name=numpy;version=2.4.6");
    /// ```
    pub fn python_answer(mut self, json: impl Into<String>) -> Self {
        self.interpreter = Interpreter::Answered(json.into());
        self
    }

    /// Returns the Python code that finds the versions of Python and its packages, without
    /// importing any of them.
    pub fn python_script() -> &'static str {
        python::SCRIPT
    }

    /// Returns the packages that a capture records in addition to torch and numpy.
    pub fn python_packages() -> &'static [&'static str] {
        &python::PACKAGES
    }

    /// Disables the query of a Python interpreter.
    pub fn no_python(mut self) -> Self {
        self.interpreter = Interpreter::None;
        self
    }

    /// Disables the search for GPUs, including the load of NVIDIA's library.
    pub fn no_gpus(mut self) -> Self {
        self.gpus = false;
        self
    }

    /// Loads NVIDIA's library in a separate process: `program`, an absolute path, with `arguments`.
    /// The program must call [`serve_gpus`](Self::serve_gpus) and exit.
    ///
    /// By default, the library is loaded on a thread of this process. If it hangs, the capture
    /// continues without it, but the thread cannot be stopped. A thread that hangs in the kernel
    /// may prevent the process from exiting. A thread that hangs while loading holds the dynamic
    /// linker's lock, which other threads need. A separate process can be killed, and can crash
    /// without harm to this one.
    pub fn gpu_process(
        mut self,
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.place = QueryPlace::Process(program.into(), arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Queries NVIDIA's library and writes the answer to `out`, which must be standard output. Call
    /// it in the process that a capture started with [`gpu_process`](Self::gpu_process). On Linux,
    /// that process is killed when the capture ends.
    ///
    /// # Errors
    ///
    /// I/O errors from `out`.
    pub fn serve_gpus(out: &mut dyn Write) -> io::Result<()> {
        gpus::serve(out)
    }

    /// Sets the time after which Python is killed and skipped. The default is 5 seconds.
    pub fn python_timeout(mut self, timeout: Duration) -> Self {
        self.python_timeout = timeout;
        self
    }

    /// Sets the time after which the GPUs of NVIDIA's library, or the other GPUs that Linux
    /// reports, are left out. The default is 5 seconds.
    ///
    /// If the library still hangs from an earlier capture in this process, a capture does not query
    /// it again. It waits only until this time has passed since that first query.
    pub fn gpu_timeout(mut self, timeout: Duration) -> Self {
        self.gpu_timeout = timeout;
        self
    }

    /// Sets a function that is polled while a source is slow. Once it returns true, sources without
    /// an answer are stopped and left out, without a note.
    pub fn cancel_when(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancelled = Cancelled::when(cancelled);
        self
    }

    /// Captures the machine.
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
        let host = host.unwrap_or_default();
        let python = asked.python.unwrap_or_default();
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

/// Returns a note if the host is left out.
fn note_on_host(host: &Result<Host, Silence>) -> Option<String> {
    let silence = host.as_ref().err().filter(|silence| !matches!(silence, Silence::Cancelled))?;
    Some(format!(
        "operating system, processor and memory are left out: querying the system failed: {silence}"
    ))
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment {
    /// Captures the environment of this machine. [`Capture::run`] returns more information.
    pub fn capture() -> Self {
        Capture::new().run().environment
    }
}

impl HardwareInfo {
    /// Captures this machine. [`Capture::run`] returns more information.
    pub fn capture() -> Self {
        Capture::new().run().hardware
    }
}

/// Returns the trimmed text if it can be part of a component: short, one line, and without `;`,
/// which separates fields.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= MAX_TEXT;
    (fits && !text.contains(|c: char| c == ';' || c.is_control())).then(|| text.to_owned())
}

/// The maximum length in bytes, longer than any name or version.
const MAX_TEXT: usize = 256;

/// Converts bytes to units of 2^30, rounded to two decimals. 0 means that the amount is not known.
fn gigabytes(bytes: u64) -> Option<f64> {
    let units = bytes as f64 / f64::from(1 << 30);
    (bytes > 0).then(|| (units * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Component;

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
                "NVIDIA GPUs are left out: querying the NVIDIA library failed: {problem}; check \
                 the driver, or skip GPUs with --no-gpus"
            )]
        };
        for program in ["cargo", "./cargo", ""] {
            let problem = "it could not be started: its path is not absolute";
            assert_eq!(notes(program, &[]), failed(problem), "{program}");
        }
        #[cfg(unix)]
        for (answer, problem) in [
            ("gen5-gpus: []", "its answer is not valid"),
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
        // Any GPUs that Linux reports follow.
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
