//! How latents are stored: the options, the effect of the values, and features of newer versions.

use std::fs;

use gen5::chunk::ChunkRecord;
use gen5::{Dtype, Reader, Version, bf16};
use safetensors::Dtype as Type;
use safetensors::tensor::TensorView;
use serde_json::json;

use crate::support::Folder;

/// Packs with a model and a fixed date, so that equal latents give equal bytes.
fn pack(folder: &Folder, words: &[&str]) -> crate::support::Ran {
    let fixed = ["--model-name", "SD", "--model-version", "3", "--date", "2026-11-22", "--no-environment"];
    let ran = folder.run(&[&["pack"], words, &fixed].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

/// Values that do not compress: the fractional parts of multiples of the golden ratio.
fn noise(len: usize) -> Vec<f32> {
    (0..len as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

fn safetensors(folder: &Folder, name: &str, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
    let view = TensorView::new(Type::BF16, vec![values.len()], &bytes).unwrap();
    fs::write(folder.path(name), safetensors::serialize([("b", view)], None).unwrap()).unwrap();
}

#[test]
fn bfloat16_is_kept_and_unpacked_as_float32() {
    let folder = Folder::new();
    safetensors(&folder, "x.safetensors", &[1.5, -2.0, 3.0e38]);
    let ran = pack(&folder, &["@/x.gen5", "--latent", "@/x.safetensors"]);
    assert_eq!(
        ran.messages,
        "gen5: @/x.gen5 has version 1.1, which the Python package gen5 cannot read: it has \
         latents of bfloat16\n"
    );
    let reader = Reader::open(folder.path("x.gen5")).unwrap();
    let latent = reader.latent("b").unwrap();
    let expected: Vec<bf16> = [1.5, -2.0, 3.0e38].map(bf16::from_f32).into();
    assert_eq!(*latent.read::<bf16>().unwrap(), expected);

    let ran = folder.run(&["unpack", "@/x.gen5", "-o", "@/run"]);
    assert_eq!(
        (ran.code, ran.messages.as_str()),
        (0, "gen5: latents of bfloat16 are written as float32, which holds their values exactly\n")
    );
    assert_eq!(folder.json("run/index.json")[0]["dtype"], json!("bfloat16"));
    let widened: Vec<f32> = expected.iter().map(|value| value.to_f32()).collect();
    let npy = folder.npy("expected.npy", &[3], &widened);
    assert_eq!(fs::read(folder.path("run/latents/b.npy")).unwrap(), fs::read(npy).unwrap());

    safetensors(&folder, "small.safetensors", &[1.5, -2.0]);
    let ran = pack(&folder, &["@/half.gen5", "--latent", "@/small.safetensors", "--float16"]);
    assert_eq!(ran.messages, "");
    let reader = Reader::open(folder.path("half.gen5")).unwrap();
    assert_eq!((reader.version(), reader.latent("b").unwrap().dtype()), (Version::V1_0, Dtype::F16));
}

#[test]
fn shuffled_latents_come_back() {
    let folder = Folder::new();
    let original = folder.npy("noise.npy", &[300, 1000], &noise(300_000));
    let ran = pack(&folder, &["@/x.gen5", "--latent", "@/noise.npy", "--compress", "shuffled"]);
    assert!(ran.out.starts_with("@/x.gen5: 1 latent (compressed), "), "{ran:?}");
    assert!(ran.messages.ends_with("cannot read: it has shuffled bytes\n"), "{ran:?}");
    assert!(folder.ok(&["info", "@/x.gen5"]).contains("shuffled, zstd, "));
    let info: serde_json::Value = serde_json::from_str(&folder.ok(&["info", "--json", "@/x.gen5"])).unwrap();
    assert_eq!(info["latents"][0]["chunks"][0]["shuffled"], json!(true));
    folder.ok(&["unpack", "@/x.gen5", "-o", "@/run"]);
    assert_eq!(fs::read(folder.path("run/latents/noise.npy")).unwrap(), fs::read(original).unwrap());
}

#[test]
fn values_decide_and_the_choice_is_told() {
    let folder = Folder::new();
    folder.npy("noise.npy", &[40, 1000], &noise(40_000));
    folder.npy("zeros.npy", &[40, 1000], &[0.0; 40_000]);
    let told = |latents: &[&str], words: &[&str]| {
        let out = pack(&folder, &[&["@/x.gen5", "--force", "--latent"], latents, words].concat()).out;
        let (_, rest) = out.split_once('(').unwrap();
        rest.split_once(')').unwrap().0.to_owned()
    };
    assert_eq!(told(&["@/noise.npy"], &[]), "stored raw");
    assert_eq!(told(&["@/zeros.npy"], &[]), "compressed");
    assert_eq!(told(&["@/noise.npy", "@/zeros.npy"], &[]), "1 of them compressed");
    assert_eq!(told(&["@/zeros.npy"], &["--compress", "none"]), "stored raw");
    assert_eq!(told(&["@/noise.npy"], &["--compress", "zstd"]), "compressed");
}

/// Small arrays are written whole. Large ones are streamed, raw ones concurrently and compressed
/// ones in parts.
#[test]
fn the_same_latents_give_the_same_file_with_any_number_of_jobs() {
    let folder = Folder::new();
    let large = 17_000_000; // 68 MB
    for name in ["a.npy", "b.npy"] {
        folder.npy(name, &[large], &noise(large));
    }
    let mut sparse = noise(large);
    sparse.iter_mut().for_each(|value| *value = value.max(0.5));
    let original = folder.npy("sparse.npy", &[1, large], &sparse);
    folder.npy("small.npy", &[3], &[1.0, 2.0, 3.0]);
    let latents = ["--latent", "@/a.npy", "@/small.npy", "@/b.npy", "@/sparse.npy", "c=@/a.npy"];
    for jobs in ["1", "4"] {
        pack(&folder, &[&[&*format!("@/{jobs}.gen5"), "--jobs", jobs], &latents[..]].concat());
    }
    let [one, four] = ["1.gen5", "4.gen5"].map(|name| fs::read(folder.path(name)).unwrap());
    assert!(one == four, "the number of threads shows in the file");

    let reader = Reader::open(folder.path("1.gen5")).unwrap();
    let parts =
        |key: &str| reader.latent(key).unwrap().chunks().filter(|chunk| chunk.is_compressed()).count();
    assert_eq!(["a", "small", "b", "sparse", "c"].map(parts), [0, 0, 0, 2, 0]);
    assert_eq!(reader.chunks().iter().filter_map(ChunkRecord::key).count(), 6);
    assert_eq!(folder.ok(&["verify", "-j", "2", "@/4.gen5"]), "@/4.gen5: fine, 6 chunks, 259.4 MiB\n");
    folder.ok(&["unpack", "--jobs", "3", "@/4.gen5", "-o", "@/run"]);
    assert!(fs::read(folder.path("run/latents/sparse.npy")).unwrap() == fs::read(original).unwrap());
    for jobs in ["0", "x", "5000"] {
        assert_eq!(folder.run(&["verify", "--jobs", jobs, "@/1.gen5"]).code, 2);
    }
}
