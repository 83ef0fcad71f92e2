//! NVIDIA's GPUs, by way of its library NVML, which is loaded here and nowhere else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};
use serde::{Deserialize, Serialize};

use super::{gigabytes, plain};
use crate::manifest::Gpu;

/// More cards than this are a count that cannot be believed.
const MAX_CARDS: u32 = 1024;

/// The library's answers, as it gives them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Nvidia {
    /// How long the library took to start; `None` if there is none, or it did not start.
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
    /// The cards that have a name, in the library's order.
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

/// Asks the library, and closes it after its answers have been passed on. What it does not know is
/// left out: of drivers before release 510, the memory.
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

/// The library, which comes with the driver. A bare name is one for the dynamic linker of Linux,
/// which looks into the working folder only if `LD_LIBRARY_PATH` names it. Those of Windows and
/// macOS always may, so there the path is absolute, or there is no library.
fn library() -> Option<PathBuf> {
    if cfg!(windows) {
        let system = PathBuf::from(std::env::var_os("SystemRoot")?).join(r"System32\nvml.dll");
        system.is_absolute().then_some(system)
    } else {
        cfg!(target_os = "linux").then(|| "libnvidia-ml.so.1".into())
    }
}
