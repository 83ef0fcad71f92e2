//! The GPUs from NVIDIA's library and from Linux. Both are queried in parallel, with a timeout.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::nvml::{self, Nvidia};
use super::process::{Process, TimeLimit};
use super::question::{Asked, Question};
use super::silence::Silence;
use super::sysfs;
use crate::manifest::Gpu;

/// The start of the line with the answer of a [`QueryPlace::Process`] process.
const MARKER: &str = "gen5-gpus: ";

static NVIDIA: Question<Nvidia> = Question::new(nvml::find);
// Systems other than Linux have no such folder.
static LINUX: Question<Vec<Gpu>> = Question::new(|tell| tell(sysfs::gpus("/sys".as_ref())));

/// Where NVIDIA's library is loaded.
#[derive(Clone, Debug)]
pub(super) enum QueryPlace {
    /// On a thread of this process.
    Thread,
    /// In a separate process: this program with these arguments.
    Process(PathBuf, Vec<OsString>),
}

/// The known GPUs.
#[derive(Default)]
pub(super) struct Gpus {
    pub(super) list: Vec<Gpu>,
    pub(super) nvml_start: Option<Duration>,
    /// Whether both sources have answered.
    pub(super) is_complete: bool,
    /// Notes on GPUs that are left out.
    pub(super) notes: Vec<String>,
}

/// A query for GPUs in progress.
pub(super) struct AskedGpus {
    nvidia: Result<AskedNvidia, Silence>,
    linux: Result<Arc<Asked<Vec<Gpu>>>, Silence>,
}

enum AskedNvidia {
    Thread(Arc<Asked<Nvidia>>),
    Process(Process),
}

impl AskedGpus {
    pub(super) fn ask(place: &QueryPlace) -> Self {
        let nvidia = match place {
            QueryPlace::Thread => NVIDIA.ask().map(AskedNvidia::Thread),
            QueryPlace::Process(program, arguments) => absolute_command(program, arguments)
                .and_then(|command| Process::ask(command, MARKER))
                .map(AskedNvidia::Process),
        };
        Self { nvidia, linux: LINUX.ask() }
    }

    pub(super) fn answer(self, time: &TimeLimit) -> Gpus {
        let mut gpus = Gpus { is_complete: true, ..Gpus::default() };
        match self.nvidia.and_then(|asked| asked.answer(time)) {
            Ok(nvidia) => {
                gpus.list.extend(nvidia.gpus());
                gpus.nvml_start = nvidia.start;
            }
            Err(silence) => gpus.leave_out("NVIDIA GPUs", "the NVIDIA library", &silence),
        }
        match self.linux.and_then(|asked| asked.answer(time.limit, &time.cancelled)) {
            Ok(list) => gpus.list.extend(list),
            Err(silence) => gpus.leave_out("AMD and Intel GPUs", "/sys/class/drm", &silence),
        }
        gpus
    }
}

/// Returns the command, or an error if the system would have to search for its program.
fn absolute_command(program: &Path, arguments: &[OsString]) -> Result<Command, Silence> {
    if !program.is_absolute() {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, "its path is not absolute");
        return Err(Silence::NotStarted(problem));
    }
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

impl AskedNvidia {
    fn answer(self, time: &TimeLimit) -> Result<Nvidia, Silence> {
        match self {
            Self::Thread(asked) => asked.answer(time.limit, &time.cancelled),
            Self::Process(process) => {
                let answer = process.answer(time)?;
                serde_json::from_str(&answer).map_err(|_| Silence::Nonsense)
            }
        }
    }
}

impl Gpus {
    fn leave_out(&mut self, what: &str, source: &str, silence: &Silence) {
        self.is_complete = false;
        let why = match silence {
            // The caller already knows.
            Silence::Cancelled => return,
            Silence::TooLate(limit) => format!("{source} did not answer within {limit:?}"),
            silence => format!("querying {source} failed: {silence}"),
        };
        self.notes.push(format!("{what} are left out: {why}; check the driver, or skip GPUs with --no-gpus"));
    }
}

/// Answers in a [`QueryPlace::Process`] process.
pub(super) fn serve(out: &mut dyn Write) -> io::Result<()> {
    end_with_parent();
    let out = RefCell::new(out);
    let write = |nvidia: &Nvidia| {
        let answer = serde_json::to_string(nvidia)?;
        let mut out = out.borrow_mut();
        // The library may have printed something.
        write!(out, "\n{MARKER}{answer}\n")?;
        out.flush()
    };
    let written = Cell::new(None);
    nvml::find(&|nvidia| written.set(Some(write(&nvidia))));
    written.take().unwrap_or_else(|| write(&Nvidia::default()))
}

/// Makes the system kill this process when its parent, which waits for the answer, exits.
fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        // If this fails, the process exits after its answer.
        _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
}
