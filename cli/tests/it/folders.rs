//! Folders of files as batches.

use std::fs;
use std::path::Path;

use gen5::{Dtype, Reader};
use gen5_picture::text::dimensions;
use serde_json::json;

use crate::foreign::{
    MODEL, fixture, npy_of, npy_of_ints, npz, pack, rows, tensors, unpack, values, write_npz,
};
use crate::support::{Folder, names};

#[test]
fn a_folder_becomes_one_batch_and_comes_back_as_files() {
    let folder = Folder::new();
    rows(&folder);
    for other in ["in/img1.txt", "in/.hidden.npy", "in/img1_sdxl_te_outputs.npz"] {
        fs::write(folder.path(other), "a cat").unwrap();
    }
    fs::create_dir(folder.path("in/sub.npy")).unwrap();
    let said = pack(&folder, &["--from", "@/in"]);
    assert_eq!(said, "gen5: @/in: 12 files as latents 12x1x2x3; 4 others skipped\n");
    let expected: Vec<f32> = (0..12_u8).flat_map(|n| [f32::from(n); 6]).collect();
    assert_eq!(values(&folder, "latents"), expected);

    for compress in ["none", "zstd"] {
        pack(&folder, &["--from", "batch=@/in", "--compress", compress]);
        let (out, said) = unpack(&folder, "original");
        assert_eq!(said, "");
        for n in 0..12 {
            let name = format!("img{n}.npy");
            assert_eq!(
                fs::read(out.join("latents").join(&name)).unwrap(),
                fs::read(folder.path("in").join(&name)).unwrap()
            );
        }
        let index = folder.json("original/index.json");
        assert_eq!(
            (&index[11]["row"], &index[11]["source"], &index[11]["shape"]),
            (&json!(11), &json!("img11.npy"), &json!([1, 2, 3]))
        );
        fs::remove_dir_all(out).unwrap();
    }
    // In another layout, the files keep their names.
    let (out, _) = unpack(&folder, "kohya");
    assert_eq!(names(&out.join("latents")).len(), 12);
    assert!(
        npz(&out.join("latents/img7.npz"))["original_size.npy"]
            .ends_with(&[24, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0])
    );
}

#[test]
fn batches_of_one_become_a_batch() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    for n in 1..=2 {
        fs::copy(fixture("ComfyUI_00001_.latent"), folder.path(&format!("in/ComfyUI_0000{n}_.latent")))
            .unwrap();
    }
    assert_eq!(pack(&folder, &["--from", "@/in"]), "gen5: @/in: 2 files as latents 2x4x4x8\n");
    let (out, _) = unpack(&folder, "original");
    for n in 1..=2 {
        let again = out.join(format!("latents/ComfyUI_0000{n}_.latent"));
        assert_eq!(tensors(&again), tensors(&fixture("ComfyUI_00001_.latent")));
    }
}

#[test]
fn what_is_of_several_files_is_told_apart() {
    let folder = Folder::new();
    rows(&folder);
    fs::copy(fixture("cat_0064x0032_sdxl.npz"), folder.path("cat.npz")).unwrap();
    folder.npy("img1.npy", &[4, 1, 1], &[1.0; 4]);
    pack(&folder, &["--from", "batch=@/in", "--latent", "@/img1.npy", "@/cat.npz"]);
    let info = folder.ok(&["info", "@/x.gen5"]);
    assert!(info.contains("  files        13 files: cat.npz to img11.npy\n"), "{info}");
    let (out, said) = unpack(&folder, "original");
    assert_eq!(said, "gen5: 1 latent written as .npy: no source file is recorded\n");
    let all = names(&out.join("latents"));
    assert_eq!(all.len(), 14);
    assert!(all.contains(&"img1-2.npy".to_owned()) && all.contains(&"cat.npz".to_owned()), "{all:?}");
    // Existing caches are restored, and caches are made from the other files.
    let (out, said) = unpack(&folder, "kohya");
    assert!(said.contains("gen5: original_size and crop_ltrb assume an uncropped image"), "{said}");
    assert_eq!(names(&out.join("latents")).len(), 14);
    assert_eq!(npz(&out.join("latents/cat.npz")), npz(&fixture("cat_0064x0032_sdxl.npz")));
}

#[test]
fn caches_of_a_folder_come_back_with_all_that_they_have() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    for name in ["a_0064x0032_sdxl.npz", "b_0064x0032_sdxl.npz"] {
        fs::copy(fixture("cat_0064x0032_sdxl.npz"), folder.path("in").join(name)).unwrap();
    }
    pack(&folder, &["--from", "@/in"]);
    let listed = folder.ok(&["ls", "@/x.gen5"]);
    for line in
        ["latents\tfloat32\t2x4x4x8", "latents_flipped\tfloat32\t2x4x4x8", "alpha_mask\tfloat32\t2x32x64"]
    {
        assert!(listed.contains(line), "{listed}");
    }
    let (out, _) = unpack(&folder, "original");
    assert_eq!(names(&out.join("latents")), ["a_0064x0032_sdxl.npz", "b_0064x0032_sdxl.npz"]);
    assert_eq!(npz(&out.join("latents/b_0064x0032_sdxl.npz")), npz(&fixture("cat_0064x0032_sdxl.npz")));
    // Arrays that other files lack become separate latents.
    fs::copy(fixture("dog_flux.npz"), folder.path("in/dog_flux.npz")).unwrap();
    pack(&folder, &["--from", "@/in"]);
    let joined = ["latents 2x4x4x8", "latents_flipped 2x4x4x8", "alpha_mask 2x32x64"];
    let own = ["dog_flux/latents_4x8 16x4x8", "dog_flux/latents_8x8 16x8x8"];
    assert_eq!(shapes(&folder), [&joined[..], &own].concat());
    let (out, _) = unpack(&folder, "kohya");
    assert_eq!(npz(&out.join("latents/dog_flux.npz")), npz(&fixture("dog_flux.npz")));
}

#[test]
fn folders_with_keys_of_their_own_do_not_clash() {
    let folder = Folder::new();
    for name in ["a", "b"] {
        fs::create_dir(folder.path(name)).unwrap();
        for (n, size) in [[2, 2], [2, 2], [1, 2]].into_iter().enumerate() {
            cache(&folder.path(&format!("{name}/img{n}.npz")), size, 1.0);
        }
    }
    let words = ["pack", "@/x.gen5", "--from", "@/a", "@/b"];
    let ran = folder.run(&[&words[..], &MODEL].concat());
    let problem = "the key \"latents/2x2\" is used twice, by @/a and @/b";
    assert!(ran.code == 1 && ran.messages.contains(problem), "{ran:?}");
    pack(&folder, &["--from", "one=@/a", "two=@/b"]);
    let of = |key: &str| {
        ["/2x2 2x4x2x2", "/img2 4x1x2", "/alpha_mask/16x16 2x16x16", "/img2/alpha_mask 8x16"]
            .map(|name| format!("{key}{name}"))
    };
    assert_eq!(shapes(&folder), [of("one"), of("two")].concat());
    let (out, said) = unpack(&folder, "original");
    assert_eq!((said.as_str(), names(&out.join("latents")).len()), ("", 6));
}

#[test]
fn folders_that_cannot_be_taken_are_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path("empty")).unwrap();
    rows(&folder);
    fs::write(folder.path("in/img3.npy"), "no array").unwrap();
    fs::write(folder.path("in/img10.npy"), "").unwrap();
    let refused = |words: &[&str]| {
        let ran = folder.run(&[&["pack", "@/x.gen5"], words, &MODEL].concat());
        assert_eq!((ran.code, folder.path("x.gen5").exists()), (1, false), "{ran:?}");
        ran.messages
    };
    let none = "gen5: @/empty has no .npy, .npz, .safetensors or .latent files with latents";
    assert_eq!(refused(&["--from", "@/empty"]), format!("{none}\n"));
    fs::write(folder.path("empty/a_te_outputs.npz"), "").unwrap();
    let others =
        "1 other skipped, such as folders, hidden files, other extensions and caches of text encoders";
    assert_eq!(refused(&["--from", "@/empty"]), format!("{none}; {others}\n"));
    assert!(refused(&["--from", "@/gone"]).starts_with("gen5: could not list @/gone: "));
    // The error names the first invalid file in their order.
    assert!(refused(&["--from", "@/in"]).starts_with("gen5: @/in/img3.npy is "));
    fs::remove_file(folder.path("in/img3.npy")).unwrap();
    fs::remove_file(folder.path("in/img10.npy")).unwrap();
    let twice = refused(&["--from", "@/in", "@/in"]);
    assert_eq!(
        twice.lines().last().unwrap(),
        "gen5: the key \"latents\" is used twice, by @/in and @/in: give another key, as \
         --latent KEY=FILE or --from KEY=DIR"
    );
}

/// The key and shape of each latent.
fn shapes(folder: &Folder) -> Vec<String> {
    let latents = Reader::open(folder.path("x.gen5")).unwrap();
    latents
        .latents()
        .map(|latent| format!("{} {}", latent.key().unwrap(), dimensions(latent.shape(), "x")))
        .collect()
}

/// Writes a cache of sd-scripts, with a mask of the image's size in pixels.
fn cache(path: &Path, [height, width]: [usize; 2], value: f32) {
    let arrays = [
        ("latents", npy_of(Dtype::F32, &[4, height, width], value)),
        ("alpha_mask", npy_of(Dtype::F32, &[height * 8, width * 8], value)),
        ("original_size", npy_of_ints(2)),
    ];
    write_npz(path, &arrays);
}

#[test]
fn images_of_several_sizes_become_a_batch_for_each() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    let sizes = [[2, 3], [3, 2], [2, 3], [4, 4], [3, 2], [2, 3]];
    for (n, size) in (0_u8..).zip(sizes) {
        cache(&folder.path(&format!("in/img{n}.npz")), size, f32::from(n));
    }
    assert_eq!(pack(&folder, &["--from", "@/in"]), "gen5: @/in: 6 files as 6 latents\n");
    assert_eq!(
        shapes(&folder),
        [
            "latents/2x3 3x4x2x3",
            "latents/3x2 2x4x3x2",
            "img3 4x4x4",
            "alpha_mask/16x24 3x16x24",
            "alpha_mask/24x16 2x24x16",
            "img3/alpha_mask 32x32",
        ]
    );
    let rows: Vec<f32> = [0.0, 2.0, 5.0].into_iter().flat_map(|value| [value; 24]).collect();
    assert_eq!(values(&folder, "latents/2x3"), rows);
    for words in [&["--from", "@/in"][..], &["--from", "train=@/in", "--compress", "zstd"]] {
        pack(&folder, words);
        for format in ["original", "kohya"] {
            let (out, said) = unpack(&folder, format);
            assert_eq!((said.as_str(), names(&out.join("latents")).len()), ("", 6));
            for n in 0..6 {
                let file = format!("img{n}.npz");
                assert_eq!(
                    npz(&out.join("latents").join(&file)),
                    npz(&folder.path("in").join(&file)),
                    "{file}"
                );
            }
            fs::remove_dir_all(out).unwrap();
        }
    }
}

#[test]
fn keys_of_batches_say_what_sets_them_apart() {
    let folder = Folder::new();
    let made = |files: &[(&str, &[usize])]| {
        fs::create_dir(folder.path("in")).unwrap();
        for (name, shape) in files {
            folder.npy(&format!("in/{name}.npy"), shape, &vec![1.0; shape.iter().product()]);
        }
        pack(&folder, &["--from", "@/in"]);
        fs::remove_dir_all(folder.path("in")).unwrap();
        shapes(&folder)
    };
    // Videos of two lengths with the same height and width.
    let videos: [(&str, &[usize]); 4] =
        [("a", &[2, 1, 4, 4]), ("b", &[2, 3, 4, 4]), ("c", &[2, 1, 4, 4]), ("d", &[2, 3, 4, 4])];
    assert_eq!(made(&videos), ["latents/2x1x4x4 2x2x1x4x4", "latents/2x3x4x4 2x2x3x4x4"]);
    // A key gets a suffix only where several arrays would share it. It never clashes with another
    // key.
    let named: [(&str, &[usize]); 4] = [("a", &[5]), ("b", &[5]), ("c", &[1, 5]), ("latents", &[])];
    assert_eq!(made(&named), ["latents/5 2x5", "c 1x5", "latents scalar"]);
    // A single file makes a batch of one.
    assert_eq!(made(&[("a", &[2, 2])]), ["latents 1x2x2"]);

    fs::create_dir(folder.path("in")).unwrap();
    for (n, dtype) in [Dtype::F16, Dtype::F32, Dtype::F16, Dtype::F32].into_iter().enumerate() {
        fs::write(folder.path(&format!("in/{n}.npy")), npy_of(dtype, &[2, 3], 1.0)).unwrap();
    }
    pack(&folder, &["--from", "x=@/in"]);
    assert_eq!(shapes(&folder), ["x/2x3_float16 2x2x3", "x/2x3_float32 2x2x3"]);
}
