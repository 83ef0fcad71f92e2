//! The parts of the machine that `pack` stores. A stand-in for NVIDIA's library provides the cards.

use std::fs;

use gen5::Reader;
use serde_json::{Value, json};

use crate::support::Folder;

const PACK: [&str; 7] =
    ["pack", "@/x.gen5", "--latent", "@/noise.npy", "--model-name=SD", "--model-version=3", "--force"];

fn folder() -> Folder {
    let folder = Folder::new();
    folder.npy("noise.npy", &[2], &[0.0, 1.0]);
    folder
}

/// The `hardware_info` of the packed file, and the texts of its environment's components.
fn stored(folder: &Folder) -> (Value, Option<Vec<String>>) {
    let reader = Reader::open(folder.path("x.gen5")).unwrap();
    let model_info: Value = serde_json::from_str(reader.model_info_json()).unwrap();
    let environment = reader.environment().unwrap();
    let texts = environment.map(|environment| {
        environment.components().iter().map(|component| component.canonical().to_owned()).collect()
    });
    (model_info["hardware_info"].clone(), texts)
}

#[test]
fn hardware_is_filled_in_where_nothing_is_said() {
    let folder = folder();
    folder.ok(&PACK);
    let (hardware, environment) = stored(&folder);
    let os = format!("name=os;version={}", hardware["os"].as_str().unwrap());
    assert!(environment.unwrap().contains(&os));
    assert!(hardware["cpu_cores"].as_u64().unwrap() > 0);
    assert!(hardware["logical_cores"].as_u64().unwrap() >= hardware["cpu_cores"].as_u64().unwrap());
    assert!(hardware["ram_gb"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_is_given_is_not_changed() {
    let folder = folder();
    for hardware in ["{\"os\":\"Plan 9\"}", "{\"os\":\"Plan 9\",\"cpu_cores\":18446744073709551616}"] {
        let info = format!(r#"{{"hardware_info":{hardware},"clip":1.50}}"#);
        fs::write(folder.path("info.json"), &info).unwrap();
        folder.ok(&[&PACK[..], &["--metadata", "@/info.json"]].concat());
        let reader = Reader::open(folder.path("x.gen5")).unwrap();
        assert!(reader.model_info_json().contains(&format!("\"hardware_info\":{hardware}")), "{hardware}");
        assert!(reader.model_info_json().contains("\"clip\":1.50"));
        assert!(reader.environment().unwrap().is_some());
    }
}

#[test]
fn a_file_of_another_machine_has_nothing_of_this_one() {
    let folder = folder();
    folder.ok(&[&PACK[..], &["--no-environment"]].concat());
    assert_eq!(stored(&folder), (Value::Null, None));
    let line = "name=torch;version=2.15.0;cuda=13.2";
    let digest = gen5::chunk::Digest::of(line.as_bytes());
    let environment = json!({"env_version": 1, "components": [
        {"component_id": "torch", "cononical_str": line, "component_sha256_digest": digest.to_string()},
    ]});
    fs::write(folder.path("environment.json"), environment.to_string()).unwrap();
    folder.ok(&[&PACK[..], &["--environment", "@/environment.json"]].concat());
    assert_eq!(stored(&folder), (Value::Null, Some(vec![line.to_owned()])));
    for other in [&["--no-environment"][..], &["--environment", "@/environment.json"]] {
        assert_eq!(folder.run(&[&PACK[..], other, &["--python", "python3"]].concat()).code, 2);
    }
}

#[test]
fn the_interpreter_that_is_given_is_asked() {
    let folder = folder();
    let told = folder.run(&[&PACK[..], &["--python", "@/none"]].concat());
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.messages.starts_with("gen5: Python at @/none: it could not be started: "), "{told:?}");
    let (_, environment) = stored(&folder);
    assert!(!environment.unwrap().iter().any(|line| line.starts_with("name=python")));

    folder.ok(&[&PACK[..], &["--python", "python3"]].concat());
    let (_, environment) = stored(&folder);
    assert!(environment.unwrap().iter().any(|line| line.starts_with("name=python;version=3.")));
}

#[cfg(target_os = "linux")]
mod nvidia {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::fake_nvml::library;

    /// The command in a process that loads NVIDIA's library from `libraries` and finds no Python
    /// interpreter.
    fn gen5(folder: &Folder, libraries: &Path) -> Command {
        let mut gen5 = Command::new(env!("CARGO_BIN_EXE_gen5"));
        gen5.current_dir(folder.path("")).env("LD_LIBRARY_PATH", libraries);
        gen5.env("PATH", "").env_remove("VIRTUAL_ENV").env_remove("CONDA_PREFIX");
        gen5
    }

    /// Packs while the library call `failing` fails. Returns NVIDIA's cards as the environment and
    /// as the hardware list them.
    fn cards(folder: &Folder, libraries: &Path, failing: &str) -> (Vec<String>, Value) {
        let words = PACK.map(|word| word.replace("@/", ""));
        let ran = gen5(folder, libraries).args(words).env("FAKE_NVML_FAIL", failing).output().unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), told.as_str()), (Some(0), ""), "{failing}");
        let (hardware, environment) = stored(folder);
        assert!(hardware["ram_gb"].is_number(), "{failing}");
        let is_nvidia = |card: &&Value| card["name"].as_str().unwrap().starts_with("NVIDIA");
        let cards = hardware["gpu"].as_array().into_iter().flatten().filter(is_nvidia).cloned().collect();
        let mut lines = environment.unwrap();
        lines.retain(|line| line.starts_with("name=gpu;model=NVIDIA"));
        (lines, cards)
    }

    const A100: &str = "name=gpu;model=NVIDIA A100-SXM4-80GB";
    const T4: &str = "name=gpu;model=NVIDIA T4";

    /// The expected cards when no call fails.
    fn all() -> (Vec<String>, Value) {
        let lines = [A100, T4].map(|model| format!("{model};driver=535.129.01"));
        let hardware = json!([
            {"name": "NVIDIA A100-SXM4-80GB", "memory_gb": 80.0, "driver": "535.129.01", "cuda_version": "12.2"},
            {"name": "NVIDIA T4", "memory_gb": 15.0, "driver": "535.129.01", "cuda_version": "12.2"},
        ]);
        (lines.to_vec(), hardware)
    }

    /// The expected cards when `member` is unknown for the cards of these positions.
    fn without(member: &str, cards: &[usize]) -> (Vec<String>, Value) {
        let (mut lines, mut hardware) = all();
        for &card in cards {
            hardware[card].as_object_mut().unwrap().remove(member).unwrap();
            if member == "driver" {
                lines[card] = [A100, T4][card].to_owned();
            }
        }
        (lines, hardware)
    }

    /// The expected cards when only these can be read.
    fn only(cards: &[usize]) -> (Vec<String>, Value) {
        let (lines, hardware) = all();
        let lines = cards.iter().map(|&card| lines[card].clone()).collect();
        (lines, cards.iter().map(|&card| hardware[card].clone()).collect())
    }

    #[test]
    fn whatever_call_fails_the_rest_is_kept() {
        let folder = folder();
        let libraries = library(&folder, &[]);
        let expected = [
            ("", all()),
            ("nvmlInit_v2", only(&[])),
            ("nvmlSystemGetDriverVersion", without("driver", &[0, 1])),
            ("nvmlSystemGetCudaDriverVersion_v2", without("cuda_version", &[0, 1])),
            ("nvmlDeviceGetCount_v2", only(&[])),
            ("nvmlDeviceGetHandleByIndex_v2", only(&[])),
            ("nvmlDeviceGetHandleByIndex_v2:1", only(&[0])),
            ("nvmlDeviceGetName", only(&[])),
            ("nvmlDeviceGetName:1", only(&[0])),
            ("nvmlDeviceGetMemoryInfo_v2", without("memory_gb", &[0, 1])),
            ("nvmlDeviceGetMemoryInfo_v2:1", without("memory_gb", &[1])),
            ("nvmlShutdown", all()),
        ];
        for (failing, expected) in expected {
            assert_eq!(cards(&folder, &libraries, failing), expected, "{failing}");
        }
    }

    #[test]
    fn an_old_library_tells_what_it_can() {
        let folder = folder();
        let libraries = library(&folder, &["-DOLD"]);
        assert_eq!(cards(&folder, &libraries, ""), without("memory_gb", &[0, 1]));
    }

    #[test]
    fn env_shows_the_cards_and_holds_files_against_them() {
        let folder = folder();
        let libraries = library(&folder, &[]);
        let env = |libraries: &Path, words: &[&str]| {
            let ran = gen5(&folder, libraries).arg("env").args(words).output().unwrap();
            (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
        };
        let (code, told) = env(&libraries, &[]);
        assert_eq!(code, Some(0));
        for line in [
            "environment  gpu model=NVIDIA A100-SXM4-80GB;driver=535.129.01\n",
            "environment  gpu model=NVIDIA T4;driver=535.129.01\n",
            " ms; starting NVML took ",
        ] {
            assert!(told.contains(line), "{line} is not in {told}");
        }
        cards(&folder, &libraries, "");
        let same = "x.gen5: the environment matches that of this machine\n";
        assert_eq!(env(&libraries, &["x.gen5"]), (Some(0), same.to_owned()));
        fs::remove_dir_all(&libraries).unwrap();
        let (code, told) = env(&libraries, &["x.gen5"]);
        assert_eq!(code, Some(4));
        assert!(told.contains("    Environment component 'gpu' "), "{told}");
    }

    #[test]
    fn a_library_that_is_none_is_passed_over() {
        let folder = folder();
        let libraries = folder.path("lib");
        fs::create_dir(&libraries).unwrap();
        fs::write(libraries.join("libnvidia-ml.so.1"), "no library").unwrap();
        let (lines, hardware) = cards(&folder, &libraries, "");
        // The dynamic linker may find a real library elsewhere.
        assert_eq!(lines.len(), hardware.as_array().unwrap().len());
    }
}
