//! NVIDIA's GPUs, through its library NVML, which is loaded only here.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};
use serde::{Deserialize, Serialize};

use super::{gigabytes, plain};
use crate::manifest::Gpu;

/// The highest plausible number of cards.
const MAX_CARDS: u32 = 1024;

/// The library's answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Nvidia {
    /// The time that the library took to start, or `None` if it does not exist or did not start.
    pub(super) start: Option<Duration>,
    driver: Option<String>,
    cuda: Option<String>,
    cards: Vec<Card>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Card {
    name: String,
    /// In bytes.
    memory: Option<u64>,
}

impl Nvidia {
    /// Returns the cards that have a name, in the library's order.
    pub(super) fn gpus(&self) -> impl Iterator<Item = Gpu> {
        let text = |text: &Option<String>| text.as_deref().and_then(plain);
        self.cards.iter().filter_map(move |card| {
            Some(Gpu {
                memory_gb: card.memory.and_then(gigabytes),
                driver: text(&self.driver),
                cuda_version: text(&self.cuda),
                ..Gpu::new(plain(&card.name)?)
            })
        })
    }
}

/// Queries the library, and closes it after its answers were passed on. Values that it does not
/// know are left out, for example the memory with drivers before release 510.
pub(super) fn find(tell: &dyn Fn(Nvidia)) {
    let Some(library) = library() else { return };
    let start = Instant::now();
    let Ok(nvml) = Nvml::builder().lib_path(library.as_os_str()).init() else { return };
    let start = Some(start.elapsed());
    let cuda = nvml.sys_cuda_driver_version().ok().filter(|version| *version > 0).map(|version| {
        format!("{}.{}", cuda_driver_version_major(version), cuda_driver_version_minor(version))
    });
    let card = |index| {
        let card = nvml.device_by_index(index).ok()?;
        Some(Card { memory: card.memory_info().ok().map(|memory| memory.total), name: card.name().ok()? })
    };
    let count = nvml.device_count().unwrap_or(0).min(MAX_CARDS);
    tell(Nvidia {
        start,
        driver: nvml.sys_driver_version().ok(),
        cuda,
        cards: (0..count).filter_map(card).collect(),
    });
}

/// Returns the path of the library, which comes with the driver. On Linux it is a bare name for the
/// dynamic linker, which searches the working folder only if `LD_LIBRARY_PATH` names it. On Windows
/// and macOS the linker may always search it, so the path is absolute there, or `None`.
fn library() -> Option<PathBuf> {
    if cfg!(windows) {
        let system = PathBuf::from(std::env::var_os("SystemRoot")?).join(r"System32\nvml.dll");
        system.is_absolute().then_some(system)
    } else {
        cfg!(target_os = "linux").then(|| "libnvidia-ml.so.1".into())
    }
}
