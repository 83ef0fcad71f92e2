//! NVIDIA's GPUs, by way of its library NVML, which is loaded here and nowhere else.

use std::time::Instant;

use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::{Gpus, gigabytes, plain};
use crate::manifest::Gpu;

/// More cards than this are a count that cannot be believed.
const MAX_CARDS: u32 = 1024;

/// The cards that have a name, in the library's order; none if there is no library, or it does not start.
///
/// It is `libnvidia-ml.so.1`, which comes with the driver, wherever the dynamic linker finds it (on Windows `nvml.dll`). What
/// else it does not tell is left out: of drivers before release 510, the memory.
pub(super) fn gpus() -> Gpus {
    let start = Instant::now();
    let Ok(nvml) = Nvml::init() else { return Gpus::default() };
    let nvml_start = Some(start.elapsed());
    let driver = nvml.sys_driver_version().ok().as_deref().and_then(plain);
    let cuda = nvml.sys_cuda_driver_version().ok().filter(|version| *version > 0).map(|version| {
        format!("{}.{}", cuda_driver_version_major(version), cuda_driver_version_minor(version))
    });
    let card = |index| {
        let card = nvml.device_by_index(index).ok()?;
        Some(Gpu {
            memory_gb: card.memory_info().ok().and_then(|memory| gigabytes(memory.total)),
            driver: driver.clone(),
            cuda_version: cuda.clone(),
            ..Gpu::new(plain(&card.name().ok()?)?)
        })
    };
    let count = nvml.device_count().unwrap_or(0).min(MAX_CARDS);
    Gpus { list: (0..count).filter_map(card).collect(), nvml_start }
}
