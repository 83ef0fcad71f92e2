//! How `gen5_picture` reads latents, and the output of `render` and `show`.

use std::fs;
use std::path::Path;

use gen5::{Compression, Latent, Metadata, Reader, WriteOptions, bf16};
use gen5_picture::{Hints, NAN_COLOR, Scale, Scan, ScanOptions, scan_latent};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

use crate::support::{Folder, json_lines};

/// Values that are all different.
fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|at| at as f32 * 0.25 - 7.0).collect()
}

fn latent(path: &Path, shape: &[usize], values: &[f32], options: &WriteOptions) -> Latent {
    let mut writer = options.clone().create(path).unwrap();
    writer.latent("x", shape, values).unwrap();
    let metadata = Metadata::builder("SD", "1").date("2026-11-22").build().unwrap();
    writer.finish(&metadata).unwrap();
    Reader::open(path).unwrap().latent("x").unwrap()
}

fn look(latent: &Latent, request: &ScanOptions) -> Scan {
    scan_latent(latent, Hints { key: latent.key().unwrap_or_default(), ..Hints::default() }, request).unwrap()
}

#[test]
fn planes_are_the_values_where_they_belong() {
    let folder = Folder::new();
    let values = ramp(2 * 4 * 8 * 6);
    let latent = latent(&folder.path("a.gen5"), &[2, 4, 8, 6], &values, &WriteOptions::new());
    let scan = look(&latent, &ScanOptions::default());
    assert_eq!(scan.items.len(), 2);
    for (item, picture) in scan.items.iter().enumerate() {
        assert_eq!((picture.index, picture.planes.len()), (item, 4));
        for (channel, plane) in picture.planes.iter().enumerate() {
            assert_eq!((plane.width(), plane.height()), (6, 8));
            let at = |x: u32, y: u32| values[((item * 4 + channel) * 8 + y as usize) * 6 + x as usize];
            assert!((0..8).all(|y| (0..6).all(|x| plane.value(x, y) == at(x, y))));
        }
    }
    for (channel, statistics) in scan.channels.iter().enumerate() {
        let of_channel = |item: usize| &values[(item * 4 + channel) * 48..][..48];
        let all: Vec<f64> =
            of_channel(0).iter().chain(of_channel(1)).map(|&value| f64::from(value)).collect();
        let mean = all.iter().sum::<f64>() / 96.0;
        assert!((statistics.mean().unwrap() - mean).abs() < 1e-9);
        assert_eq!(statistics.count(), 96);
    }
    assert!(!scan.is_sample());
}

#[test]
fn packed_tokens_come_out_as_channels() {
    // 16x16 tokens of 2x2 pixels. Each value encodes its channel, y and x.
    let value = |channel: usize, y: usize, x: usize| (channel * 10_000 + y * 100 + x) as f32;
    let mut values = Vec::new();
    for token in 0..256 {
        for part in 0..64 {
            let (channel, down, right) = (part / 4, part / 2 % 2, part % 2);
            values.push(value(channel, token / 16 * 2 + down, token % 16 * 2 + right));
        }
    }
    let folder = Folder::new();
    let latent = latent(&folder.path("a.gen5"), &[1, 256, 64], &values, &WriteOptions::new());
    let scan = look(&latent, &ScanOptions::default());
    let planes = &scan.items[0].planes;
    assert_eq!(planes.len(), 16);
    for (channel, plane) in planes.iter().enumerate() {
        assert!(
            (0..32).all(|y| (0..32).all(|x| plane.value(x, y) == value(channel, y as usize, x as usize))),
            "channel {channel}"
        );
    }
}

#[test]
fn channels_that_come_last_are_found() {
    let folder = Folder::new();
    let values = ramp(2 * 8 * 9 * 4);
    let latent = latent(&folder.path("a.gen5"), &[2, 8, 9, 4], &values, &WriteOptions::new());
    let scan = look(&latent, &ScanOptions::default());
    let plane = &scan.items[1].planes[3];
    assert_eq!((plane.width(), plane.height()), (9, 8));
    assert_eq!(plane.value(5, 7), values[((8 + 7) * 9 + 5) * 4 + 3]);
}

#[test]
fn large_planes_become_means_of_squares() {
    let folder = Folder::new();
    let values = ramp(5 * 7);
    let latent = latent(&folder.path("a.gen5"), &[5, 7], &values, &WriteOptions::new());
    let scan = look(&latent, &ScanOptions { side: 4, ..ScanOptions::default() });
    let plane = &scan.items[0].planes[0];
    assert_eq!((plane.width(), plane.height()), (4, 3));
    assert_eq!(plane.value(0, 0), (values[0] + values[1] + values[7] + values[8]) / 4.0);
    // Pixels at the right and bottom edges average fewer values.
    assert_eq!(plane.value(3, 2), values[34]);
    assert_eq!(plane.value(3, 0), (values[6] + values[13]) / 2.0);
}

#[test]
fn rows_choose_pictures_and_values() {
    let folder = Folder::new();
    let values = ramp(10 * 4 * 4 * 5);
    let latent = latent(&folder.path("a.gen5"), &[10, 4, 4, 5], &values, &WriteOptions::new());
    let scan = look(&latent, &ScanOptions { rows: Some(6..9), items: 2, ..ScanOptions::default() });
    assert_eq!(scan.items.iter().map(|item| item.index).collect::<Vec<_>>(), [6, 7]);
    assert_eq!((scan.values, scan.statistics.count()), (240, 240));
    assert_eq!(scan.statistics.min(), Some(values[480]));
    assert_eq!(scan.items[1].planes[0].value(0, 0), values[560]);
}

#[test]
fn what_is_large_is_sampled_and_says_so() {
    let folder = Folder::new();
    let values = ramp(1000 * 4 * 4 * 4);
    let all = values.len() as u64;
    let raw = WriteOptions::new().compression(Compression::Raw);
    let zstd = WriteOptions::new().compression(Compression::Zstd);
    for (name, options) in [("raw.gen5", raw), ("zstd.gen5", zstd)] {
        let latent = latent(&folder.path(name), &[1000, 4, 4, 4], &values, &options);
        let scan = look(&latent, &ScanOptions { sample: 64 << 10, items: 5, ..ScanOptions::default() });
        assert!(scan.is_sample());
        assert_eq!(scan.values, all);
        let read = scan.statistics.count();
        assert!((64..40_000).contains(&read), "{name}: {read}");
        assert_eq!(scan.items.len(), 5, "{name}");
        for item in &scan.items {
            assert_eq!(item.planes[1].value(2, 3), values[item.index * 64 + 16 + 14], "{name}");
        }
    }
}

#[test]
fn steps_are_spread_over_what_is_read_of_parts() {
    let folder = Folder::new();
    let path = folder.path("a.gen5");
    let options = WriteOptions::new().compression(Compression::Zstd).part_size(Some(8 << 10));
    let mut writer = options.create(&path).unwrap();
    writer.latent("steps", &[1000, 4, 4, 4], &ramp(1000 * 64)).unwrap();
    writer.finish(&Metadata::builder("SD", "1").build().unwrap()).unwrap();
    let latent = Reader::open(&path).unwrap().latent("steps").unwrap();
    assert!(latent.chunks().count() > 10);
    let scan = look(&latent, &ScanOptions { sample: 64 << 10, items: 5, ..ScanOptions::default() });
    let steps: Vec<usize> = scan.items.iter().map(|item| item.index).collect();
    assert!(steps[0] == 0 && steps[4] > 900 && (300..700).contains(&steps[2]), "{steps:?}");
    let values = ramp(1000 * 64);
    assert!(scan.items.iter().all(|item| item.planes[3].value(1, 2) == values[item.index * 64 + 48 + 9]));
}

#[test]
fn a_row_over_the_limit_is_read_in_part_and_not_shown() {
    let folder = Folder::new();
    let options = WriteOptions::new().compression(Compression::Raw);
    let latent = latent(&folder.path("a.gen5"), &[2, 4, 64, 64], &ramp(2 * 4 * 64 * 64), &options);
    let scan = look(&latent, &ScanOptions { sample: 8 << 10, ..ScanOptions::default() });
    assert!(scan.is_sample() && scan.items.is_empty());
    assert_eq!(scan.statistics.count(), 2048);
}

#[test]
fn odd_shapes_are_looked_at() {
    let folder = Folder::new();
    let shapes: [(&[usize], usize); 6] =
        [(&[], 1), (&[0], 0), (&[0, 4, 8, 8], 0), (&[4, 0, 8], 0), (&[1; 20], 1), (&[2; 12], 64)];
    for (at, (shape, items)) in shapes.into_iter().enumerate() {
        let count = shape.iter().product();
        let path = folder.path(&format!("{at}.gen5"));
        let scan = look(&latent(&path, shape, &ramp(count), &WriteOptions::new()), &ScanOptions::default());
        assert_eq!(scan.items.len(), items, "{shape:?}");
        assert_eq!(scan.statistics.count(), count as u64, "{shape:?}");
    }
}

#[test]
fn every_dtype_gives_the_same() {
    let folder = Folder::new();
    let path = folder.path("a.gen5");
    let values: Vec<bf16> = (0..1024).map(|at| bf16::from_f32(at as f32)).collect();
    let mut writer = WriteOptions::new().create(&path).unwrap();
    writer.latent("x", &[4, 16, 16], &values).unwrap();
    writer.finish(&Metadata::builder("SD", "1").build().unwrap()).unwrap();
    let scan = look(
        &Reader::open(&path).unwrap().latent("x").unwrap(),
        &ScanOptions { bins: 8, ..ScanOptions::default() },
    );
    assert_eq!(scan.items[0].planes[2].value(3, 1), values[2 * 256 + 19].to_f32());
    let counts = scan.histogram.unwrap().counts;
    assert!((counts.iter().sum::<f64>() - 1024.0).abs() < 1e-6);
}

/// Writes a file with latents and an optional image.
fn file(folder: &Folder, name: &str, latents: &[(&str, &[usize], Vec<f32>)], image: Option<&[u8]>) {
    let options = WriteOptions::new().non_finite(gen5::NonFinite::Keep).compression(Compression::Raw);
    let mut writer = options.create(folder.path(name)).unwrap();
    for (key, shape, values) in latents {
        writer.latent(*key, shape, values).unwrap();
    }
    if let Some(image) = image {
        writer.image(image).unwrap();
    }
    let metadata = Metadata::builder("SDXL", "1").date("2026-11-22").prompt("a \u{1b}[31mcat\nby the sea");
    writer.finish(&metadata.build().unwrap()).unwrap();
}

fn picture(folder: &Folder, name: &str) -> RgbImage {
    image::open(folder.path(name)).unwrap().into_rgb8()
}

fn pixels_of(picture: &RgbImage, color: Rgb<u8>) -> usize {
    picture.pixels().filter(|pixel| **pixel == color).count()
}

#[test]
fn a_sheet_has_the_colours_of_its_values() {
    let folder = Folder::new();
    // The left half is -1, the right half 1. The third channel has one NaN.
    let mut values: Vec<f32> = (0..4 * 8 * 8).map(|at| if at % 8 < 4 { -1.0 } else { 1.0 }).collect();
    values[2 * 64 + 5] = f32::NAN;
    file(&folder, "a.gen5", &[("x", &[1, 4, 8, 8], values)], None);
    let out = folder.ok(&["render", "@/a.gen5", "-o", "@/a.png", "--preview", "none"]);
    let sheet = picture(&folder, "a.png");
    assert_eq!(out, format!("@/a.png: {}x{}, 1 latent\n", sheet.width(), sheet.height()));
    assert_eq!(sheet.width(), 1200);
    // Each value is a square of equal pixels. The colour key has a bar for NaN, and a few pixels of
    // the other colours.
    let nan = pixels_of(&sheet, NAN_COLOR) - 96 * 10;
    let side = nan.isqrt();
    assert!(side * side == nan && side > 4, "{nan}");
    let scale = Scale::Signed(1.0);
    let low = pixels_of(&sheet, scale.color(-1.0));
    let high = pixels_of(&sheet, scale.color(1.0));
    assert!((128 * nan..128 * nan + 100).contains(&low), "{low} of {nan}");
    assert!((127 * nan..127 * nan + 100).contains(&high), "{high} of {nan}");
}

#[test]
fn a_sheet_has_previews() {
    let folder = Folder::new();
    let values = [1.0, -2.0, 0.5, 0.0].iter().flat_map(|value| vec![*value; 64]).collect();
    file(&folder, "a.gen5", &[("x", &[1, 4, 8, 8], values)], None);
    folder.ok(&["render", "@/a.gen5", "-o", "@/auto.png", "--width", "400"]);
    folder.ok(&["render", "@/a.gen5", "-o", "@/sd15.png", "--preview", "sd15", "--width", "400"]);
    folder.ok(&["render", "@/a.gen5", "-o", "@/none.png", "--preview", "none", "--width", "400"]);
    // Computed from the published factors, as in the tests of `preview`. For sd15 red is 0.3512 -
    // 0.65 - 0.14145 = -0.44025, green -0.677, blue -0.01125, without a bias.
    let (sdxl, sd15) = (Rgb([255, 187, 153]), Rgb([71, 41, 126]));
    let count = |name: &str, color| pixels_of(&picture(&folder, name), color);
    assert!(count("auto.png", sdxl) > 10_000 && count("sd15.png", sd15) > 10_000);
    assert_eq!((count("none.png", sdxl), count("none.png", sd15)), (0, 0));
}

#[test]
fn previews_of_other_channels_are_refused_or_told() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[("x", &[4, 8, 8], ramp(256)), ("y", &[16, 4, 4], ramp(256))], None);
    let render = ["render", "@/a.gen5", "-o", "@/a.png", "--preview", "flux"];
    let shown = folder.ok(&["show", "@/a.gen5", "--protocol", "blocks", "--preview", "flux"]);
    assert_eq!(shown.matches("no preview flux, which needs 16 channels").count(), 1, "{shown}");
    folder.ok(&render);
    fs::remove_file(folder.path("a.png")).unwrap();
    let ran = folder.run(&[&render[..], &["--latent", "x"]].concat());
    let said = "gen5: --preview flux is for latents of 16 channels, and there are none to show\n";
    assert_eq!((ran.code, ran.messages.as_str(), folder.path("a.png").exists()), (1, said, false));
}

#[test]
fn characters_that_the_fonts_lack_are_told() {
    let folder = Folder::new();
    for (name, prompt, is_told) in [("a", "a lighthouse, façade × 2", false), ("b", "海边的灯塔", true)]
    {
        let path = format!("@/{name}.gen5");
        let mut writer = WriteOptions::new().create(folder.path(&format!("{name}.gen5"))).unwrap();
        writer.latent("x", &[4, 8, 8], &ramp(256)).unwrap();
        writer.finish(&Metadata::builder("SD", "1").prompt(prompt).build().unwrap()).unwrap();
        let ran = folder.run(&["render", &path, "-o", &format!("@/{name}.png")]);
        let note = format!(
            "gen5: {path}: boxes replace characters that the fonts lack; gen5 info and gen5 \
             report show them\n"
        );
        assert_eq!((ran.code, ran.messages), (0, if is_told { note } else { String::new() }));
    }
}

#[test]
fn the_picture_is_refused_where_it_would_harm() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[("x", &[4, 8, 8], vec![1.0; 256])], None);
    fs::write(folder.path("a.png"), "mine").unwrap();
    let ran = folder.run(&["render", "@/a.gen5", "-o", "@/a.png", "--width", "400"]);
    assert_eq!(
        (ran.code, ran.messages.as_str()),
        (1, "gen5: could not create @/a.png: it already exists; --force replaces it\n")
    );
    assert_eq!(fs::read(folder.path("a.png")).unwrap(), b"mine");
    let ran = folder.run(&["render", "@/a.gen5", "-o", "@/a.jpg"]);
    assert_eq!(
        (ran.code, ran.messages.as_str()),
        (2, "gen5: @/a.jpg must end in .png, the format of the picture\n")
    );
    let ran = folder.run_on_terminal(&["render", "@/a.gen5", "-o", "-"]);
    assert_eq!(ran.code, 2);
    assert!(ran.messages.contains("gen5 show"), "{}", ran.messages);
    let ran = folder.run(&["render", "@/a.gen5", "-o", "@/nowhere/a.png"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5", "a.png"]);

    folder.ok(&["render", "@/a.gen5", "-o", "@/a.png", "--force", "--width", "400"]);
    let (code, bytes, messages) = folder.run_for_bytes(&["render", "@/a.gen5", "-o", "-", "--width", "400"]);
    assert_eq!((code, messages.as_str()), (0, ""));
    assert_eq!(bytes, fs::read(folder.path("a.png")).unwrap());
}

#[test]
fn latents_and_rows_are_chosen() {
    let folder = Folder::new();
    let latents: [(&str, &[usize], Vec<f32>); 2] =
        [("noise", &[6, 4, 8, 8], ramp(6 * 256)), ("last", &[1, 4, 8, 8], ramp(256))];
    file(&folder, "a.gen5", &latents, None);
    let out = folder.ok(&[
        "render", "@/a.gen5", "-o", "@/a.png", "--latent", "noise", "--rows", "2..4", "--width", "400",
    ]);
    assert!(out.ends_with(", 1 latent\n"), "{out}");
    let words = ["show", "@/a.gen5", "--protocol", "blocks", "--latent", "#0", "--rows", "2..4"];
    let shown = folder.ok(&words);
    assert!(shown.contains("statistics of these rows") && !shown.contains("last"), "{shown}");

    let ran = folder.run(&["render", "@/a.gen5", "-o", "@/b.png", "--rows", "2..9"]);
    let message = "gen5: --rows 2..9: latent noise has 6 rows, counted from 0\n";
    assert_eq!((ran.code, ran.messages.as_str()), (2, message));
    let ran = folder.run(&["render", "@/a.gen5", "-o", "@/b.png", "--latent", "nois"]);
    assert!(ran.code == 1 && ran.messages.contains("\"noise\""), "{ran:?}");
    assert!(!folder.path("b.png").exists());
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_shown() {
    let folder = Folder::new();
    let path = folder.path("a.gen5");
    let mut writer = WriteOptions::new().compression(Compression::Zstd).create(&path).unwrap();
    writer.latent("broken", &[4, 32, 32], &ramp(4096)).unwrap();
    writer.latent("whole", &[4, 32, 32], &ramp(4096)).unwrap();
    writer.finish(&Metadata::builder("SD", "1").build().unwrap()).unwrap();
    let record = Reader::open(&path).unwrap().chunks()[0].clone();
    let mut bytes = fs::read(&path).unwrap();
    let middle = usize::try_from(record.offset() + record.stored_size() / 2).unwrap();
    bytes[middle..middle + 40].fill(0xa5);
    fs::write(&path, bytes).unwrap();

    let ran = folder.run(&["render", "@/a.gen5", "-o", "@/a.png", "--width", "400"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.messages.starts_with("gen5: @/a.gen5: ") && ran.messages.contains("broken"),
        "{}",
        ran.messages
    );
    assert!(picture(&folder, "a.png").height() > 400);
    let ran = folder.run(&["show", "@/a.gen5", "--protocol", "blocks"]);
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("whole  float32 · 4 × 32 × 32"), "{}", ran.out);
    let ran = folder.run(&["show", "@/a.gen5", "--json"]);
    assert_eq!(ran.code, 3);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let [broken, whole] = &told["latents"].as_array().unwrap()[..] else { panic!("{told}") };
    assert!(
        broken["error"].as_str().unwrap().starts_with("@/a.gen5: ") && broken.get("values").is_none(),
        "{told}"
    );
    assert!(whole["values"] == 4096 && whole.get("error").is_none(), "{told}");

    fs::write(folder.path("no.gen5"), "no").unwrap();
    assert_eq!(folder.run(&["render", "@/no.gen5", "-o", "@/no.png"]).code, 3);
    assert_eq!(folder.run(&["show", "@/no.gen5"]).code, 3);
    assert!(!folder.path("no.png").exists());
}

#[test]
fn an_image_that_is_too_large_is_told() {
    let folder = Folder::new();
    let mut image = Vec::new();
    let wide = image::DynamicImage::ImageRgb8(RgbImage::new(40_000, 1));
    wide.write_to(&mut std::io::Cursor::new(&mut image), image::ImageFormat::Png).unwrap();
    file(&folder, "a.gen5", &[("x", &[4, 8, 8], vec![1.0; 256])], Some(&image));
    let ran = folder.run(&["render", "@/a.gen5", "-o", "@/a.png", "--width", "400"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.messages.starts_with("gen5: @/a.gen5: the image is not shown: "), "{}", ran.messages);
}

#[test]
fn many_latents_and_odd_ones_give_a_bounded_page() {
    let folder = Folder::new();
    let keys: Vec<String> = (0..700).map(|at| format!("step_{at}")).collect();
    let shapes: [&[usize]; 7] = [&[], &[0], &[1; 20], &[4, 0, 8], &[3], &[2, 4, 2, 2], &[300, 2]];
    let latents: Vec<(&str, &[usize], Vec<f32>)> = (0..)
        .zip(&keys)
        .map(|(at, key): (usize, _)| {
            let shape = shapes[at % shapes.len()];
            (key.as_str(), shape, vec![f32::NAN; shape.iter().product()])
        })
        .collect();
    file(&folder, "a.gen5", &latents, None);
    let out = folder.ok(&["render", "@/a.gen5", "-o", "@/a.png", "--width", "400"]);
    assert!(out.ends_with(" of 700 latents\n"), "{out}");
    let sheet = picture(&folder, "a.png");
    assert!(sheet.height() < 18_000, "{}", sheet.height());
    assert!(pixels_of(&sheet, NAN_COLOR) > 1000);
}

#[test]
fn a_page_may_be_narrow() {
    let folder = Folder::new();
    let latents: [(&str, &[usize], Vec<f32>); 3] = [
        ("a", &[2, 16, 24, 32], ramp(2 * 16 * 24 * 32)),
        ("b", &[1, 9000], ramp(9000)),
        ("c", &[9000, 1], ramp(9000)),
    ];
    file(&folder, "a.gen5", &latents, Some(crate::support::PNG));
    for width in ["320", "900"] {
        folder.ok(&["render", "@/a.gen5", "-o", "@/a.png", "--width", width, "--force"]);
        assert_eq!(picture(&folder, "a.png").width().to_string(), width);
        folder.ok(&["render", "@/a.gen5", "-o", "@/a.png", "--width", width, "--columns", "9", "--force"]);
    }
}

#[test]
fn statistics_are_told_to_programs() {
    let folder = Folder::new();
    // Two images of four channels: 0 to 7 in the first, 100 to 107 in the second.
    let mut values: Vec<f32> = (0..16).map(|at| (at % 8 + at / 8 * 100) as f32).collect();
    let latents: [(&str, &[usize], Vec<f32>); 2] =
        [("x", &[2, 4, 2, 1], values.clone()), ("", &[3], vec![1.0, 2.0, 6.0])];
    file(&folder, "a.gen5", &latents, None);
    let shown = folder.json_of(&["show", "@/a.gen5", "--json", "--rows", "1..2"]);
    let x = &shown["latents"][0];
    assert_eq!((&shown["path"], &x["shape"]), (&json!("@/a.gen5"), &json!([1, 4, 2, 1])));
    assert_eq!(x["read_as"], "image × channel × height × width");
    // Eight consecutive integers deviate by sqrt((8² - 1) / 12), like a uniform distribution over
    // them.
    let std = (63.0_f64 / 12.0).sqrt();
    assert!((x["std"].as_f64().unwrap() - std).abs() < 1e-12, "{x}");
    assert_eq!(
        (&x["values"], &x["min"], &x["max"], &x["mean"]),
        (&json!(8), &json!(100.0), &json!(107.0), &json!(103.5))
    );
    let channel =
        json!({"values": 2, "nan": 0, "infinite": 0, "min": 106.0, "max": 107.0, "mean": 106.5, "std": 0.5});
    assert_eq!(x["channels"][3], channel);
    assert_eq!(shown["latents"][1]["key"], "");
    assert_eq!(shown["latents"][1]["shape"], json!([1]));

    values = vec![f32::NAN, f32::INFINITY];
    let mut writer =
        WriteOptions::new().non_finite(gen5::NonFinite::Keep).create(folder.path("b.gen5")).unwrap();
    writer.latent("odd", &[2], &values).unwrap();
    writer.finish(&Metadata::builder("SD", "1").build().unwrap()).unwrap();
    let odd = &folder.json_of(&["show", "@/b.gen5", "--json"])["latents"][0];
    assert_eq!((&odd["values"], &odd["nan"], &odd["infinite"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&odd["min"], &odd["std"]), (&Value::Null, &Value::Null));

    let refused = folder.run(&["show", "@/a.gen5", "--json", "--rows", "1..4"]);
    let message = "gen5: --rows 1..4: latent x has 2 rows, counted from 0\n";
    assert_eq!((refused.code, &*refused.out, &*refused.messages), (2, "", message));
    let none = folder.run(&["show", "@/none.gen5", "--json"]);
    assert_eq!((none.code, &json_lines(&none.out.replace('\n', ""))[0]["path"]), (1, &json!("@/none.gen5")));
}

#[test]
fn show_is_text_where_there_is_no_terminal() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[("x\u{202e}", &[2, 2], vec![1.0, 2.0, 3.0, f32::INFINITY])], None);
    let ran = folder.run(&["show", "@/a.gen5"]);
    let size = fs::metadata(folder.path("a.gen5")).unwrap().len();
    let text = [
        "a.gen5",
        "  SDXL 1",
        &format!("  2026-11-22  ·  {}", gen5_picture::text::human_size(size)),
        "  a \\u{1b}[31mcat by the sea",
        "",
        "\"x\\u{202e}\"  float32 · 2 × 2 · 16 B",
        "  min 1.000  max 3.000  mean 2.000  std 0.816  infinite 1",
        "  read as height × width",
        "",
    ];
    assert_eq!((ran.code, ran.out), (0, text.join("\n")));
    let note = "gen5: pictures are left out because the output is not a terminal; --protocol blocks \
         writes them anyway\n";
    assert_eq!(ran.messages, note);
}

#[test]
fn show_sends_what_each_protocol_asks_for() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[("x", &[1, 4, 8, 8], ramp(256))], Some(crate::support::PNG));
    let shown = |protocol: &str| {
        let words = ["show", "@/a.gen5", "--protocol", protocol, "--width", "60"];
        let (code, out, messages) = folder.run_for_bytes(&words);
        assert_eq!((code, messages.as_str()), (0, ""));
        String::from_utf8(out).unwrap()
    };
    // One for the image, one for the latent's tiles.
    assert_eq!(shown("kitty").matches("\x1b_Ga=T,f=100,q=2,").count(), 2);
    assert_eq!(shown("iterm2").matches("\x1b]1337;File=inline=1;").count(), 2);
    assert_eq!(shown("sixel").matches("\x1bP0;1;0q\"1;1;").count(), 2);
    let blocks = shown("blocks");
    assert!(blocks.contains("\x1b[38;2;") && !blocks.contains("\x1b[38;5;"));
    let widest = blocks.lines().map(|line| line.matches('▀').count()).max().unwrap();
    assert!((30..=60).contains(&widest), "{widest}");
    let palette = shown("blocks256");
    assert!(!palette.contains("\x1b[38;2;") && palette.contains("\x1b[38;5;"));
    // The text between the pictures contains no other escape sequences.
    for text in ["x  float32 · 1 × 4 × 8 × 8 · 1.0 KiB", "preview sdxl, guessed from 4 channels"] {
        assert!(blocks.contains(text), "{text}");
    }
}

#[test]
fn rows_are_of_latents_that_have_pictures_in_them() {
    let folder = Folder::new();
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    writer.latent("trajectory", &[9, 4, 16, 16], &vec![0.5_f32; 9 * 4 * 256]).unwrap();
    writer.latent("last", &[1, 4, 16, 16], &vec![0.5_f32; 4 * 256]).unwrap();
    writer.finish(&Metadata::builder("SD", "1.5").build().unwrap()).unwrap();
    let shown = folder.ok(&["show", "@/a.gen5", "--protocol", "blocks", "--rows", "5..7"]);
    assert!(shown.contains("shown as a whole"), "{shown}");
}

#[test]
fn what_comfyui_saved_is_scaled_for_its_preview() {
    let folder = Folder::new();
    let source = serde_json::json!([{"file": "a.latent", "layout": "comfyui", "arrays": [
        {"name": "latent_tensor", "dtype": "float32", "shape": [1, 4, 16, 16], "key": "x"}
    ]}]);
    for (name, sources) in [("plain.gen5", None), ("saved.gen5", Some(source))] {
        let mut extra = gen5::metadata::Extra::new();
        if let Some(sources) = sources {
            extra.insert("source_files", &sources).unwrap();
        }
        let mut writer = WriteOptions::new().create(folder.path(name)).unwrap();
        writer.latent("x", &[1, 4, 16, 16], &vec![2.0_f32; 4 * 256]).unwrap();
        writer.finish(&Metadata::builder("SD", "1.5").extra(extra).build().unwrap()).unwrap();
    }
    let scaled = "values scaled for it, because they are in the decoder's scale";
    for (name, is_scaled) in [("plain.gen5", false), ("saved.gen5", true)] {
        let path = format!("@/{name}");
        let shown = folder.ok(&["show", &path, "--protocol", "blocks"]);
        assert_eq!(shown.contains(scaled), is_scaled, "{name}: {shown}");
    }
}

#[test]
fn a_cache_of_musubi_tuner_is_read_as_it_says() {
    let folder = Folder::new();
    // The frames equal the channels in number, so without the cache's layout the axes would be read
    // as images.
    let shape = [16, 16, 6, 4];
    let source = serde_json::json!([{"file": "a.safetensors", "layout": "musubi", "arrays": [
        {"name": "latents_16x6x4_float32", "dtype": "float32", "shape": shape, "key": "x"},
        {"name": "latents_6x4_float32", "dtype": "float32", "shape": [16, 6, 4], "key": "y", "row": 0}
    ]}]);
    let mut extra = gen5::metadata::Extra::new();
    extra.insert("source_files", &source).unwrap();
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    writer.latent("x", &shape, &ramp(16 * 16 * 24)).unwrap();
    writer.latent("y", &[16, 16, 6, 4], &ramp(16 * 16 * 24)).unwrap();
    writer.finish(&Metadata::builder("m", "1").extra(extra).build().unwrap()).unwrap();
    let shown = folder.ok(&["show", "@/a.gen5", "--protocol", "blocks"]);
    let (x, y) = shown.split_once("\ny  ").unwrap();
    assert!(x.contains("read as channel × frame × height × width\n"), "{x}");
    assert!(y.contains("read as image × channel × height × width;"), "{y}");
    let page = folder.ok(&["report", "@/a.gen5", "-o", "-", "--no-environment-check"]);
    assert!(page.contains("Axes read as channel × frame × height × width."), "{page}");
    // Its rows are channels, not pictures.
    let shown = folder.ok(&["show", "@/a.gen5", "--protocol", "blocks", "--latent", "x", "--rows", "0..2"]);
    assert!(shown.contains("shown as a whole"), "{shown}");
}
