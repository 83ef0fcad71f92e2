//! Operating system, processor and memory, from sysinfo.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::plain;

/// The system names of uname that differ from Rust's.
const SYSTEM_NAMES: [(&str, &str); 3] = [("linux", "Linux"), ("macos", "Darwin"), ("windows", "Windows")];

/// The known facts about the host.
#[derive(Clone, Default)]
pub(super) struct Host {
    /// The release of the system, from uname.
    pub(super) release: Option<String>,
    pub(super) machine_name: Option<String>,
    pub(super) cpu: Option<String>,
    pub(super) physical_cores: Option<usize>,
    pub(super) logical_cores: Option<usize>,
    /// In bytes.
    pub(super) memory: u64,
}

impl Host {
    pub(super) fn ask() -> Self {
        let wanted = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted).ok();
        let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
        Self {
            release: release(),
            machine_name: System::host_name().ok().as_deref().and_then(plain),
            cpu: cpus.first().and_then(|cpu| plain(cpu.brand())),
            physical_cores: System::physical_core_count().ok().filter(|count| *count > 0),
            logical_cores: Some(cpus.len()).filter(|count| *count > 0),
            memory: system.as_ref().map_or(0, System::total_memory),
        }
    }
}

/// Returns the release of the system, as uname prints it.
pub(super) fn release() -> Option<String> {
    System::kernel_version().ok().as_deref().and_then(plain)
}

/// Returns the name of the system, as uname prints it.
pub(super) fn system_name() -> &'static str {
    let name = std::env::consts::OS;
    SYSTEM_NAMES.iter().find(|(rust, _)| *rust == name).map_or(name, |(_, uname)| uname)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_is_what_uname_says() {
        let uname = std::process::Command::new("uname").arg("-srn").output().unwrap();
        let host = Host::ask();
        let told = [system_name(), &host.machine_name.unwrap(), &host.release.unwrap()].join(" ");
        assert_eq!(told, String::from_utf8(uname.stdout).unwrap().trim());
    }

    #[test]
    fn cores_and_memory_are_known() {
        let host = Host::ask();
        let logical = host.logical_cores.unwrap();
        assert!(host.physical_cores.is_none_or(|physical| (1..=logical).contains(&physical)));
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let kib: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
        assert_eq!(host.memory, kib * 1024);
    }
}
