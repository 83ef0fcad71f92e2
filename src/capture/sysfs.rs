//! GPUs of AMD and Intel, from `/sys` on Linux.

use std::fs;
use std::path::Path;

use super::{gigabytes, host, plain};
use crate::manifest::Gpu;

/// The vendors whose cards are listed, by PCI vendor ID. [`super::nvml`] handles NVIDIA's cards.
/// The others are displays of virtual machines and mainboards, which make no images.
const VENDORS: [(&str, &str); 2] = [("0x1002", "AMD"), ("0x8086", "Intel")];

/// Returns the cards under `root`, which is `/sys` except in tests, in the kernel's order.
pub(super) fn gpus(root: &Path) -> Vec<Gpu> {
    let Ok(entries) = fs::read_dir(root.join("class/drm")) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    // A card's outputs are in the same folder, for example `card0-DP-1`.
    let number = |name: String| name.strip_prefix("card")?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = names.filter_map(number).collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(|number| gpu(root, number)).collect()
}

/// Returns a card with its product name, or otherwise its vendor and PCI IDs: `AMD 1002:744c`.
fn gpu(root: &Path, number: u32) -> Option<Gpu> {
    let device = root.join(format!("class/drm/card{number}/device"));
    let vendor = line(&device.join("vendor"))?;
    let maker = VENDORS.iter().find(|(known, _)| *known == vendor)?.1;
    let name = line(&device.join("product_name")).or_else(|| {
        let numbers = [vendor, line(&device.join("device"))?];
        Some(format!(
            "{maker} {}",
            numbers.map(|number| number.trim_start_matches("0x").to_owned()).join(":")
        ))
    })?;
    Some(Gpu {
        memory_gb: line(&device.join("mem_info_vram_total"))
            .and_then(|bytes| bytes.parse().ok())
            .and_then(gigabytes),
        driver: driver(root, &device),
        ..Gpu::new(name)
    })
}

/// Returns the name and version of a card's driver: `amdgpu 6.18.44`. A driver that is part of
/// the kernel has the kernel's version.
fn driver(root: &Path, device: &Path) -> Option<String> {
    let link = fs::read_link(device.join("driver")).ok()?;
    let name = plain(link.file_name()?.to_str()?)?;
    let version = line(&root.join("module").join(&name).join("version")).or_else(host::release);
    Some(version.map_or_else(|| name.clone(), |version| format!("{name} {version}")))
}

/// Returns the text of a one-line file.
fn line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().as_deref().and_then(plain)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A fake `/sys`.
    struct Root(TempDir);

    impl Root {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }

        fn card(&self, name: &str, vendor: &str, device: &str, driver: &str) {
            self.file(&format!("class/drm/{name}/device/vendor"), vendor);
            self.file(&format!("class/drm/{name}/device/device"), device);
            let link = self.0.path().join(format!("class/drm/{name}/device/driver"));
            symlink(format!("../../../../bus/pci/drivers/{driver}"), link).unwrap();
        }

        fn gpus(&self) -> Vec<Gpu> {
            gpus(self.0.path())
        }
    }

    #[test]
    fn amd_and_intel_are_taken_and_no_others() {
        let root = Root::new();
        root.card("card10", "0x8086", "0x56a0", "xe");
        root.card("card1", "0x1002", "0x744c", "amdgpu");
        root.file("class/drm/card1/device/mem_info_vram_total", "25753026560");
        root.card("card2", "0x10de", "0x2330", "nvidia");
        root.card("card3", "0x1234", "0x1111", "bochs-drm");
        root.card("card4", "0x1af4", "0x1050", "virtio-pci");
        root.card("card5", "0x1a03", "0x2000", "ast");
        root.card("card1-DP-1", "0x1002", "0x744c", "amdgpu");
        root.card("renderD128", "0x1002", "0x744c", "amdgpu");
        root.file("class/drm/version", "drm 1.1.0 20060810");

        let kernel = host::release().unwrap();
        let amd = Gpu {
            memory_gb: Some(23.98),
            driver: Some(format!("amdgpu {kernel}")),
            ..Gpu::new("AMD 1002:744c")
        };
        let intel = Gpu { driver: Some(format!("xe {kernel}")), ..Gpu::new("Intel 8086:56a0") };
        assert_eq!(root.gpus(), [amd, intel]);
    }

    #[test]
    fn product_and_module_are_named_if_they_can_be() {
        let root = Root::new();
        root.card("card0", "0x1002", "0x74a1", "amdgpu");
        root.file("class/drm/card0/device/product_name", "AMD Instinct MI300X OAM");
        root.file("module/amdgpu/version", "6.12.12");
        let gpu = Gpu { driver: Some("amdgpu 6.12.12".into()), ..Gpu::new("AMD Instinct MI300X OAM") };
        assert_eq!(root.gpus(), [gpu]);
        root.file("class/drm/card0/device/product_name", "");
        assert_eq!(root.gpus()[0].name, "AMD 1002:74a1");
    }

    #[test]
    fn what_is_missing_is_left_out() {
        assert_eq!(Root::new().gpus(), []);
        let root = Root::new();
        root.file("class/drm/card0/device/vendor", "0x1002");
        root.file("class/drm/card1/device/vendor", "0x1002");
        root.file("class/drm/card1/device/device", "0x744c");
        root.file("class/drm/card1/device/mem_info_vram_total", "much");
        root.file("class/drm/card2/device/device", "0x744c");
        assert_eq!(root.gpus(), [Gpu::new("AMD 1002:744c")]);
    }
}
