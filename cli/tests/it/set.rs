//! `gen5 set` changes metadata and keeps everything that it does not name.

use std::fs;

use gen5::Reader;
use serde_json::{Value, json};

use crate::support::Folder;

const SETTINGS: &str = "generation_settings";

/// A folder that contains only `run.gen5`: two latents, settings, an image and an environment.
fn sample() -> Folder {
    let folder = Folder::new();
    folder.sample("run.gen5");
    folder
}

fn open(folder: &Folder, name: &str) -> Reader {
    Reader::open(folder.path(name)).unwrap()
}

fn model_info(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(open(folder, name).model_info_json()).unwrap()
}

#[test]
fn members_are_changed_and_nothing_else_is() {
    let folder = sample();
    let (before, reader) = (model_info(&folder, "run.gen5"), open(&folder, "run.gen5"));
    let changes = [
        "prompt=a=b, 1",
        "version=4",
        "date=2026-11-24",
        "tags=sea, favourite",
        "seed=7",
        "sampler=42",
        "cfg_scale=7.50",
        "generation_settings.loras=[\"a\"]",
        "hardware_info.machine_name=render-3",
        "hardware_info.cpu_cores=64",
        "rating=5",
        "remark=free text",
    ];
    let told = folder.ok(&[&["set", "@/run.gen5"], &changes[..]].concat());
    assert_eq!(told, "@/run.gen5: 12 changes\n");
    let mut expected = before.clone();
    expected["prompt"] = json!("a=b, 1");
    expected["version"] = json!("4");
    expected["date"] = json!("2026-11-24");
    expected["tags"] = json!(["sea", "favourite"]);
    expected["generation_settings"]["seed"] = json!(7);
    expected["generation_settings"]["sampler"] = json!("42");
    expected["generation_settings"]["cfg_scale"] = json!(7.5);
    expected["generation_settings"]["loras"] = json!(["a"]);
    expected["hardware_info"]["machine_name"] = json!("render-3");
    expected["hardware_info"]["cpu_cores"] = json!(64);
    expected["rating"] = json!(5);
    expected["remark"] = json!("free text");
    assert_eq!(model_info(&folder, "run.gen5"), expected);

    let after = open(&folder, "run.gen5");
    after.verify().unwrap();
    for index in 0..reader.chunks().len() {
        assert_eq!(after.chunks()[index].offset(), reader.chunks()[index].offset());
        assert_eq!(after.payload(index).unwrap(), reader.payload(index).unwrap());
    }
    assert_eq!(folder.names(), ["run.gen5"]);
}

#[test]
fn what_is_set_as_it_was_is_no_change() {
    let folder = sample();
    let before = model_info(&folder, "run.gen5");
    let seed = format!("seed={}", before["generation_settings"]["seed"]);
    let name = format!("model_name={}", before["model_name"].as_str().unwrap());
    let told = folder.ok(&["set", "@/run.gen5", &seed, &name, "prompt=another"]);
    assert_eq!(told, "@/run.gen5: 1 change\n");
    assert_eq!(folder.ok(&["set", "@/run.gen5", &seed]), "@/run.gen5: 0 changes\n");
}

#[test]
fn a_value_that_the_schema_refuses_is_wrong_usage() {
    let folder = sample();
    for (change, problem) in [
        ("seed=-1", "metadata: generation_settings.seed is -1, expected an integer of 0 or more"),
        (
            "generation_settings.steps=2.5",
            "metadata: generation_settings.steps is 2.5, expected an integer of 1 or more",
        ),
        ("seed=x", "seed: \"x\" is not a number"),
    ] {
        let ran = folder.run(&["set", "@/run.gen5", change]);
        assert_eq!((ran.code, &*ran.messages), (2, &*format!("gen5: {problem}\n")));
    }
}

#[test]
fn members_that_gen5_goes_by_are_told() {
    let folder = sample();
    let ran = folder.run(&["set", "@/run.gen5", "source_files=3"]);
    assert_eq!(ran.code, 0);
    let note = "gen5: source_files is where gen5 itself records the origins of latents; --unset removes it\n";
    assert_eq!(ran.messages, note);
}

#[test]
fn members_are_taken_out() {
    let folder = sample();
    let mut expected = model_info(&folder, "run.gen5");
    let unset = ["--unset", "hardware_info", "--unset", "generation_settings.note"];
    assert_eq!(folder.ok(&[&["set", "@/run.gen5"], &unset[..]].concat()), "@/run.gen5: 2 changes\n");
    expected.as_object_mut().unwrap().remove("hardware_info").unwrap();
    expected["generation_settings"].as_object_mut().unwrap().remove("note").unwrap();
    assert_eq!(model_info(&folder, "run.gen5"), expected);
}

/// A bare name means an existing setting of that name, so that it is not stored twice.
#[test]
fn settings_that_are_no_members_of_the_format_are_found() {
    let folder = sample();
    let mut expected = model_info(&folder, "run.gen5");
    folder.ok(&["set", "@/run.gen5", "negative_prompt=7", "clip_skip=3", "--unset", "note"]);
    expected["generation_settings"]["negative_prompt"] = json!("7");
    expected["generation_settings"]["clip_skip"] = json!(3);
    expected["generation_settings"].as_object_mut().unwrap().remove("note").unwrap();
    assert_eq!(model_info(&folder, "run.gen5"), expected);
    // A member outside the settings takes precedence.
    folder.ok(&["set", "@/run.gen5", "rating=1", "generation_settings.rating=2"]);
    folder.ok(&["set", "@/run.gen5", "rating=3"]);
    expected["rating"] = json!(3);
    expected["generation_settings"]["rating"] = json!(2);
    assert_eq!(model_info(&folder, "run.gen5"), expected);
}

/// Python writes NaN, which is not valid JSON.
#[test]
fn metadata_that_is_no_json_can_be_mended() {
    let folder = Folder::new();
    fs::write(folder.path("nan.gen5"), include_bytes!("../data/nan.gen5")).unwrap();
    open(&folder, "nan.gen5").metadata().unwrap_err();
    let ran = folder.run(&["set", "@/nan.gen5", "prompt=x"]);
    assert_eq!((ran.code, &*ran.out), (0, "@/nan.gen5: 1 change\n"), "{ran:?}");
    assert!(ran.messages.contains("NaN and Infinity in its metadata"), "{ran:?}");
    let info = model_info(&folder, "nan.gen5");
    assert_eq!((&info["prompt"], &info["loss"]), (&json!("x"), &Value::Null));
    open(&folder, "nan.gen5").metadata().unwrap();
}

#[test]
fn a_slip_is_told() {
    let folder = sample();
    let ran = folder.run(&["set", "@/run.gen5", "sed=1", "rating=5", "prompt=x", "steps=3"]);
    assert_eq!(ran.messages, "gen5: sed is now a separate member; did you mean seed?\n", "{ran:?}");
    folder.ok(&["set", "@/run.gen5", "sed=2"]);
    assert_eq!(model_info(&folder, "run.gen5")["sed"], 2);
}

#[test]
fn another_file_is_written_and_this_one_kept() {
    let folder = sample();
    let bytes = fs::read(folder.path("run.gen5")).unwrap();
    folder.ok(&["set", "@/run.gen5", "prompt=x", "-o", "@/new.gen5"]);
    assert_eq!(fs::read(folder.path("run.gen5")).unwrap(), bytes);
    assert_eq!(model_info(&folder, "new.gen5")["prompt"], "x");
    let ran = folder.run(&["set", "@/run.gen5", "prompt=y", "-o", "@/new.gen5"]);
    assert_eq!(ran.code, 1);
    assert!(ran.messages.contains("it already exists; --force replaces it"), "{}", ran.messages);
    assert_eq!(model_info(&folder, "new.gen5")["prompt"], "x");
    folder.ok(&["set", "@/run.gen5", "prompt=y", "-o", "@/new.gen5", "--force"]);
    assert_eq!(model_info(&folder, "new.gen5")["prompt"], "y");
}

#[test]
fn metadata_can_be_edited_as_a_file() {
    let folder = sample();
    folder.ok(&["unpack", "@/run.gen5", "-o", "@/run"]);
    let text = fs::read_to_string(folder.path("run/metadata.json")).unwrap();
    fs::write(folder.path("edited.json"), text.replace("\"SD\"", "\"SDXL\"")).unwrap();
    assert_eq!(folder.ok(&["set", "@/run.gen5", "--metadata", "@/edited.json"]), "@/run.gen5: 1 change\n");
    assert_eq!(model_info(&folder, "run.gen5")["model_name"], "SDXL");
}

/// If a file's metadata lack a required member, the file is at fault, not the command line.
#[test]
fn a_file_whose_metadata_lack_a_member_is_at_fault() {
    let folder = Folder::new();
    let without = |object: &str, member: &str| {
        let mut model_info = crate::library::model_info();
        let place = if object.is_empty() { &mut model_info } else { &mut model_info[object] };
        place.as_object_mut().unwrap().remove(member).unwrap();
        model_info
    };
    let mut many = crate::library::model_info();
    many["hardware_info"] = json!({"gpu": [{"memory_gb": 8}]});
    let file = |model_info: &Value| {
        let model_info = model_info.clone();
        let chunk = crate::library::Chunk::latent("x", &[1], &[1.0]);
        let edit = move |manifest: &mut Value| manifest["gen5_metadata"]["model_info"] = model_info;
        fs::write(folder.path("run.gen5"), crate::library::Builder::new([chunk]).manifest(edit).build())
            .unwrap();
    };
    let steps = "metadata: generation_settings.steps is missing, expected a value (give steps=…)";
    for (model_info, problem) in [
        (without(SETTINGS, "steps"), steps),
        (without("", "model_name"), "metadata: model_name is missing"),
        (many, "metadata: hardware_info"),
    ] {
        file(&model_info);
        let bytes = fs::read(folder.path("run.gen5")).unwrap();
        let ran = folder.run(&["set", "@/run.gen5", "prompt=x"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.messages.starts_with(&format!("gen5: @/run.gen5: {problem}")), "{ran:?}");
        // The same holds for a `--metadata` file.
        fs::write(folder.path("own.json"), model_info.to_string()).unwrap();
        let ran = folder.run(&["set", "@/run.gen5", "--metadata", "@/own.json"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.messages.starts_with(&format!("gen5: @/own.json: {problem}")), "{ran:?}");
        assert_eq!(fs::read(folder.path("run.gen5")).unwrap(), bytes);
        let ran = folder.run(&["verify", "@/run.gen5"]);
        assert_eq!(ran.code, 0, "its chunks are as they were: {ran:?}");
    }

    // The message suggests this.
    file(&without(SETTINGS, "steps"));
    folder.ok(&["set", "@/run.gen5", "steps=20"]);
    // If the command line removes a required member or omits it, the command line is at fault.
    for words in [["--unset", "steps"], ["--unset", "generation_settings.steps"], ["--unset", "model_name"]] {
        let ran = folder.run(&[&["set", "@/run.gen5"], &words[..]].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
    }
    let mut bare = crate::library::model_info();
    bare.as_object_mut().unwrap().remove(SETTINGS).unwrap();
    file(&bare);
    let ran = folder.run(&["set", "@/run.gen5", "seed=1"]);
    assert_eq!((ran.code, &*ran.messages), (2, &*format!("gen5: {steps}\n")));
}

/// `pack` makes the same distinction.
#[test]
fn metadata_for_pack_that_lack_a_member_are_at_fault() {
    let folder = Folder::new();
    folder.npy("a.npy", &[1], &[1.0]);
    let mut model_info = crate::library::model_info();
    model_info[SETTINGS].as_object_mut().unwrap().remove("steps").unwrap();
    fs::write(folder.path("own.json"), model_info.to_string()).unwrap();
    let pack = ["pack", "@/x.gen5", "--latent", "@/a.npy", "--no-environment", "--metadata", "@/own.json"];
    let steps = "metadata: generation_settings.steps is missing, expected a value (give --set steps=…)";
    let ran = folder.run(&pack);
    assert_eq!((ran.code, &*ran.messages), (1, &*format!("gen5: @/own.json: {steps}\n")));
    let pack = ["pack", "@/x.gen5", "--latent", "@/a.npy", "--no-environment", "--model-name=m"];
    let ran =
        folder.run(&[&pack[..], &["--model-version=1", "--set", "seed=1", "--set", "sampler=x"]].concat());
    assert_eq!((ran.code, &*ran.messages), (2, &*format!("gen5: {steps}\n")));
}

#[test]
fn what_is_refused_leaves_the_file_as_it_is() {
    let folder = sample();
    let bytes = fs::read(folder.path("run.gen5")).unwrap();
    for (change, code, problem) in [
        ("prompt", 2, "expected NAME=VALUE"),
        ("=x", 2, "expected NAME=VALUE"),
        ("generation_settings.=5", 2, "expected generation_settings.NAME"),
        ("seed=much", 2, "seed: \"much\" is not a number"),
        ("deterministic=yes", 2, "is not true or false"),
        ("date=yesterday", 2, "expected ISO 8601"),
        ("steps=0", 2, "steps is 0"),
        ("generation_settings=1", 2, "generation_settings is 1"),
        ("tags=[1]", 2, "tags[0] is 1"),
    ] {
        let ran = folder.run(&["set", "@/run.gen5", change]);
        assert_eq!((ran.code, &*ran.out), (code, ""), "{change}: {ran:?}");
        assert!(ran.messages.contains(problem), "{change}: {}", ran.messages);
    }
    let ran = folder.run(&["set", "@/run.gen5", "--unset", "steps"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.messages.contains("generation_settings.steps is missing"), "{}", ran.messages);
    let ran = folder.run(&["set", "@/run.gen5", "--unset", "promtp"]);
    assert_eq!(ran.messages, "gen5: --unset promtp: the file has no such member; did you mean prompt?\n");
    let ran = folder.run(&["set", "@/run.gen5", "--unset", "rating"]);
    assert_eq!(
        (ran.code, &*ran.messages),
        (
            2,
            "gen5: --unset rating: the file has no such member (write a member of an object as \
            OBJECT.NAME)\n"
        )
    );
    assert_eq!(folder.run(&["set", "@/run.gen5"]).code, 2);
    assert_eq!(fs::read(folder.path("run.gen5")).unwrap(), bytes);
    assert_eq!(folder.names(), ["run.gen5"]);
    assert_eq!(folder.run(&["set", "@/none.gen5", "prompt=x"]).code, 1);
    fs::write(folder.path("no.gen5"), "no").unwrap();
    assert_eq!(folder.run(&["set", "@/no.gen5", "prompt=x"]).code, 3);
}
