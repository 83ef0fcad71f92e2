//! Metadata: the checks of the builder, and members that reading and writing must not change.

use std::io::Cursor;

use gen5::metadata::{Extra, GenerationSettings, Gpu, HardwareInfo, ModelInfo};
use gen5::{Error, Metadata, Reader, WriteOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Builder, Chunk, model_info, open};

fn settings() -> GenerationSettings {
    GenerationSettings::new(1, 20, "euler")
}

fn with_settings(change: impl FnOnce(&mut GenerationSettings)) -> gen5::Result<Metadata> {
    let mut settings = settings();
    change(&mut settings);
    Metadata::builder("m", "1").settings(settings).build()
}

fn with_hardware(change: impl FnOnce(&mut HardwareInfo)) -> gen5::Result<Metadata> {
    let mut hardware = HardwareInfo::new("Linux");
    change(&mut hardware);
    Metadata::builder("m", "1").hardware(hardware).build()
}

fn with_gpu(change: impl FnOnce(&mut Gpu)) -> gen5::Result<Metadata> {
    let mut gpu = Gpu::new("A100");
    change(&mut gpu);
    with_hardware(|hardware| hardware.gpu = Some(vec![Gpu::new("first"), gpu]))
}

/// Writes a file with this metadata and opens it.
fn rewritten(metadata: &Metadata) -> Reader {
    let mut out = Cursor::new(Vec::new());
    let mut writer = WriteOptions::new().to_writer(&mut out).unwrap();
    writer.latent("x", &[1], &[1.0_f32]).unwrap();
    writer.finish(metadata).unwrap();
    let reader = open(out.into_inner());
    reader.verify().unwrap();
    reader
}

#[test]
fn settings_are_set_one_after_the_other() {
    let all = settings().cfg_scale(7.5).scheduler("karras").eta(0.0).guidance("cfg").precision("fp16");
    let expected = json!({
        "seed": 1, "steps": 20, "sampler": "euler", "cfg_scale": 7.5, "scheduler": "karras", "eta": 0.0,
        "guidance": "cfg", "precision": "fp16", "deterministic": true,
    });
    assert_eq!(serde_json::to_value(all.deterministic(true)).unwrap(), expected);
}

#[test]
fn what_is_not_given_is_absent() {
    let metadata = Metadata::builder("Stable Diffusion 3", "3.0").build().unwrap();
    let info = metadata.model_info();
    assert_eq!((&*info.model_name, &*info.version, &*info.prompt), ("Stable Diffusion 3", "3.0", ""));
    assert!(info.tags.is_empty() && info.generation_settings.is_none() && info.hardware_info.is_none());
    assert!(info.extra.is_empty());
    let mut names: Vec<String> =
        serde_json::to_value(info).unwrap().as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["date", "model_name", "prompt", "tags", "version"]);
    assert_eq!(
        serde_json::to_value(settings()).unwrap(),
        json!({"seed": 1, "steps": 20, "sampler": "euler"})
    );
    assert_eq!(serde_json::to_value(HardwareInfo::new("Linux")).unwrap(), json!({"os": "Linux"}));
    assert_eq!(serde_json::to_value(Gpu::new("A100")).unwrap(), json!({"name": "A100"}));
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Seconds from 1970 to a date in UTC. Years start in March, so that the leap day is the last one.
fn seconds(date: &str) -> u64 {
    let numbers: Vec<u64> =
        date.split(['-', 'T', ':', '.', '+']).map(|number| number.parse().unwrap()).collect();
    let [year, month, day, hour, minute, second, ..] = numbers[..] else { panic!("{date}") };
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    ((days * 24 + hour) * 60 + minute) * 60 + second
}

#[test]
fn the_date_is_now_in_iso_8601_with_microseconds_and_an_offset() {
    let before = now();
    let date = ModelInfo::new("m", "1").date;
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000+00:00", "{date}");
    assert!((before..=now()).contains(&seconds(&date)), "{date}");
}

#[test]
fn every_member_reaches_the_file() {
    let mut full = settings();
    full.seed = u64::MAX;
    full.cfg_scale = Some(7.5);
    full.scheduler = Some("karras".into());
    full.eta = Some(0.0);
    full.guidance = Some("classifier-free".into());
    full.precision = Some("fp16".into());
    full.deterministic = Some(false);
    full.extra.insert("clip_skip", &2).unwrap();
    let mut hardware = HardwareInfo::new("Linux");
    hardware.machine_name = Some("host".into());
    hardware.cpu = Some("cpu".into());
    hardware.cpu_cores = Some(1);
    hardware.ram_gb = Some(0.5);
    hardware.framework = Some("torch".into());
    hardware.compute_lib = Some("cuda".into());
    let mut gpu = Gpu::new("A100");
    gpu.memory_gb = Some(80.0);
    gpu.driver = Some("535".into());
    gpu.cuda_version = Some("13.2".into());
    hardware.gpu = Some(vec![gpu, Gpu::new("")]);
    let mut extra = Extra::new();
    extra.insert("workflow", &json!({"nodes": [1, 2]})).unwrap();
    let metadata = Metadata::builder("m", "1")
        .date("2026-11-22T00:00:00+00:00")
        .prompt("p\n\"\u{0}")
        .tag("a")
        .tag("b")
        .settings(full)
        .hardware(hardware)
        .extra(extra)
        .build()
        .unwrap();
    let reader = rewritten(&metadata);
    assert_eq!(reader.metadata().unwrap(), metadata);
    let expected = json!({
        "model_name": "m", "version": "1", "date": "2026-11-22T00:00:00+00:00", "prompt": "p\n\"\u{0}",
        "tags": ["a", "b"], "workflow": {"nodes": [1, 2]},
        "generation_settings": {
            "seed": u64::MAX, "steps": 20, "sampler": "euler", "cfg_scale": 7.5, "scheduler": "karras", "eta": 0.0,
            "guidance": "classifier-free", "precision": "fp16", "deterministic": false, "clip_skip": 2,
        },
        "hardware_info": {
            "os": "Linux", "machine_name": "host", "cpu": "cpu", "cpu_cores": 1, "ram_gb": 0.5, "framework": "torch",
            "compute_lib": "cuda",
            "gpu": [{"name": "A100", "memory_gb": 80.0, "driver": "535", "cuda_version": "13.2"}, {"name": ""}],
        },
    });
    assert_eq!(serde_json::from_str::<Value>(reader.model_info_json()).unwrap(), expected);
}

#[test]
fn extra_members_are_told_apart() {
    let of = |value: i32| {
        let mut extra = Extra::new();
        extra.insert("n", &value).unwrap();
        extra
    };
    assert!(of(1) == of(1) && of(1) != of(2) && of(1) != Extra::new());
    assert!(!of(1).is_empty() && Extra::new().is_empty() && of(1).len() == 1);
}

/// JSON would write `null`.
#[test]
fn a_number_that_json_does_not_have_is_told_as_it_is() {
    let error = with_settings(|settings| settings.eta = Some(f64::INFINITY)).unwrap_err();
    assert!(matches!(&error, Error::Metadata { found, .. } if found == "inf"), "{error}");
    let error = with_gpu(|gpu| gpu.memory_gb = Some(f64::NAN)).unwrap_err();
    assert!(matches!(&error, Error::Metadata { found, .. } if found == "NaN"), "{error}");
}

/// The member that the error names.
#[track_caller]
fn refused(result: gen5::Result<Metadata>) -> String {
    match result.map(|_| ()).unwrap_err() {
        Error::Metadata { member, .. } => member,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_out_of_bounds_are_refused_by_name() {
    assert_eq!(refused(with_settings(|settings| settings.steps = 0)), "generation_settings.steps");
    assert_eq!(refused(with_hardware(|hardware| hardware.cpu_cores = Some(0))), "hardware_info.cpu_cores");
    for bad in [-1.0, -f64::MIN_POSITIVE, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let cfg_scale = refused(with_settings(|settings| settings.cfg_scale = Some(bad)));
        assert_eq!(cfg_scale, "generation_settings.cfg_scale", "{bad}");
        assert_eq!(
            refused(with_settings(|settings| settings.eta = Some(bad))),
            "generation_settings.eta",
            "{bad}"
        );
        assert_eq!(
            refused(with_hardware(|hardware| hardware.ram_gb = Some(bad))),
            "hardware_info.ram_gb",
            "{bad}"
        );
        let memory = refused(with_gpu(|gpu| gpu.memory_gb = Some(bad)));
        assert_eq!(memory, "hardware_info.gpu[1].memory_gb", "{bad}");
    }
    for good in [0.0, -0.0, f64::MIN_POSITIVE, f64::MAX] {
        with_settings(|settings| (settings.cfg_scale, settings.eta) = (Some(good), Some(good))).unwrap();
        with_hardware(|hardware| hardware.ram_gb = Some(good)).unwrap();
        with_gpu(|gpu| gpu.memory_gb = Some(good)).unwrap();
    }
    with_settings(|settings| (settings.seed, settings.steps) = (0, 1)).unwrap();
}

#[test]
fn a_known_name_among_extra_members_is_refused() {
    fn put(extra: &mut Extra, name: &str) {
        extra.insert_json(name, if name == "gpu" { "[]" } else { "1" }).unwrap();
    }
    for name in ["model_name", "version", "date", "prompt", "tags"] {
        let mut extra = Extra::new();
        put(&mut extra, name);
        refused(Metadata::builder("m", "1").extra(extra).build());
    }
    for name in ["seed", "steps", "sampler"] {
        let member = refused(with_settings(|settings| put(&mut settings.extra, name)));
        assert!(member.starts_with("generation_settings"), "{name}: {member}");
    }
    let member = refused(with_hardware(|hardware| put(&mut hardware.extra, "os")));
    assert!(member.starts_with("hardware_info"), "{member}");
    let member = refused(with_gpu(|gpu| put(&mut gpu.extra, "name")));
    assert!(member.starts_with("hardware_info.gpu[1]"), "{member}");
    let mut extra = Extra::new();
    extra.insert("generation_settings", &settings()).unwrap();
    refused(Metadata::builder("m", "1").settings(settings()).extra(extra).build());
}

/// A member that has its own field is stored there, as when the file is read.
#[test]
fn a_known_name_among_extra_members_is_taken_for_what_it_is() {
    let built = with_settings(|settings| {
        settings.extra.insert_json("cfg_scale", "7.5").unwrap();
        settings.extra.insert_json("deterministic", "true").unwrap();
    });
    let built = built.unwrap().into_model_info().generation_settings.unwrap();
    assert_eq!((built.cfg_scale, built.deterministic), (Some(7.5), Some(true)));
    assert!(built.extra.get("cfg_scale").is_none());

    let built = with_hardware(|hardware| hardware.extra.insert_json("cpu_cores", "8").unwrap());
    assert_eq!(built.unwrap().into_model_info().hardware_info.unwrap().cpu_cores, Some(8));
    let refused_in_extra = [
        with_settings(|settings| settings.extra.insert_json("eta", "-1").unwrap()),
        with_hardware(|hardware| hardware.extra.insert_json("cpu_cores", "0").unwrap()),
        with_gpu(|gpu| gpu.extra.insert_json("driver", "1").unwrap()),
    ];
    let members = ["generation_settings.eta", "hardware_info.cpu_cores", "hardware_info.gpu[1].driver"];
    assert_eq!(refused_in_extra.map(refused), members);
}

#[test]
fn text_that_is_no_model_info_is_refused() {
    let valid = model_info().to_string();
    Metadata::from_json(&valid).unwrap();
    Metadata::from_json(&format!(" {valid}\n")).unwrap();
    let twice = valid.replacen('{', "{\"x\":1,\"x\":2,", 1);
    let lone = valid.replace("\"p\"", "\"\\udfff\"");
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        "{",
        valid.strip_prefix('{').unwrap(),
        &format!("{valid}x"),
        &format!("\u{feff}{valid}"),
        &twice,
        &lone,
        &valid.replace("\"seed\":7", "\"seed\":NaN"),
        &valid.replace("\"seed\":7", "\"seed\":07"),
    ] {
        refused(Metadata::from_json(text));
    }
    let long = valid.replace("\"seed\":7", &format!("\"seed\":\"{}\"", "x".repeat(10_000)));
    let error = Metadata::from_json(&long).unwrap_err();
    assert!(
        error.to_string().len() < 500 && error.to_string().contains("generation_settings.seed"),
        "{error}"
    );
}

/// A file whose manifest has unknown members in every place.
fn with_unknown_members() -> Vec<u8> {
    Builder::new([Chunk::latent("x", &[1], &[1.0])])
        .manifest(|all| {
            all["beside gen5_metadata"] = json!({"a": [1, null]});
            let body = &mut all["gen5_metadata"];
            body["beside model_info"] = json!(true);
            body["file_info"]["in file_info"] = json!("text");
            body["model_info"]["in model_info"] = json!(1.5);
            body["model_info"]["generation_settings"]["in settings"] = json!(-3);
            let gpu = json!([{"name": "A", "in gpu": {}}]);
            body["model_info"]["hardware_info"] = json!({"os": "L", "in hardware": [], "gpu": gpu});
        })
        .build()
}

#[test]
fn members_that_nothing_here_knows_come_through_reading_and_writing() {
    let source = open(with_unknown_members());
    let metadata = source.metadata().unwrap();
    let copy = rewritten(&metadata);
    assert_eq!(copy.metadata().unwrap(), metadata);
    let parse = |reader: &Reader| serde_json::from_str::<Value>(reader.manifest_json()).unwrap();
    let (before, after) = (parse(&source), parse(&copy));
    assert_eq!(before["gen5_metadata"]["model_info"], after["gen5_metadata"]["model_info"]);
    for place in
        ["/beside gen5_metadata", "/gen5_metadata/beside model_info", "/gen5_metadata/file_info/in file_info"]
    {
        assert!(before.pointer(place).is_some());
        assert_eq!(before.pointer(place), after.pointer(place), "{place}");
    }
    assert_eq!(rewritten(&copy.metadata().unwrap()).manifest_json(), copy.manifest_json());
}

#[test]
fn numbers_without_a_field_that_holds_them_are_written_back_as_they_were_spelled() {
    for (member, object) in [
        (
            "\"generation_settings\":{",
            r#""generation_settings":{"seed":1180591620717411303424,"steps":1,"sampler":"s","x":1.50}"#,
        ),
        (
            "\"generation_settings\":{",
            r#""generation_settings":{"seed":18446744073709551616,"steps":1e2,"sampler":"s"}"#,
        ),
        (
            "\"generation_settings\":{",
            r#""generation_settings":{"seed":1,"steps":1e300,"sampler":"s","eta":1e999}"#,
        ),
        (
            "\"generation_settings\":{",
            r#""generation_settings":{"seed":1,"steps":1,"sampler":"s","cfg_scale":9007199254740993}"#,
        ),
        ("\"date\":", r#""hardware_info":{"os":"L","ram_gb":1e999,"gpu":[{"name":"A","memory_gb":2.50}]}"#),
        ("\"date\":", r#""hardware_info":{"os":"L","gpu":[{"name":"A","memory_gb":2e400}]}"#),
        ("\"date\":", r#""note":[1.10,1e400,-0,"\ud800"]"#),
    ] {
        let replaced = match member {
            "\"date\":" => format!("{object},\"date\":"),
            _ => format!("{object},\"was\":{{"),
        };
        let source =
            open(Builder::new([Chunk::latent("x", &[1], &[1.0])]).replace(member, &replaced).build());
        let metadata = source.metadata().unwrap();
        let copy = rewritten(&metadata);
        assert!(copy.model_info_json().contains(object), "{object} became {}", copy.model_info_json());
        assert_eq!(copy.metadata().unwrap(), metadata);
        // Numbers too large for their type do not exempt the rest from the checks.
        let broken = replaced.replacen("\"s\"", "5", 1).replacen("\"A\"", "5", 1);
        if broken != replaced {
            let file = Builder::new([Chunk::latent("x", &[1], &[1.0])]).replace(member, &broken).build();
            assert!(matches!(open(file).metadata(), Err(Error::Metadata { .. })), "{broken}");
        }
    }
}

#[test]
fn the_largest_integers_of_a_float_are_numbers() {
    let read = |cfg_scale: &str| {
        let settings =
            format!(r#""generation_settings":{{"seed":1,"steps":1,"sampler":"s","cfg_scale":{cfg_scale}}}"#);
        let replaced = format!("{settings},\"was\":{{");
        let chunk = Chunk::latent("x", &[1], &[1.0]);
        let file = Builder::new([chunk]).replace("\"generation_settings\":{", &replaced).build();
        let settings = open(file).metadata().unwrap().into_model_info().generation_settings;
        settings.and_then(|settings| settings.cfg_scale)
    };
    assert_eq!(read("9007199254740991"), Some(9_007_199_254_740_991.0));
    // Either may be a rounded neighbour, so neither is returned.
    assert_eq!((read("9007199254740992"), read("9007199254740993")), (None, None));
}

#[test]
fn a_prompt_of_many_megabytes_is_written_and_read() {
    let prompt = "a lighthouse at dusk, ".repeat(600_000);
    let metadata = Metadata::builder("SD", "1").prompt(&prompt).build().unwrap();
    assert_eq!(rewritten(&metadata).metadata().unwrap().into_model_info().prompt, prompt);
}

#[test]
fn metadata_that_was_read_can_be_changed() {
    let metadata = open(with_unknown_members()).metadata().unwrap();
    let mut info = metadata.into_model_info();
    info.prompt = "another".into();
    info.generation_settings.as_mut().unwrap().seed = 8;
    let changed = Metadata::new(&info).unwrap();
    let written = rewritten(&changed).metadata().unwrap();
    assert_eq!(written, changed);
    assert_eq!(
        (&*written.model_info().prompt, written.model_info().extra.get("in model_info")),
        ("another", Some("1.5"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_comes_back(prompt in any::<String>(), tags in prop::collection::vec(any::<String>(), 0..4),
                           name in any::<String>(), value in any::<String>()) {
        let mut info = ModelInfo::new(&*prompt, &*value);
        info.prompt.clone_from(&prompt);
        info.tags = tags;
        info.extra.insert(format!("x{name}"), &value).unwrap();
        let metadata = Metadata::new(&info).unwrap();
        prop_assert_eq!(rewritten(&metadata).metadata().unwrap(), metadata);
    }
}

/// As typed values, a list of GPUs can take ten times the memory of its text.
#[test]
fn hardware_of_very_many_gpus_is_kept_as_text() {
    let with = |count: usize| {
        let gpus = vec![r#"{"name": "a"}"#; count].join(",");
        let hardware = format!(r#"{{"os":"x","gpu":[{gpus}]}}"#);
        let text = format!(
            r#"{{"before":1,"hardware_info":{hardware},"model_name":"m","version":"1","date":"d","prompt":"","tags":[]}}"#
        );
        (Metadata::from_json(&text).unwrap(), hardware)
    };
    let (few, _) = with(1024);
    assert_eq!(few.model_info().hardware_info.as_ref().unwrap().gpu.as_ref().unwrap().len(), 1024);
    let (many, text) = with(1025);
    assert_eq!(many.model_info().hardware_info, None);
    let names: Vec<&str> = many.model_info().extra.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["before", "hardware_info"]);
    assert_eq!(many.model_info().extra.get("hardware_info"), Some(&*text));
    assert_eq!(rewritten(&many).metadata().unwrap(), many);
    // They are checked anyway.
    let gpus = format!("{}5", "{\"name\":\"a\"},".repeat(2000));
    let text = format!(
        r#"{{"hardware_info":{{"os":"x","gpu":[{gpus}]}},"model_name":"m","version":"1","date":"d","prompt":"","tags":[]}}"#
    );
    let error = Metadata::from_json(&text).unwrap_err();
    assert!(
        matches!(&error, Error::Metadata { member, .. } if member == "hardware_info.gpu[2000]"),
        "{error}"
    );
}

/// The writer has the same limit on tags as readers have by default.
#[test]
fn more_tags_than_readers_take_are_refused() {
    let with = |count: usize| {
        let mut model = ModelInfo::new("m", "1");
        model.tags = vec!["a".to_owned(); count];
        Metadata::new(&model)
    };
    assert_eq!(rewritten(&with(100_000).unwrap()).metadata().unwrap().model_info().tags.len(), 100_000);
    let most = usize::try_from(gen5::Limits::default().tags).unwrap();
    let error = with(most + 1).unwrap_err();
    assert!(matches!(&error, Error::Metadata { member, .. } if member == "tags"), "{error}");
    assert!(error.to_string().contains("at most 262144 elements"), "{error}");
}
