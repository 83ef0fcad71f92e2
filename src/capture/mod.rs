//! This machine as records. In this version: operating system and processor.

use sysinfo::{CpuRefreshKind, RefreshKind, System};

use crate::environment::{Component, Environment};

/// The names that uname gives to systems, where they differ from Rust's.
const SYSTEM_NAMES: [(&str, &str); 3] = [("linux", "Linux"), ("macos", "Darwin"), ("windows", "Windows")];

impl Environment {
    /// The environment of this machine: what can be learned without waiting.
    ///
    /// In this version these are `os` (`name=os;version=Linux 6.1.0`, system name and release as uname gives them) and
    /// `cpu` (`name=cpu;model=…`, which the reference does not know and passes over with a warning). What cannot be
    /// learned is left out.
    pub fn capture() -> Self {
        let mut environment = Self::default();
        let name = std::env::consts::OS;
        let name = SYSTEM_NAMES.iter().find(|(rust, _)| *rust == name).map_or(name, |(_, uname)| uname);
        if let Ok(release) = System::kernel_version() {
            environment.push(Component::new("os", format!("name=os;version={name} {release}")));
        }
        let cpus = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
        let system = System::new_with_specifics(cpus);
        let brand =
            system.as_ref().ok().and_then(|system| system.cpus().first()).map(|cpu| cpu.brand().trim());
        if let Some(brand) = brand.filter(|brand| !brand.is_empty()) {
            environment.push(Component::new("cpu", format!("name=cpu;model={brand}")));
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_operating_system_is_what_uname_says() {
        let uname = std::process::Command::new("uname").arg("-sr").output().unwrap();
        let expected = format!("name=os;version={}", String::from_utf8(uname.stdout).unwrap().trim());
        let environment = Environment::capture();
        assert_eq!(environment.get("os").unwrap().canonical(), expected);
        assert!(environment.get("cpu").unwrap().canonical().starts_with("name=cpu;model="));
    }
}
