//! `pack` with images that contain text.

use std::fs;

use gen5::Reader;
use gen5_cli::embedded;
use serde_json::{Value, json};

use crate::images::{Order, UNDEFINED, USER_COMMENT, png, png_with, text, tiff};
use crate::support::{Folder, PNG};

/// Runs `pack` with this image and further arguments. Returns the exit code, the messages, and
/// `model_info` on success.
fn pack(folder: &Folder, name: &str, image: &[u8], more: &[&str]) -> (u8, String, Value) {
    folder.npy("a.npy", &[1], &[1.0]);
    fs::write(folder.path(name), image).unwrap();
    let path = format!("@/{name}");
    let words = ["pack", "@/x.gen5", "--latent", "@/a.npy", "--image", &path, "--force"];
    let fixed = ["--date", "2026-11-24", "--no-environment"];
    let ran = folder.run(&[&words[..], &fixed, more].concat());
    if ran.code != 0 {
        return (ran.code, ran.messages, Value::Null);
    }
    let reader = Reader::open(folder.path("x.gen5")).unwrap();
    assert_eq!(reader.image().unwrap().unwrap().as_ref(), image, "the image is stored as it is");
    reader.metadata().unwrap();
    (0, ran.messages, serde_json::from_str(reader.model_info_json()).unwrap())
}

const FULL: &str = "a pier, <lora:tide:1>\nNegative prompt: rain\nSteps: 20, Sampler: Euler a, Schedule type: Karras, \
    CFG scale: 7, Seed: 9, Size: 8x8, Model hash: 0123abcd, Model: coast, Denoising strength: 0.50";

#[test]
fn pack_fills_what_is_not_given() {
    let folder = Folder::new();
    let image = png(&[("parameters", FULL), ("Software", "x\u{1b}")]);
    let (code, messages, info) = pack(&folder, "out.png", &image, &[]);
    assert_eq!(code, 0, "{messages}");
    assert_eq!(messages, "gen5: @/out.png: prompt, 9 settings, model and 1 tag from AUTOMATIC1111's text\n");
    assert_eq!(
        info,
        json!({
            "model_name": "coast", "version": "0123abcd", "date": "2026-11-24", "prompt": "a pier, <lora:tide:1>",
            "tags": ["tide"],
            "generation_settings": {
                "seed": 9, "steps": 20, "sampler": "Euler a", "scheduler": "Karras", "cfg_scale": 7.0,
                "negative_prompt": "rain", "model_hash": "0123abcd", "size": "8x8", "denoising_strength": 0.5,
            },
            "image_text": {"parameters": FULL, "Software": "x\u{1b}"},
        })
    );
    let stored = Reader::open(folder.path("x.gen5")).unwrap().model_info_json().to_owned();
    assert!(stored.contains(r#""denoising_strength":0.50"#), "numbers keep their spelling: {stored}");
    folder.ok(&["verify", "@/x.gen5"]);
}

#[test]
fn pack_reads_jpeg_and_webp() {
    use image::ImageEncoder;
    use image::codecs::{jpeg::JpegEncoder, webp::WebPEncoder};

    /// Encodes an image of two by two pixels with this Exif.
    fn whole(mut encoder: impl ImageEncoder, exif: Vec<u8>) {
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&[128; 12], 2, 2, image::ExtendedColorType::Rgb8).unwrap();
    }

    let folder = Folder::new();
    let exif = || tiff(Order::Big, &[], &[(USER_COMMENT, UNDEFINED, &Order::Big.utf16(FULL))]);
    let (mut jpeg, mut webp) = (Vec::new(), Vec::new());
    whole(JpegEncoder::new(&mut jpeg), exif());
    whole(WebPEncoder::new_lossless(&mut webp), exif());
    for (name, image) in [("out.jpg", jpeg), ("out.webp", webp)] {
        let (_, messages, info) = pack(&folder, name, &image, &[]);
        let found = "prompt, 9 settings, model and 1 tag from AUTOMATIC1111's text";
        assert_eq!(messages, format!("gen5: @/{name}: {found}\n"));
        assert_eq!(info["generation_settings"]["seed"], 9);
        assert_eq!(info["image_text"], json!({"UserComment": FULL}));
    }
}

#[test]
fn info_shows_the_beginning_of_long_text() {
    let folder = Folder::new();
    let long = format!("é{}", "x".repeat(5000));
    let model = ["--model-name", "m", "--model-version", "1"];
    pack(&folder, "out.png", &png(&[("Comment", &long)]), &model);
    let page = folder.ok(&["info", "@/x.gen5"]);
    let line = page.lines().find(|line| line.contains("image_text")).unwrap();
    assert!(line.len() < 500 && line.ends_with("x… (4.9 KiB in all; --json shows it)"), "{line}");
    let info: Value = serde_json::from_str(&folder.ok(&["info", "--json", "@/x.gen5"])).unwrap();
    assert_eq!(info["metadata"]["image_text"]["Comment"], long);
}

#[test]
fn what_is_given_comes_first() {
    let folder = Folder::new();
    let image = png(&[("parameters", FULL)]);
    let flags = ["--prompt", "mine", "--tag", "t", "--model-name", "m", "--set", "seed=1", "--set", "size=2"];
    // The hash in the text belongs to another model, so it does not serve as the version.
    let (code, messages, _) = pack(&folder, "out.png", &image, &flags);
    assert_eq!(code, 2);
    assert!(messages.contains("the model's version is missing"), "{messages}");
    let flags = [&flags[..], &["--model-version", "7"]].concat();
    let (_, messages, info) = pack(&folder, "out.png", &image, &flags);
    assert_eq!(messages, "gen5: @/out.png: 7 settings from AUTOMATIC1111's text\n");
    assert_eq!(
        (&info["prompt"], &info["tags"], &info["model_name"]),
        (&json!("mine"), &json!(["t"]), &json!("m"))
    );
    assert_eq!(info["version"], "7");
    let (_, messages, known) = pack(&folder, "out.png", &image, &["--model-name", "coast"]);
    assert!(messages.contains("model version"), "{messages}");
    assert_eq!(known["version"], "0123abcd");
    pack(&folder, "out.png", &image, &flags);
    let settings = &info["generation_settings"];
    assert_eq!(
        (&settings["seed"], &settings["size"], &settings["steps"]),
        (&json!(1), &json!(2), &json!(20))
    );

    // Unpacked metadata is complete and stays unchanged.
    folder.ok(&["unpack", "@/x.gen5", "-o", "@/run"]);
    let (_, messages, again) = pack(&folder, "out.png", &image, &["--metadata", "@/run/metadata.json"]);
    assert_eq!(again, info);
    assert_eq!(
        messages,
        "gen5: @/out.png: AUTOMATIC1111's text kept as image_text; the metadata already had \
         everything in it\n"
    );
}

#[test]
fn a_jpeg_that_is_cut_short_is_refused() {
    let folder = Folder::new();
    let image = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image_cases/d08.jpg")).unwrap();
    let (code, messages, _) =
        pack(&folder, "out.jpg", &image, &["--model-name", "m", "--model-version", "1"]);
    assert_ne!(code, 0);
    for words in ["@/out.jpg: the image is damaged", "cut short", "use a complete copy"] {
        assert!(messages.contains(words), "{messages}");
    }
    assert!(!folder.path("x.gen5").exists());
}

#[test]
fn no_image_text_does_not_look() {
    let folder = Folder::new();
    let model = ["--model-name", "m", "--model-version", "1", "--no-image-text"];
    let (_, messages, info) = pack(&folder, "out.png", &png(&[("parameters", FULL)]), &model);
    assert_eq!(messages, "");
    assert_eq!(info.as_object().unwrap().len(), 5, "{info}");
    assert_eq!((&info["prompt"], &info["tags"]), (&json!(""), &json!([])));
}

#[test]
fn settings_that_are_not_complete_are_kept_apart() {
    let folder = Folder::new();
    let image = png(&[("parameters", "a\nSteps: 20, Sampler: Euler, Seed: -1, Model: m")]);
    let (code, messages, info) = pack(&folder, "out.png", &image, &[]);
    assert_eq!(code, 0, "{messages}");
    assert_eq!(
        messages,
        "gen5: @/out.png: prompt and model from AUTOMATIC1111's text\n\
         gen5: @/out.png: 2 settings from AUTOMATIC1111's text kept as image_settings, because \
         seed is missing\n\
         gen5: @/out.png: AUTOMATIC1111 text without seed\n"
    );
    assert_eq!(info["image_settings"], json!({"steps": 20, "sampler": "Euler"}));
    assert_eq!((&info["version"], info.get("generation_settings")), (&json!("unknown"), None));
    // The missing setting makes them complete.
    let (_, _, info) = pack(&folder, "out.png", &image, &["--set", "seed=5"]);
    assert_eq!(info["generation_settings"], json!({"seed": 5, "steps": 20, "sampler": "Euler"}));
    // With explicit settings, missing ones are an error.
    let (code, messages, _) = pack(&folder, "out.png", &image, &["--set", "eta=0"]);
    assert!(code == 2 && messages.contains("--set seed="), "{messages}");
}

#[test]
fn main_values_that_were_not_found_are_reported() {
    let folder = Folder::new();
    let model = ["--model-name", "m", "--model-version", "1", "--set", "seed=5", "--set", "sampler=a"];
    let image = png(&[("parameters", "a\nNegative prompt: b\nSteps: 20, CFG scale: 7, Size: 8x8")]);
    let (code, messages, _) = pack(&folder, "photo.png", &image, &model);
    assert_eq!(code, 0, "{messages}");
    assert!(
        messages.ends_with("gen5: @/photo.png: AUTOMATIC1111 text without seed, sampler, model\n"),
        "{messages}"
    );
    let swarm = r#"{"sui_image_params": {"seed": 1, "steps": 2, "sampler": "euler", "model": "m"}}"#;
    let (_, messages, _) = pack(&folder, "photo.png", &png(&[("parameters", swarm)]), &[]);
    assert!(messages.ends_with("gen5: @/photo.png: SwarmUI text without prompt\n"), "{messages}");
    let (_, messages, _) = pack(&folder, "photo.png", &png(&[("parameters", FULL)]), &[]);
    assert!(!messages.contains("without"), "{messages}");
}

#[test]
fn a_model_needs_a_name_and_one_that_is_given_a_version() {
    let folder = Folder::new();
    let image = png(&[("parameters", "a\nSteps: 20, Sampler: Euler, Seed: 1")]);
    let (code, messages, _) = pack(&folder, "out.png", &image, &[]);
    assert!(code == 2 && messages.contains("--model-name"), "{messages}");
    let (code, messages, _) = pack(&folder, "out.png", &image, &["--model-name", "m"]);
    assert!(code == 2 && messages.contains("--model-version"), "{messages}");
}

#[test]
fn a_problem_with_text_is_a_note() {
    let folder = Folder::new();
    let mut wrong = text("parameters", FULL.as_bytes());
    wrong[20] ^= 1;
    let image = png_with(&[wrong], &[text("Comment", b"hello")]);
    let model = ["--model-name", "m", "--model-version", "1"];
    let (code, messages, info) = pack(&folder, "out.png", &image, &model);
    assert_eq!(code, 0, "{messages}");
    assert_eq!(
        messages,
        "gen5: @/out.png: text chunk at byte 33 has a wrong CRC; not read\n\
         gen5: @/out.png: 1 piece of text kept as image_text; no generator's format was recognized\n"
    );
    assert_eq!((&info["image_text"], &info["prompt"]), (&json!({"Comment": "hello"}), &json!("")));
    assert_eq!(pack(&folder, "plain.png", PNG, &model).1, "", "without text there is nothing to say");
}

#[test]
fn the_largest_text_can_be_packed() {
    let folder = Folder::new();
    // JSON needs six bytes for each character, and the file stores the text several times.
    let large = "\u{1}".repeat(embedded::MAX_TEXT_BYTES / 6 - 200);
    let text = format!("{large}\nSteps: 20, Sampler: Euler, Seed: 1, Model: m");
    let (code, messages, info) = pack(&folder, "out.png", &png(&[("parameters", &text)]), &[]);
    assert_eq!(code, 0, "{messages}");
    assert_eq!(info["prompt"].as_str().unwrap().len(), large.len());
}
