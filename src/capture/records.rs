//! Converts the captured facts into records of a file.

use super::gigabytes;
use super::host::{Host, system_name};
use super::python::{Python, Torch};
use crate::manifest::{Gpu, HardwareInfo};
use crate::snapshot::{Component, Environment};

/// Returns the components, those of the reference implementation first and in its order.
pub(super) fn environment(host: &Host, gpus: &[Gpu], python: &Python) -> Environment {
    let mut environment = Environment::default();
    let mut push = |id: &str, parts: &[(&str, &str)]| {
        let parts = parts.iter().map(|(name, value)| format!(";{name}={value}")).collect::<String>();
        environment.push(Component::new(id, format!("name={id}{parts}")));
    };
    if let Some(torch) = &python.torch {
        let cuda = torch.cuda.as_deref().unwrap_or("None");
        push("torch", &[("version", &torch.version), ("cuda", cuda)]);
    }
    if let Some(numpy) = &python.numpy {
        push("numpy", &[("version", numpy)]);
    }
    if let Some(version) = &python.version {
        push("python", &[("version", version)]);
    }
    if let Some(torch) = &python.torch {
        push("cuda", &[("version", torch.cuda.as_deref().unwrap_or("none"))]);
    }
    if let Some(release) = &host.release {
        push("os", &[("version", &format!("{} {release}", system_name()))]);
    }
    for gpu in gpus {
        match &gpu.driver {
            Some(driver) => push("gpu", &[("model", &gpu.name), ("driver", driver)]),
            None => push("gpu", &[("model", &gpu.name)]),
        }
    }
    if let Some(cpu) = &host.cpu {
        push("cpu", &[("model", cpu)]);
    }
    if let Some(rocm) = python.torch.as_ref().and_then(|torch| torch.rocm.as_deref()) {
        push("rocm", &[("version", rocm)]);
    }
    for (name, version) in &python.packages {
        push(name, &[("version", version)]);
    }
    environment
}

/// Returns the machine.
pub(super) fn hardware(host: &Host, gpus: Vec<Gpu>, python: &Python) -> HardwareInfo {
    let os = host.release.as_ref().map(|release| format!("{} {release}", system_name()));
    let mut hardware = HardwareInfo::new(os.unwrap_or_else(|| system_name().to_owned()));
    hardware.machine_name.clone_from(&host.machine_name);
    hardware.cpu.clone_from(&host.cpu);
    let cores = host.physical_cores.or(host.logical_cores);
    hardware.cpu_cores = cores.and_then(|cores| u64::try_from(cores).ok());
    hardware.ram_gb = gigabytes(host.memory);
    hardware.gpu = Some(gpus).filter(|gpus| !gpus.is_empty());
    hardware.framework = framework(python);
    hardware.compute_lib = python.torch.as_ref().and_then(compute_lib);
    if let Some(cores) = host.logical_cores {
        // A number always has a JSON form.
        _ = hardware.extra.insert("logical_cores", &cores);
    }
    hardware
}

/// Returns the framework that most likely made the image, with its version. Diffusion models run on
/// torch if it is installed.
fn framework(python: &Python) -> Option<String> {
    let torch = python.torch.as_ref().map(|torch| ("torch", &torch.version));
    let other = ["jax", "tensorflow"]
        .iter()
        .find_map(|wanted| python.packages.iter().find(|(name, _)| name == wanted))
        .map(|(name, version)| (*name, version));
    torch.or(other).map(|(name, version)| format!("{name} {version}"))
}

/// Returns the library that torch was built for, with its version.
fn compute_lib(torch: &Torch) -> Option<String> {
    let cuda = torch.cuda.as_ref().map(|version| ("cuda", version));
    let lib = cuda.or_else(|| Some(("rocm", torch.rocm.as_ref()?)));
    lib.map(|(name, version)| format!("{name} {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            release: Some("6.18.44".into()),
            machine_name: Some("box".into()),
            cpu: Some("AMD EPYC 7B13".into()),
            physical_cores: Some(32),
            logical_cores: Some(64),
            memory: 128 << 30,
        }
    }

    fn python(cuda: Option<&str>, rocm: Option<&str>) -> Python {
        let text = |text: &str| text.to_owned();
        Python {
            version: Some("3.11.7".into()),
            torch: Some(Torch { version: "2.15.0".into(), cuda: cuda.map(text), rocm: rocm.map(text) }),
            numpy: Some("2.4.6".into()),
            packages: vec![("diffusers", "0.35.1".into()), ("jax", "0.9.0".into())],
        }
    }

    fn lines(environment: &Environment) -> Vec<&str> {
        environment.components().iter().map(Component::canonical).collect()
    }

    #[test]
    fn the_references_components_come_first_and_in_its_words() {
        let a100 = Gpu { driver: Some("535.129.01".into()), ..Gpu::new("NVIDIA A100") };
        let environment =
            environment(&host(), &[a100, Gpu::new("AMD 1002:744c")], &python(Some("13.2"), None));
        let os = format!("name=os;version={} 6.18.44", system_name());
        let expected = [
            "name=torch;version=2.15.0;cuda=13.2",
            "name=numpy;version=2.4.6",
            "name=python;version=3.11.7",
            "name=cuda;version=13.2",
            &os,
            "name=gpu;model=NVIDIA A100;driver=535.129.01",
            "name=gpu;model=AMD 1002:744c",
            "name=cpu;model=AMD EPYC 7B13",
            "name=diffusers;version=0.35.1",
            "name=jax;version=0.9.0",
        ];
        assert_eq!(lines(&environment), expected);
        assert_eq!(environment.components()[6].id(), "gpu");
    }

    #[test]
    fn torch_without_cuda_says_so_in_two_spellings() {
        let environment = environment(&Host::default(), &[], &python(None, Some("6.2.41133")));
        let expected = [
            "name=torch;version=2.15.0;cuda=None",
            "name=numpy;version=2.4.6",
            "name=python;version=3.11.7",
            "name=cuda;version=none",
            "name=rocm;version=6.2.41133",
            "name=diffusers;version=0.35.1",
            "name=jax;version=0.9.0",
        ];
        assert_eq!(lines(&environment), expected);
    }

    #[test]
    fn hardware_has_what_is_known() {
        let full = hardware(&host(), vec![Gpu::new("NVIDIA A100")], &python(Some("13.2"), None));
        assert_eq!(full.os, format!("{} 6.18.44", system_name()));
        assert_eq!(full.machine_name.as_deref(), Some("box"));
        assert_eq!(full.cpu.as_deref(), Some("AMD EPYC 7B13"));
        assert_eq!((full.cpu_cores, full.extra.get("logical_cores")), (Some(32), Some("64")));
        assert_eq!(full.ram_gb, Some(128.0));
        assert_eq!(full.gpu.map(|gpus| gpus.len()), Some(1));
        assert_eq!(full.framework.as_deref(), Some("torch 2.15.0"));
        assert_eq!(full.compute_lib.as_deref(), Some("cuda 13.2"));

        let bare = hardware(&Host::default(), Vec::new(), &Python::default());
        assert_eq!(bare, HardwareInfo::new(system_name()));

        let rocm = hardware(&host(), Vec::new(), &python(None, Some("6.2.41133")));
        assert_eq!(rocm.compute_lib.as_deref(), Some("rocm 6.2.41133"));
        let no_torch = Python { torch: None, ..python(None, None) };
        let jax = hardware(&Host { physical_cores: None, ..host() }, Vec::new(), &no_torch);
        assert_eq!((jax.framework.as_deref(), jax.compute_lib), (Some("jax 0.9.0"), None));
        assert_eq!(jax.cpu_cores, Some(64));
    }
}
