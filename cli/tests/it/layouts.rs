//! Files of other programs: packed, and unpacked to the same contents.

use std::fs;
use std::path::Path;

use gen5::{Dtype, Reader, bf16, f16};
use safetensors::tensor::{Dtype as Tensor, TensorView, serialize};
use serde_json::{Value, json};

use crate::foreign::{
    MODEL, eighths, fixture, npy_of, npy_of_ints, npz, pack, rows, tensors, unpack, values, write_npz,
};
use crate::support::{Folder, names};

/// Packs `a.npy` into `x.gen5` and sets its `source_files`.
fn pack_with_sources(folder: &Folder, sources: &Value) {
    pack(folder, &["--latent", "@/a.npy"]);
    folder.ok(&["set", "--quiet", "@/x.gen5", &format!("source_files={sources}")]);
}

#[test]
fn comfyui_latents_come_back_with_their_graph() {
    let folder = Folder::new();
    let file = fixture("ComfyUI_00001_.latent");
    let file = file.to_str().unwrap();
    let ran = folder.run(&["pack", "@/x.gen5", "--latent", file, "--no-environment"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.messages.ends_with("prompt, 9 settings and model from ComfyUI's text\n"), "{ran:?}");
    let info: Value = serde_json::from_str(&folder.ok(&["info", "--json", "@/x.gen5"])).unwrap();
    let metadata = &info["metadata"];
    assert_eq!(metadata["prompt"], "a lighthouse at dusk");
    assert_eq!(metadata["model_name"], "v1-5-pruned");
    assert_eq!(metadata["generation_settings"]["seed"], 42);
    assert_eq!(metadata["generation_settings"]["sampler"], "euler");
    assert_eq!(metadata.get("image_text"), None);
    assert_eq!(values(&folder, "latent_tensor"), eighths(128));

    for format in ["original", "comfyui"] {
        let (out, said) = unpack(&folder, format);
        assert_eq!(said, "");
        assert_eq!(names(&out.join("latents")), ["ComfyUI_00001_.latent"]);
        assert_eq!(tensors(&out.join("latents/ComfyUI_00001_.latent")), tensors(Path::new(file)));
    }
    let mut quiet = vec!["pack", "@/x.gen5", "--force", "--latent", file, "--no-image-text"];
    quiet.extend(MODEL);
    folder.ok(&quiet);
    assert_eq!(folder.run(&["info", "@/x.gen5"]).out.matches("a lighthouse at dusk").count(), 0);
}

#[test]
fn arrays_come_from_standard_input() {
    let folder = Folder::new();
    let pack = |latents: &[&str], input: &[u8]| {
        folder.run_with_input(
            &[&["pack", "@/x.gen5", "--force", "--quiet", "--latent"], latents, &MODEL].concat(),
            input,
        )
    };
    // The layout is recognized from the bytes, and the complete file can be restored.
    for (file, key, layout) in [
        ("ComfyUI_00001_.latent", "latent_tensor", "latent"),
        ("old.latent", "latent_tensor", "latent"),
        ("cat_0064x0032_sdxl.npz", "latents", "npz"),
        ("plain.safetensors", "a", "safetensors"),
    ] {
        let bytes = fs::read(fixture(file)).unwrap();
        let ran = pack(&["-"], &bytes);
        assert_eq!(ran.code, 0, "{file}");
        // An old `.latent` file holds scaled values, which `pack` unscales.
        assert_eq!(values(&folder, key)[1] == 0.125, file != "old.latent", "{file}");
        let (out, said) = unpack(&folder, "original");
        assert_eq!((said.as_str(), names(&out.join("latents"))), ("", [format!("stdin.{layout}")].into()));
        fs::remove_dir_all(out).unwrap();
        assert_eq!(pack(&[&format!("one=-:{key}")], &bytes).code, 0);
        assert!(!values(&folder, "one").is_empty());
    }
    folder.npy("a.npy", &[2, 3], &eighths(6));
    let array = fs::read(folder.path("a.npy")).unwrap();
    assert_eq!(pack(&["a/b=-"], &array).code, 0);
    assert_eq!(values(&folder, "a/b"), eighths(6));
    for (latents, input, code, said) in [
        (&["-"][..], &*array, 2, "an array from standard input needs a key: --latent KEY=-"),
        (&["a=-", "b=-"], &array, 2, "- is standard input, which can be read once"),
        (&["a=-"], b"PK", 1, "- is not a valid .npz (zip) file"),
        (&["a=-"], b"", 1, "- is empty"),
        (
            &["a=-"],
            b"text",
            1,
            "- is not a .npy, .npz, .safetensors or .latent file, judging by its first bytes",
        ),
        (&["a=-:plian"], &fs::read(fixture("plain.npz")).unwrap(), 1, "- has no array plian; it holds a, b"),
        (&["a=-:b"], &fs::read(fixture("plain.npz")).unwrap()[..200], 1, "- is not a valid .npz"),
    ] {
        let ran = pack(latents, input);
        assert!(ran.code == code && ran.messages.starts_with(&format!("gen5: {said}")), "{said}: {ran:?}");
    }
}

#[test]
fn what_is_likely_meant_is_told() {
    let folder = Folder::new();
    folder.npy("noise.npy", &[2], &[1.0, 2.0]);
    fs::create_dir(folder.path("cache")).unwrap();
    write_npz(
        &folder.path("two.npz"),
        &["lat0000", "lat0001"].map(|name| (name, npy_of(Dtype::F32, &[2], 1.0))),
    );
    for (words, said) in [
        (
            &["--latent", "@/nosie.npy"][..],
            "cannot open @/nosie.npy: No such file or directory (os error 2); did you mean noise.npy?",
        ),
        (
            &["--latent", "@/Noise.npy"],
            "cannot open @/Noise.npy: No such file or directory (os error 2); did you mean noise.npy?",
        ),
        (
            &["--from", "@/cahe"],
            "could not list @/cahe: No such file or directory (os error 2); did you mean cache?",
        ),
        (
            &["--latent", "@/noise.npy", "--image", "@/niose.npy"],
            "could not read @/niose.npy: No such file or directory (os error 2); did you mean noise.npy?",
        ),
        (&["--latent", "@/two.npz:lta0001"], "@/two.npz has no array lta0001; did you mean lat0001?"),
        (&["--latent", "@/two.npz:lat00"], "@/two.npz has no array lat00; did you mean lat0000?"),
        (&["--latent", "@/two.npz:x"], "@/two.npz has no array x; it holds lat0000, lat0001"),
    ] {
        let ran = folder.run(&[&["pack", "@/x.gen5"], words, &MODEL].concat());
        assert_eq!((ran.code, ran.messages), (1, format!("gen5: {said}\n")));
    }
}

#[test]
fn latents_that_were_saved_scaled_are_unscaled() {
    let folder = Folder::new();
    let old = fixture("old.latent");
    let old = old.to_str().unwrap();
    let said = pack(&folder, &["--latent", old]);
    assert!(said.contains("has no latent_format_version_0"), "{said}");
    let unscaled: Vec<f32> = eighths(128).iter().map(|value| value * (1.0_f32 / 0.18215)).collect();
    let close = |a: f32, b: f32| (a - b).abs() <= b.abs() * f32::EPSILON;
    assert!(values(&folder, "latent_tensor").iter().zip(&unscaled).all(|(a, b)| close(*a, *b)));
    // With another extension the values stay as they are, since only `.latent` files were ever
    // saved scaled.
    fs::copy(old, folder.path("old.safetensors")).unwrap();
    assert_eq!(pack(&folder, &["--latent", "@/old.safetensors"]), "");
    assert_eq!(values(&folder, "latent_tensor"), eighths(128));
    // Picking the array by name also unscales it.
    pack(&folder, &["--latent", &format!("z={old}:latent_tensor")]);
    assert!(close(values(&folder, "z")[1], unscaled[1]));
}

#[test]
fn latents_that_were_saved_scaled_come_back_scaled() {
    let folder = Folder::new();
    let bits = |keep: &dyn Fn(u16) -> bool| {
        let values = (0..=u16::MAX).filter(|bits| keep(*bits));
        values.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    let half = bits(&|bits| f16::from_bits(bits).is_finite());
    let brain = bits(&|bits| {
        let value = bf16::from_bits(bits).to_f32();
        value == 0.0 || (1e-37..1e37).contains(&value.abs())
    });
    for (tensor, size, bytes) in [(Tensor::F16, 2, &half), (Tensor::BF16, 2, &brain)] {
        let view = TensorView::new(tensor, vec![1, 1, 1, bytes.len() / size], bytes).unwrap();
        fs::write(folder.path("a.latent"), serialize([("latent_tensor", view)], None).unwrap()).unwrap();
        pack(&folder, &["--latent", "@/a.latent"]);
        assert_eq!(values(&folder, "latent_tensor").len(), bytes.len() / size);
        for format in ["original", "comfyui"] {
            let (out, said) = unpack(&folder, format);
            assert_eq!(said, "");
            assert_eq!(
                fs::read(out.join("latents/a.latent")).unwrap(),
                fs::read(folder.path("a.latent")).unwrap()
            );
            fs::remove_dir_all(out).unwrap();
        }
    }
    // With float32 the last bit may differ, but ComfyUI reads the same values.
    let latent = |dtype, bytes: &[u8]| {
        let view = TensorView::new(dtype, vec![1, 4, 8, 16], bytes).unwrap();
        fs::write(folder.path("a.latent"), serialize([("latent_tensor", view)], None).unwrap()).unwrap();
        pack(&folder, &["--latent", "@/a.latent"]);
    };
    let wide: Vec<u8> = (1..=512_u16).flat_map(|n| (f32::from(n) * 1e-3).to_le_bytes()).collect();
    latent(Tensor::F32, &wide);
    let (out, said) = unpack(&folder, "original");
    let (found, _) = tensors(&out.join("latents/a.latent"));
    assert_eq!((said.as_str(), found.len()), ("", 1));
    let read = found["latent_tensor"].2.as_chunks::<4>().0.iter();
    let read: Vec<f32> = read.map(|bytes| f32::from_le_bytes(*bytes) * (1.0_f32 / 0.18215)).collect();
    assert_eq!(read, values(&folder, "latent_tensor"));
    // If scaling would change the values, they are written unscaled and marked so.
    latent(Tensor::F16, &half[0x3000 * 2..0x3200 * 2]);
    folder.ok(&["repack", "@/x.gen5", "@/x.gen5", "--force", "--quiet", "--dtype", "bfloat16"]);
    fs::remove_dir_all(out).unwrap();
    let (out, said) = unpack(&folder, "original");
    assert_eq!(
        said,
        "gen5: latent latent_tensor is written unscaled as bfloat16, with \
         latent_format_version_0: a.latent had it scaled as float16, which would not preserve all \
         its values\n"
    );
    let (found, _) = tensors(&out.join("latents/a.latent"));
    assert_eq!(found["latent_format_version_0"], (Tensor::F32, vec![0], Vec::new()));
    let stored = Reader::open(folder.path("x.gen5")).unwrap().latent("latent_tensor").unwrap();
    let stored = stored.read::<bf16>().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(found["latent_tensor"], (Tensor::BF16, vec![1, 4, 8, 16], stored));
}

#[test]
fn kohya_caches_come_back() {
    let folder = Folder::new();
    for file in ["cat_0064x0032_sdxl.npz", "dog_flux.npz"] {
        let path = fixture(file);
        pack(&folder, &["--latent", path.to_str().unwrap()]);
        for format in ["original", "kohya"] {
            let (out, said) = unpack(&folder, format);
            assert_eq!(said, "");
            assert_eq!(npz(&out.join("latents").join(file)), npz(&path), "{file}");
            fs::remove_dir_all(out).unwrap();
        }
    }
    let sources = &serde_json::from_str::<Value>(&folder.ok(&["info", "--json", "@/x.gen5"])).unwrap()["metadata"]
        ["source_files"];
    assert_eq!(sources[0]["arrays"][2]["values"], json!([-1, 0, 64, 32]));
    assert_eq!(sources[0]["arrays"][2]["dtype"], "int64");
}

#[test]
fn musubi_caches_come_back() {
    let folder = Folder::new();
    let file = fixture("sea_00000-005_0064x0032_wan.safetensors");
    let said = pack(&folder, &["--latent", &format!("video={}", file.display())]);
    assert!(said.contains("latents of bfloat16"), "{said}");
    // The given key renames only the latent; its companions keep their own names.
    let keys: Vec<_> = folder
        .ok(&["ls", "@/x.gen5"])
        .lines()
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["video", "video/latents_image_2x4x8_bfloat16", "video/clip_float16"]);
    for format in ["original", "musubi"] {
        let (out, said) = unpack(&folder, format);
        assert_eq!(said, "");
        assert_eq!(tensors(&out.join("latents").join(file.file_name().unwrap())), tensors(&file));
    }
    let (out, said) = unpack(&folder, "comfyui");
    let (passed_over, _) = said.split_once('\n').unwrap();
    assert_eq!(
        passed_over,
        "gen5: 2 latents skipped: they accompany other latents in files of another layout, as masks do"
    );
    let (tensors, _) = tensors(&out.join("latents/sea_00000-005_0064x0032_wan.latent"));
    assert_eq!(tensors["latent_tensor"].1, [1, 16, 2, 4, 8]);
    // The file holds a video, which sd-scripts does not cache.
    let ran = folder.run(&["unpack", "@/x.gen5", "-o", "@/no", "--format", "kohya"]);
    assert_eq!(ran.code, 1);
    assert!(ran.messages.contains("there is nothing to write as a file of kohya sd-scripts"), "{ran:?}");
    assert!(!folder.path("no").exists());
}

#[test]
fn plain_files_keep_their_texts_and_types() {
    let folder = Folder::new();
    let file = fixture("plain.safetensors");
    pack(&folder, &["--latent", file.to_str().unwrap(), "--prompt", "sea\nand sky"]);
    let (out, said) = unpack(&folder, "safetensors");
    assert_eq!(
        (said.as_str(), names(&out)),
        ("", ["index.json", "latents.safetensors", "metadata.json"].map(String::from).into())
    );
    let (found, texts) = tensors(&out.join("latents.safetensors"));
    assert_eq!(found, tensors(&file).0);
    assert_eq!((texts["prompt"].as_str(), texts["tags"].as_str()), ("sea\nand sky", "[]"));
    let (out, _) = unpack(&folder, "original");
    assert_eq!(tensors(&out.join("latents/plain.safetensors")), tensors(&file));
    let (out, said) = unpack(&folder, "npz");
    assert_eq!(said, "gen5: latents of bfloat16 are written as float32, which holds their values exactly\n");
    assert_eq!(folder.json("npz/index.json")[1]["dtype"], "bfloat16");
    let members = npz(&out.join("latents.npz"));
    assert_eq!(members.keys().collect::<Vec<_>>(), ["a.npy", "b.npy"]);
    let wide: Vec<u8> = [0.0_f32, 0.125, 0.25].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert!(members["b.npy"].ends_with(&wide));

    let file = fixture("plain.npz");
    pack(&folder, &["--latent", file.to_str().unwrap()]);
    fs::remove_dir_all(out).unwrap();
    let (out, _) = unpack(&folder, "npz");
    assert_eq!(npz(&out.join("latents.npz")), npz(&file));
}

#[test]
fn keys_that_are_no_names_get_safe_ones_in_a_file() {
    let folder = Folder::new();
    folder.npy("a.npy", &[1], &[1.0]);
    pack(&folder, &["--latent", "../a=@/a.npy", "b=@/a.npy"]);
    let (out, _) = unpack(&folder, "npz");
    assert_eq!(npz(&out.join("latents.npz")).into_keys().collect::<Vec<_>>(), ["_a.npy", "b.npy"]);
    assert_eq!(folder.json("npz/index.json")[0]["key"], "../a");
    assert_eq!(folder.json("npz/index.json")[0]["name"], "_a");
}

#[test]
fn arrays_of_other_types_are_kept_of_known_layouts_alone_and_while_they_are_small() {
    let folder = Folder::new();
    folder.npy("latents.npy", &[1, 1, 1], &[1.0]);
    let write = |name: &str, size_name: &str, count| {
        let latents = fs::read(folder.path("latents.npy")).unwrap();
        write_npz(&folder.path(name), &[("latents", latents), (size_name, npy_of_ints(count))]);
    };
    write("plain.npz", "size", 2);
    write("large.npz", "original_size", 8193);
    write("full.npz", "original_size", 8192);
    let refused = |file: &str| {
        let ran = folder.run(&[&["pack", "@/x.gen5", "--latent", file], &MODEL[..]].concat());
        assert_eq!(ran.code, 1);
        ran.messages
    };
    assert!(
        refused("@/plain.npz").starts_with("gen5: @/plain.npz:size holds int64 ('<i8'): GEN5 keeps float16")
    );
    assert_eq!(
        refused("@/large.npz"),
        "gen5: @/large.npz:original_size is int64, which latents cannot be, and too large to \
         keep with them (65544 bytes, at most 65536 for a file); select arrays as FILE:NAME\n"
    );
    pack(&folder, &["--latent", "@/large.npz:latents"]);
    pack(&folder, &["--latent", "@/full.npz"]);
    let (out, _) = unpack(&folder, "original");
    assert_eq!(npz(&out.join("latents/full.npz"))["original_size.npy"].len(), 128 + 65536);
}

#[test]
fn sources_that_lie_are_refused() {
    let folder = Folder::new();
    folder.npy("a.npy", &[2, 3], &[1.0; 6]);
    let latent =
        |name: &str, shape: Value| json!({"name": name, "dtype": "float32", "shape": shape, "key": "a"});
    let kept =
        |dtype: &str, values: Value| json!({"name": "x", "dtype": dtype, "shape": [1], "values": values});
    let table = [
        (json!([latent("x", json!([3, 2]))]), "latent a now has the shape [2, 3], not [3, 2]"),
        (
            json!([latent("x", json!([2, 3])), latent("y", json!([2, 3]))]),
            "latent a occurs in two files, or twice in one",
        ),
        (json!([latent("x", json!([2, 3])), latent("x", json!([2, 3]))]), "two of its arrays are called x"),
        (json!([latent("../x", json!([2, 3]))]), "../x is not a valid name for an array"),
        (json!([kept("int8", json!([1, 2]))]), "x has 2 values, which does not match its shape"),
        (json!([kept("int8", json!([300]))]), "x: its values do not have the dtype int8"),
        (json!([kept("\u{1b}[2J", json!([1]))]), "unknown dtype \\u{1b}[2J"),
        (json!([{"name": "x", "dtype": "int8", "shape": [1]}]), "x has neither a latent's key nor values"),
        (json!({}), "source_files, the record of the packed files, is not valid"),
    ];
    for (arrays, problem) in table {
        let sources = match arrays {
            Value::Array(_) => json!([{"file": "a.npz", "layout": "npz", "arrays": arrays}]),
            other => other,
        };
        pack_with_sources(&folder, &sources);
        let ran = folder.run(&["unpack", "@/x.gen5", "-o", "@/out", "--format", "original"]);
        assert!(ran.code == 1 && ran.messages.contains(problem), "{problem}: {ran:?}");
        assert!(!folder.path("out").exists());
        folder.ok(&["unpack", "@/x.gen5", "-o", "@/fine", "--force"]);
    }
}

#[test]
fn names_of_sources_are_made_safe() {
    let folder = Folder::new();
    folder.npy("a.npy", &[2, 1], &[1.0, 2.0]);
    let row = |row: u64| {
        let array = json!({"name": "x", "dtype": "float32", "shape": [1], "key": "a", "row": row});
        json!({"file": "../../etc/passwd.npy", "layout": "npy", "arrays": [array]})
    };
    pack_with_sources(&folder, &json!([row(0), row(1)]));
    let (out, _) = unpack(&folder, "original");
    assert_eq!(names(&out.join("latents")), ["_.._etc_passwd-2.npy", "_.._etc_passwd.npy"]);
}

#[test]
fn damage_is_found_whatever_the_format() {
    let folder = Folder::new();
    rows(&folder);
    pack(&folder, &["--from", "@/in"]);
    let mut bytes = fs::read(folder.path("x.gen5")).unwrap();
    let one = bytes.windows(4).position(|bytes| bytes == 1.0_f32.to_le_bytes()).unwrap();
    bytes[one] ^= 1;
    fs::write(folder.path("x.gen5"), bytes).unwrap();
    for format in ["npy", "npz", "safetensors", "original", "comfyui", "kohya"] {
        let ran = folder.run(&["unpack", "@/x.gen5", "-o", "@/out", "--format", format]);
        assert_eq!((ran.code, folder.path("out").exists()), (3, false), "{format}: {ran:?}");
    }
}

#[test]
fn a_damaged_image_is_found_beside_rows() {
    let folder = Folder::new();
    folder.sample("x.gen5");
    let mut bytes = fs::read(folder.path("x.gen5")).unwrap();
    let image = bytes.windows(8).position(|bytes| bytes == b"\x89PNG\r\n\x1a\n").unwrap();
    bytes[image + 20] ^= 1;
    fs::write(folder.path("x.gen5"), bytes).unwrap();
    for format in ["npy", "original"] {
        let ran = folder.run(&["unpack", "@/x.gen5", "-o", "@/out", "--format", format]);
        assert_eq!((ran.code, folder.path("out").exists()), (3, false), "{format}: {ran:?}");
    }
}

/// Packs rows from a folder, a latent with a mask, and a plain latent into `x.gen5`.
fn sourced(folder: &Folder) {
    rows(folder);
    folder.npy("lone.npy", &[4], &[9.0; 4]);
    let cat = format!("cat={}", fixture("cat_0064x0032_sdxl.npz").display());
    pack(folder, &["--from", "batch=@/in", "--latent", &cat, "@/lone.npy"]);
}

fn sources(folder: &Folder, name: &str) -> Value {
    let reader = Reader::open(folder.path(name)).unwrap();
    serde_json::from_str::<Value>(reader.model_info_json()).unwrap()["source_files"].clone()
}

/// Checks that unpacking restores the files that `x.gen5` was packed from: all of them, or all but
/// the one with a mask.
fn come_back(folder: &Folder, name: &str, masked: bool) {
    let ran = folder.run(&["unpack", &format!("@/{name}"), "-o", "@/back", "--format", "original"]);
    assert_eq!(ran.code, 0, "{name}: {ran:?}");
    for n in 0..12 {
        let file = format!("img{n}.npy");
        let again = fs::read(folder.path("back/latents").join(&file)).unwrap();
        assert!(again == fs::read(folder.path("in").join(&file)).unwrap(), "{name}: {file}");
    }
    let cat = folder.path("back/latents/cat_0064x0032_sdxl.npz");
    match masked {
        true => assert_eq!(npz(&cat), npz(&fixture("cat_0064x0032_sdxl.npz")), "{name}"),
        false => assert!(!cat.exists()),
    }
    fs::remove_dir_all(folder.path("back")).unwrap();
}

#[test]
fn sources_follow_their_latents() {
    let folder = Folder::new();
    sourced(&folder);
    come_back(&folder, "x.gen5", true);

    folder.ok(&["repack", "@/x.gen5", "@/renamed.gen5", "--rename", "batch=cat", "--rename", "cat=batch"]);
    come_back(&folder, "renamed.gen5", true);
    folder.ok(&["repack", "@/x.gen5", "@/dropped.gen5", "--drop", "lone"]);
    come_back(&folder, "dropped.gen5", true);
    folder.ok(&["merge", "--prefix", "@/x.gen5", "-o", "@/prefixed.gen5"]);
    come_back(&folder, "prefixed.gen5", true);

    // Dropping a latent drops its sources. A new latent with the same key does not inherit them.
    let ran = folder.run(&["repack", "@/x.gen5", "@/less.gen5", "--drop", "batch"]);
    let note = "gen5: @/x.gen5: 12 files left out of source_files, because not all latents of a file \
         stay whole and together\n";
    assert_eq!((ran.code, &*ran.messages), (0, note));
    folder.npy("batch.npy", &[12, 1, 2, 3], &[7.0; 72]);
    let words = ["pack", "@/other.gen5", "--latent", "@/batch.npy"];
    folder.ok(&[&words[..], &MODEL].concat());
    folder.ok(&["merge", "@/less.gen5", "@/other.gen5", "-o", "@/x.gen5", "--force"]);
    let (out, _) = unpack(&folder, "original");
    let names = names(&out.join("latents"));
    assert_eq!(names, ["batch.npy", "cat_0064x0032_sdxl.npz", "lone.npy"]);
}

#[test]
fn sources_of_parts_are_put_together_again() {
    let folder = Folder::new();
    sourced(&folder);
    let all = sources(&folder, "x.gen5");
    let rows = Value::Array(all.as_array().unwrap().iter().skip(1).cloned().collect());
    // Splitting by key separates the masked latent from its mask. Splitting into few rows cuts
    // both.
    for (words, expected) in
        [(&[][..], &rows), (&["--rows", "1"], &rows), (&["--rows", "5"], &rows), (&["--rows", "99"], &all)]
    {
        let ran = folder.run(&[&["split", "@/x.gen5", "-o", "@/parts"], words].concat());
        let lost = ran.messages.contains("@/x.gen5: 1 file left out of source_files");
        assert_eq!((ran.code, lost), (0, expected == &rows), "{ran:?}");
        let parts = names(&folder.path("parts"));
        let parts: Vec<String> = parts.iter().filter(|name| name.ends_with(".gen5")).cloned().collect();
        let paths: Vec<String> = parts.iter().map(|name| format!("@/parts/{name}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        folder.ok(&[&["merge", "--stack", "--force", "-o", "@/again.gen5"], &paths[..]].concat());
        assert_eq!(&sources(&folder, "again.gen5"), expected, "{words:?}");
        come_back(&folder, "again.gen5", expected == &all);
        if words == ["--rows", "5"] {
            let own = sources(&folder, "parts/x-2.gen5");
            let row = |n: u8| (json!(format!("img{n}.npy")), json!(n - 10));
            let found = |at: usize| (own[at]["file"].clone(), own[at]["arrays"][0]["row"].clone());
            assert_eq!((found(0), found(1), own.as_array().unwrap().len()), (row(10), row(11), 2));
        }
        fs::remove_dir_all(folder.path("parts")).unwrap();
    }
}

#[test]
fn sources_of_stacked_files_are_all_there() {
    let folder = Folder::new();
    rows(&folder);
    fs::create_dir(folder.path("more")).unwrap();
    for n in 0..3_u8 {
        folder.npy(&format!("more/img{n}.npy"), &[1, 2, 3], &[f32::from(n) + 0.5; 6]);
    }
    folder.npy("none.npy", &[2, 1, 2, 3], &[0.25; 12]);
    fs::copy(fixture("ComfyUI_00001_.latent"), folder.path("one.latent")).unwrap();
    let pack = |name: &str, words: &[&str]| {
        let ran = folder.run(&[&["pack", name, "--date", "2026-11-22"], words, &MODEL].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
    };
    pack("@/c.gen5", &["--from", "x=@/in"]);
    pack("@/none.gen5", &["--latent", "x=@/none.npy"]);
    pack("@/d.gen5", &["--from", "x=@/more"]);
    folder.ok(&["merge", "--stack", "@/c.gen5", "@/none.gen5", "@/d.gen5", "-o", "@/x.gen5"]);
    let merged = Reader::open(folder.path("x.gen5")).unwrap();
    let model_info: Value = serde_json::from_str(merged.model_info_json()).unwrap();
    // Files whose metadata differ only in `source_files` count as having the same metadata.
    assert_eq!(model_info["merged_from"][2].get("model_info"), None);
    let (out, said) = unpack(&folder, "original");
    assert_eq!(said, "gen5: 1 latent written as .npy: no source file is recorded\n");
    assert_eq!(names(&out.join("latents")).len(), 16);
    for n in 0..3 {
        let again = fs::read(out.join(format!("latents/img{n}-2.npy"))).unwrap();
        assert_eq!(again, fs::read(folder.path(&format!("more/img{n}.npy"))).unwrap());
    }
    // Rows without a source file also become files.
    let (out, _) = unpack(&folder, "comfyui");
    let made = names(&out.join("latents"));
    assert!(made.len() == 17 && made.contains(&"x.latent".to_owned()), "{made:?}");

    // Stacking turns a latent with a single row into one row.
    pack("@/one.gen5", &["--latent", "x=@/one.latent"]);
    folder.ok(&["merge", "--stack", "@/one.gen5", "@/one.gen5", "-o", "@/x.gen5", "--force"]);
    fs::remove_dir_all(folder.path("original")).unwrap();
    let (out, said) = unpack(&folder, "original");
    assert_eq!(said, "");
    for name in ["one.latent", "one-2.latent"] {
        assert_eq!(tensors(&out.join("latents").join(name)), tensors(&folder.path("one.latent")));
    }
}

#[test]
fn sources_whose_latents_are_gone_are_passed_over() {
    let folder = Folder::new();
    folder.npy("a.npy", &[2, 3], &[1.0; 6]);
    let array = |key: &str, row: Option<u8>| {
        let mut array = json!({"name": key, "dtype": "float32", "shape": [2, 3], "key": key});
        if let Some(row) = row {
            (array["shape"], array["row"]) = (json!([3]), json!(row));
        }
        array
    };
    let note = "gen5: 1 latent written as .npy: no source file is recorded\n";
    for (arrays, problem) in [
        (json!([array("a", None), array("b\u{1b}", None)]), "latent b\\u{1b} is missing"),
        (json!([array("a", Some(2))]), "row 2 of latent a is missing"),
    ] {
        let source = |file: &str| json!({"file": file, "layout": "npz", "arrays": arrays});
        pack_with_sources(&folder, &json!([source("one.npz"), source("two.npz")]));
        let (out, said) = unpack(&folder, "original");
        assert_eq!(said, format!("gen5: one.npz (and 1 more): not restored, because {problem}\n{note}"));
        assert_eq!(names(&out.join("latents")), ["a.npy"]);
        assert_eq!(fs::read(out.join("latents/a.npy")).unwrap(), fs::read(folder.path("a.npy")).unwrap());
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn sources_that_are_not_understood_stay_where_latents_do() {
    let folder = Folder::new();
    folder.npy("a.npy", &[2, 3], &[1.0; 6]);
    pack_with_sources(&folder, &json!({"version": 2}));
    folder.ok(&["repack", "@/x.gen5", "@/same.gen5", "--compress", "zstd"]);
    assert_eq!(sources(&folder, "same.gen5"), json!({"version": 2}));
    let commands: [&[&str]; 3] = [
        &["repack", "@/x.gen5", "@/new.gen5", "--rename", "a=b"],
        &["merge", "@/x.gen5", "-o", "@/new.gen5", "--force"],
        &["split", "@/x.gen5", "-o", "@/", "--force"],
    ];
    for (words, name) in commands.iter().zip(["new.gen5", "new.gen5", "a.gen5"]) {
        let ran = folder.run(words);
        let is_told = ran.messages.contains("is not valid") && ran.messages.contains("left out");
        assert!(ran.code == 0 && is_told, "{ran:?}");
        assert_eq!(sources(&folder, name), Value::Null);
    }
}

/// Writes a file with a latent `x` of three rows, whose `source_files` name a ComfyUI file for each
/// of `rows`.
fn with_rows(folder: &Folder, name: &str, rows: &[usize]) {
    let source = |row: &usize| {
        json!({"file": format!("row{row}.latent"), "layout": "comfyui", "arrays": [
            {"name": "latent_tensor", "dtype": "float32", "shape": [1, 4, 2, 2], "key": "x", "row": row}
        ]})
    };
    let sources: Vec<Value> = rows.iter().map(source).collect();
    let mut extra = gen5::metadata::Extra::new();
    extra.insert("source_files", &sources).unwrap();
    let values: Vec<f32> = (0..48_u8).map(f32::from).collect();
    let mut writer = gen5::WriteOptions::new().create(folder.path(name)).unwrap();
    writer.latent("x", &[3, 4, 2, 2], &values).unwrap();
    writer.finish(&gen5::Metadata::builder("SD", "1").extra(extra).build().unwrap()).unwrap();
}

#[test]
fn rows_of_no_file_are_files_too() {
    let folder = Folder::new();
    with_rows(&folder, "a.gen5", &[1]);
    for (format, extension) in [("comfyui", "latent"), ("kohya", "npz")] {
        let out = format!("@/{format}");
        folder.run(&["unpack", "@/a.gen5", "-o", &out, "--format", format, "--no-environment-check"]);
        let names = names(&folder.path(&format!("{format}/latents")));
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.contains(&format!("row1.{extension}")), "{names:?}");
    }
}

#[test]
fn a_row_that_is_named_again_and_again_is_one_file() {
    let folder = Folder::new();
    with_rows(&folder, "a.gen5", &[1; 1000]);
    folder.run(&["unpack", "@/a.gen5", "-o", "@/out", "--format", "kohya", "--no-environment-check"]);
    assert_eq!(names(&folder.path("out/latents")).len(), 3);
}

#[test]
fn more_files_than_anybody_wants_are_refused() {
    let folder = Folder::new();
    let zeros = vec![f16::ZERO; 60_000];
    let mut writer = gen5::WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    for key in ["a", "b"] {
        writer.latent(key, &[60_000, 1, 1, 1], &zeros).unwrap();
    }
    writer.finish(&gen5::Metadata::builder("SD", "1").build().unwrap()).unwrap();
    let ran = folder.run(&["unpack", "@/a.gen5", "-o", "@/out", "--format", "kohya"]);
    assert!(ran.code == 1 && ran.messages.contains("more than 100000 files would be made"), "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5"]);
}

/// `source_files` describes the latents of one file. It does not apply to other latents with the
/// same keys.
#[test]
fn metadata_from_elsewhere_brings_no_sources() {
    let folder = Folder::new();
    with_rows(&folder, "a.gen5", &[0, 1, 2]);
    folder.ok(&["unpack", "@/a.gen5", "-o", "@/out", "--no-environment-check"]);
    folder.npy("x.npy", &[3, 4, 2, 2], &[7.0; 48]);
    let given = ["--metadata", "@/out/metadata.json"];
    let said = "gen5: @/out/metadata.json: left out because it describes the latents of another file: \
         source_files\n";

    let ran =
        folder.run(&[&["pack", "@/b.gen5", "--latent", "@/x.npy", "--no-environment"], &given[..]].concat());
    assert_eq!((ran.code, ran.messages.as_str()), (0, said));
    let ran = folder.run(&[&["set", "@/b.gen5"], &given[..]].concat());
    assert_eq!((ran.code, ran.messages.as_str()), (0, said));
    let has_sources = |name: &str| {
        let reader = Reader::open(folder.path(name)).unwrap();
        reader.model_info_json().contains("source_files")
    };
    assert!(!has_sources("b.gen5"));
    // This metadata comes from the same file.
    let ran = folder.run(&[&["set", "@/a.gen5"], &given[..]].concat());
    assert_eq!((ran.code, ran.messages.as_str()), (0, ""));
    assert!(has_sources("a.gen5"));
}

/// Without a limit, a file of some KiB would expand to gigabytes.
#[test]
fn what_each_file_would_repeat_is_bounded() {
    let folder = Folder::new();
    let write = |key: &str, prompt: usize| {
        let mut writer = gen5::WriteOptions::new().create(folder.path("a.gen5")).unwrap();
        for row in 0..400 {
            writer.latent(format!("{key}{row}"), &[1, 1, 1], &[0.5_f32]).unwrap();
        }
        let mut extra = gen5::metadata::Extra::new();
        extra.insert("image_text", &serde_json::json!({"prompt": "p".repeat(prompt)})).unwrap();
        writer.finish(&gen5::Metadata::builder("SD", "1").extra(extra).build().unwrap()).unwrap();
    };
    let unpack = |format: &str| {
        let words = ["unpack", "@/a.gen5", "-o", "@/out", "--format", format, "--no-environment-check"];
        folder.run(&words)
    };
    write("x", 1 << 20);
    let ran = unpack("comfyui");
    let refused = "keys, prompt and workflow would be repeated in each file, more than 256.0 MiB in total";
    assert!(ran.code == 1 && ran.messages.contains(refused), "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5"]);
    assert_eq!(unpack("kohya").code, 0);
}

#[test]
fn files_get_their_types_back_after_a_repack() {
    let folder = Folder::new();
    let musubi = fixture("sea_00000-005_0064x0032_wan.safetensors");
    let plain = fixture("plain.safetensors");
    let half = folder.path("half.npy");
    fs::write(&half, npy_of(Dtype::F16, &[2, 3], 0.1)).unwrap();
    let words = [&musubi, &plain, &half].map(|path| path.to_str().unwrap());
    fs::create_dir(folder.path("in")).unwrap();
    for n in 0..3 {
        fs::copy(&musubi, folder.path(&format!("in/sea{n}.safetensors"))).unwrap();
    }
    for repack in
        [&["--dtype", "float32"][..], &["--compatible"], &["--dtype", "float32", "--compress", "zstd"]]
    {
        for packed in [&["--latent", words[0]][..], &["--latent", words[1]], &["--from", "half=@/in"]] {
            pack(&folder, packed);
            folder.ok(&[&["repack", "@/x.gen5", "@/x.gen5", "--force"], repack].concat());
            let (out, said) = unpack(&folder, "original");
            assert_eq!(said, "");
            for name in names(&out.join("latents")) {
                let original = if name.starts_with("plain") { &plain } else { &musubi };
                assert!(tensors(&out.join("latents").join(&name)) == tensors(original), "{name} {repack:?}");
            }
            fs::remove_dir_all(out).unwrap();
        }
    }
    fs::rename(&half, folder.path("in/half.npy")).unwrap();
    pack(&folder, &["--from", "@/in"]);
    folder.ok(&["repack", "@/x.gen5", "@/x.gen5", "--force", "--dtype", "float32"]);
    let (out, _) = unpack(&folder, "original");
    assert_eq!(fs::read(out.join("latents/half.npy")).unwrap(), npy_of(Dtype::F16, &[2, 3], 0.1));
}

#[test]
fn what_no_longer_fits_its_type_is_told() {
    let folder = Folder::new();
    folder.npy("a.npy", &[2, 1], &[1.0, 0.1]);
    let row = |row: u64| {
        let array = json!({"name": "x", "dtype": "bfloat16", "shape": [1], "key": "a", "row": row});
        json!({"file": format!("{row}.safetensors"), "layout": "safetensors", "arrays": [array]})
    };
    pack_with_sources(&folder, &json!([row(0), row(1)]));
    let (out, said) = unpack(&folder, "original");
    assert_eq!(
        said,
        "gen5: latent a is written as float32: 0.safetensors had bfloat16, which can no longer \
         hold all its values\n"
    );
    for (name, value) in [("0.safetensors", 1.0_f32), ("1.safetensors", 0.1)] {
        let (tensors, _) = tensors(&out.join("latents").join(name));
        assert_eq!(tensors["x"], (Tensor::F32, vec![1], value.to_le_bytes().to_vec()));
    }
}
