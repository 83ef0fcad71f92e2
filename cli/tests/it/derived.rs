//! Files for ComfyUI and sd-scripts made from other latents, unscaled as these programs expect.

use std::collections::BTreeMap;
use std::fs;

use gen5::Dtype;
use safetensors::serialize;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::foreign::{fixture, npy_of, npy_of_ints, npz, tensors, write_npz};
use crate::support::{Folder, Ran, names};

/// Packs a latent with this many channels, all of one value, from this model.
fn latent(folder: &Folder, model: &str, channels: usize, value: f32) {
    folder.npy("x.npy", &[channels, 2, 2], &vec![value; channels * 4]);
    pack(folder, model, &["--latent", "@/x.npy"]);
}

fn pack(folder: &Folder, model: &str, words: &[&str]) {
    let ran = folder.run(
        &[
            &[
                "pack",
                "@/x.gen5",
                "--force",
                "--model-name",
                model,
                "--model-version",
                "1",
                "--no-environment",
            ],
            words,
        ]
        .concat(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn unpack(folder: &Folder, format: &str, words: &[&str]) -> Ran {
    let out = folder.path("out");
    if out.exists() {
        fs::remove_dir_all(out).unwrap();
    }
    folder.run(&[&["unpack", "@/x.gen5", "-o", "@/out", "--format", format], words].concat())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The latent's values in the file for ComfyUI.
fn of_comfyui(folder: &Folder) -> Vec<f32> {
    let (tensors, _) = tensors(&folder.path("out/latents/x.latent"));
    let (_, shape, bytes) = &tensors["latent_tensor"];
    assert_eq!(shape[0], 1);
    floats(bytes)
}

/// The latent's values in the file for sd-scripts.
fn of_kohya(folder: &Folder, name: &str) -> Vec<f32> {
    let arrays: BTreeMap<_, _> = npz(&folder.path(&format!("out/latents/{name}.npz")));
    let latents = arrays.iter().find(|(name, _)| name.starts_with("latents")).unwrap();
    floats(&latents.1[128..])
}

#[test]
fn latents_are_unscaled_as_the_models_scale_them() {
    let folder = Folder::new();
    // The values are twice the factor, so unscaling gives 2 plus the model's shift.
    for (model, name, channels, scaled, unscaled) in [
        ("sd15", "v1-5-pruned", 4, 2.0 * 0.18215, 2.0),
        ("sdxl", "SDXL", 4, 2.0 * 0.13025, 2.0),
        ("sd3", "Stable Diffusion 3.5", 16, 2.0 * 1.5305, 2.0609),
        ("flux", "FLUX.1-dev", 16, 2.0 * 0.3611, 2.1159),
    ] {
        latent(&folder, name, channels, scaled);
        for asked in [model, "auto"] {
            let ran = unpack(&folder, "comfyui", &["--unscale", asked]);
            let said = match asked {
                "auto" => format!("gen5: 1 latent unscaled as latents of {model}, judging by "),
                _ => String::new(),
            };
            assert!(ran.code == 0 && ran.messages.starts_with(&said), "{ran:?}");
            assert_eq!(of_comfyui(&folder), vec![unscaled; channels * 4]);
            assert_eq!(unpack(&folder, "kohya", &["--unscale", asked]).code, 0);
            // sd-scripts scales latents of FLUX.1 before it caches them.
            let expected = if model == "flux" { scaled } else { unscaled };
            assert_eq!(of_kohya(&folder, "x"), vec![expected; channels * 4]);
        }
    }
    let ran = unpack(&folder, "comfyui", &["--unscale", "auto"]);
    assert_eq!(
        ran.messages,
        "gen5: 1 latent unscaled as latents of flux, judging by 16 channels, and \"flux\" in the model's name\n"
    );
    let ran = unpack(&folder, "kohya", &["--unscale", "flux"]);
    let said = "gen5: 1 latent written as stored: kohya sd-scripts expects those of flux scaled\n";
    assert!(ran.messages.starts_with(said), "{ran:?}");
    let ran = unpack(&folder, "kohya", &[]);
    assert!(!ran.messages.contains("scale"), "{ran:?}");
}

#[test]
fn latents_are_as_they_are_unless_it_is_asked_for() {
    let folder = Folder::new();
    latent(&folder, "SDXL", 4, 0.5);
    let ran = unpack(&folder, "comfyui", &[]);
    assert_eq!(
        ran.messages,
        "gen5: 1 latent written as stored, but ComfyUI expects unscaled latents, as a VAE \
         returns them: if they are from a sampler, --unscale auto undoes the model's scale\n"
    );
    assert_eq!(of_comfyui(&folder), [0.5; 16]);
    let ran = unpack(&folder, "kohya", &[]);
    assert!(ran.messages.contains("but kohya sd-scripts expects unscaled latents"), "{ran:?}");
    // `--unscale none` declares that they are already unscaled.
    assert_eq!(unpack(&folder, "comfyui", &["--unscale", "none"]).messages, "");
    assert_eq!(of_comfyui(&folder), [0.5; 16]);
}

#[test]
fn latents_of_16_bits_and_rows_of_them_become_float32() {
    let folder = Folder::new();
    let values: Vec<f32> = (0..48_u8).map(|n| f32::from(n / 16)).collect();
    folder.npy("x.npy", &[3, 4, 2, 2], &values);
    pack(&folder, "SDXL", &["--latent", "@/x.npy", "--float16", "--compress", "zstd"]);
    assert_eq!(unpack(&folder, "comfyui", &["--unscale", "sdxl"]).code, 0);
    let (tensors, _) = tensors(&folder.path("out/latents/x.latent"));
    assert_eq!(tensors["latent_tensor"].0, safetensors::Dtype::F32);
    assert_eq!(floats(&tensors["latent_tensor"].2)[32], 2.0 / 0.13025);
    assert_eq!(unpack(&folder, "kohya", &["--unscale", "sdxl"]).code, 0);
    for (name, value) in [("x_0", 0.0), ("x_1", 1.0_f32), ("x_2", 2.0)] {
        assert_eq!(of_kohya(&folder, name), [value / 0.13025; 16]);
    }
}

#[test]
fn files_that_are_written_as_packed_are_not_unscaled() {
    let folder = Folder::new();
    let file = fixture("ComfyUI_00001_.latent");
    pack(&folder, "SDXL", &["--latent", file.to_str().unwrap()]);
    let ran = unpack(&folder, "comfyui", &["--unscale", "sdxl"]);
    let said = "gen5: 1 file written as packed: --unscale does not apply to their latents\n";
    assert_eq!((ran.code, ran.messages.as_str()), (0, said));
    assert!(!unpack(&folder, "comfyui", &["--unscale", "auto"]).messages.contains("as packed"));
}

#[test]
fn latents_that_never_were_scaled_stay_as_they_are() {
    let folder = Folder::new();
    let cache = fixture("cat_0064x0032_sdxl.npz");
    pack(&folder, "SDXL", &["--latent", cache.to_str().unwrap()]);
    let ran = unpack(&folder, "kohya", &["--unscale", "auto"]);
    assert_eq!((ran.code, ran.messages.as_str()), (0, ""));
    assert!(npz(&folder.path("out/latents/cat_0064x0032_sdxl.npz")) == npz(&cache));
    let ran = unpack(&folder, "comfyui", &["--unscale", "auto"]);
    assert!(ran.code == 0 && !ran.messages.contains("scale"), "{ran:?}");
    let (tensors, _) = tensors(&folder.path("out/latents/cat_0064x0032_sdxl.latent"));
    let ran = unpack(&folder, "comfyui", &["--unscale", "sdxl"]);
    assert!(
        ran.messages.ends_with("gen5: 1 latent written as stored, because already unscaled\n"),
        "{ran:?}"
    );
    let latents = &npz(&cache)["latents.npy"];
    assert!(latents.ends_with(&tensors["latent_tensor"].2));
}

#[test]
fn an_image_of_a_musubi_cache_is_one_frame() {
    let folder = Folder::new();
    let values = [0.3611_f32 * 2.0; 64].map(f32::to_le_bytes).concat();
    let latent = TensorView::new(safetensors::Dtype::F32, vec![16, 1, 2, 2], &values).unwrap();
    let texts = [("architecture", "flux_kontext"), ("format_version", "1.0.1")]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
    let file = folder.path("cat_flux_kontext.safetensors");
    fs::write(&file, serialize([("latents_1x2x2_float32", latent)], Some(texts.into())).unwrap()).unwrap();
    pack(&folder, "FLUX.1 Kontext", &["--latent", file.to_str().unwrap()]);
    let ran = unpack(&folder, "comfyui", &["--unscale", "auto"]);
    assert!(ran.messages.contains("1 latent unscaled as latents of flux, judging by 16 channels"), "{ran:?}");
    let (tensors, _) = tensors(&folder.path("out/latents/cat_flux_kontext.latent"));
    assert_eq!(floats(&tensors["latent_tensor"].2), [2.1159; 64]);
}

#[test]
fn caches_of_flux_are_scaled_and_its_latents_from_comfyui_are_not() {
    let folder = Folder::new();
    let latents = npy_of(Dtype::F32, &[16, 2, 2], 2.0 * 0.3611);
    let arrays = [("latents_2x2", latents), ("original_size_2x2", npy_of_ints(2))];
    write_npz(&folder.path("cat_0016x0016_flux.npz"), &arrays);
    pack(&folder, "FLUX.1-dev", &["--latent", "@/cat_0016x0016_flux.npz"]);
    assert_eq!(unpack(&folder, "comfyui", &["--unscale", "flux"]).code, 0);
    let file = folder.path("out/latents/cat_0016x0016_flux.latent");
    assert_eq!(floats(&tensors(&file).0["latent_tensor"].2), [2.1159; 64]);

    fs::rename(file, folder.path("cat.latent")).unwrap();
    pack(&folder, "FLUX.1-dev", &["--latent", "@/cat.latent"]);
    let ran = unpack(&folder, "kohya", &[]);
    let said = "gen5: 1 latent written unscaled, as stored, but kohya sd-scripts expects them scaled\n";
    assert!(ran.code == 0 && ran.messages.starts_with(said), "{ran:?}");
    assert_eq!(of_kohya(&folder, "cat"), [2.1159; 64]);
}

#[test]
fn what_cannot_be_unscaled_is_refused() {
    let folder = Folder::new();
    latent(&folder, "Wan2.1", 16, 1.0);
    let refused = |format: &str, model: &str| {
        let ran = unpack(&folder, format, &["--unscale", model]);
        assert!(!folder.path("out").exists());
        (ran.code, ran.messages)
    };
    assert_eq!(
        refused("kohya", "sdxl"),
        (1, "gen5: @/x.gen5: latent x has 16 channels, but those of sdxl have 4\n".into())
    );
    assert_eq!(
        refused("comfyui", "auto"),
        (
            1,
            "gen5: @/x.gen5: latent x has 16 channels, and the model is \"Wan2.1\", which does \
             not determine its scale: give it with --unscale sd15, sdxl, sd3 or flux, or write it \
             as stored with --unscale none\n"
                .into()
        )
    );
    // A model name that implies another number of channels is as good as none.
    for (model, channels) in [("SDXL", 16), ("FLUX.1-dev", 4), ("Stable Diffusion", 4)] {
        latent(&folder, model, channels, 1.0);
        let (code, said) = refused("comfyui", "auto");
        assert!(code == 1 && said.contains("which does not determine its scale"), "{said}");
    }
    let (code, said) = refused("original", "auto");
    assert!(
        code == 2 && said.starts_with("gen5: --unscale applies only to --format comfyui and kohya;"),
        "{said}"
    );
}

#[test]
fn rows_and_other_latents_do_not_share_a_name() {
    let folder = Folder::new();
    folder.npy("batch.npy", &[2, 4, 1, 1], &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    folder.npy("one.npy", &[4, 1, 1], &[7.0; 4]);
    pack(&folder, "SDXL", &["--latent", "a=@/batch.npy", "A_1=@/one.npy", "a_1-2=@/one.npy"]);
    let ran = unpack(&folder, "kohya", &["--unscale", "none"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(names(&folder.path("out/latents")), ["A_1-3.npz", "a_0.npz", "a_1-2.npz", "a_1.npz"]);
    assert_eq!(of_kohya(&folder, "a_1"), [1.0; 4]);
    assert_eq!(of_kohya(&folder, "A_1-3"), [7.0; 4]);
    let index = folder.json("out/index.json");
    let found: Vec<(&Value, &Value)> =
        index.as_array().unwrap().iter().map(|entry| (&entry["key"], &entry["file"])).collect();
    let expected = [("a", "a_0"), ("a", "a_1"), ("A_1", "A_1-3"), ("a_1-2", "a_1-2")];
    let expected = expected.map(|(key, file)| (json!(key), json!(format!("latents/{file}.npz"))));
    assert!(
        found.iter().zip(&expected).all(|(found, expected)| (found.0, found.1) == (&expected.0, &expected.1))
    );
}
