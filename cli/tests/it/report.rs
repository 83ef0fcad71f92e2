//! `report`: the page as text. `tests/browser` tests it in a browser.

use std::fs;
use std::io::Cursor;

use gen5::environment::Component;
use gen5::metadata::Extra;
use gen5::{Environment, Metadata, NonFinite, WriteOptions, f16};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageEncoder, ImageFormat, RgbImage};
use serde_json::json;

use crate::support::Folder;

/// Texts that try to escape from their context in HTML.
const HOSTILE: [&str; 8] = [
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned = 1\">",
    "\" onmouseover=\"window.pwned = 1",
    "' autofocus onfocus='window.pwned = 1",
    "</title></style><svg onload=window.pwned=1>",
    "<!-- --><iframe srcdoc=\"<script>parent.pwned = 1</script>\"></iframe>",
    "javascript:window.pwned=1",
    "&lt;script&gt; &amp; &#60;",
];

/// The page for these files. It must be made without messages.
fn page(folder: &Folder, words: &[&str]) -> String {
    let words = [&["report", "--no-environment-check", "-o", "-"], words].concat();
    folder.ok(&words)
}

/// Writes a file that has `text` in place of every text.
fn with_texts(folder: &Folder, name: &str, text: &str) {
    let mut extra = Extra::new();
    extra.insert(text, &json!({text: [text]})).unwrap();
    let metadata =
        Metadata::builder(text, text).date(text).prompt(text).tag(text).extra(extra).build().unwrap();
    let mut writer = WriteOptions::new().sync(false).create(folder.path(name)).unwrap();
    writer.latent(text, &[4], &[0.0_f32, 1.0, 2.0, 3.0]).unwrap();
    writer.environment(&Environment::new([Component::new(text, text)])).unwrap();
    writer.finish(&metadata).unwrap();
}

#[test]
fn a_page_tells_what_a_file_holds() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    let page = page(&folder, &["@/a.gen5"]);
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
    for text in [
        "<title>a.gen5 · gen5 report</title>",
        "<h1 id=\"file-1-title\">a.gen5</h1>",
        "a \\u{1b}[31mcat\\u{202e}",
        "<dt>seed</dt><dd dir=\"auto\">18446744073709551615</dd>",
        "<dt>note</dt><dd dir=\"auto\">free text</dd>",
        "<h3>noise</h3>",
        "<h3>final/latent</h3>",
        "float32 · 2 × 3 · 24 B · raw",
        "<dt>max</dt><dd>5.000</dd>",
        "Histogram of values from −2.000 to 5.000",
        "Stored image: image/png, 1 × 1, ",
        "alt=\"The stored image; its prompt: a \\u{1b}[31mcat\\u{202e}\"",
        "hashes verified",
        "Every payload was hashed and matches its record.",
        "It was not compared with a machine.",
        folder.ok(&["fingerprint", "@/a.gen5"]).split("  ").next().unwrap(),
    ] {
        assert!(page.contains(text), "{text:?} is not in {page}");
    }
    assert!(!page.contains(['\u{1b}', '\u{202e}']));

    let unchecked = folder.ok(&["report", "@/a.gen5", "-o", "-", "--no-environment-check", "--no-verify"]);
    assert!(unchecked.contains("hashes not checked") && !unchecked.contains("hashes verified"));
    assert!(unchecked.contains("No hashes were compared when this page was made (--no-verify)."));
}

#[test]
fn the_same_files_give_the_same_page() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    folder.sample("b.gen5");
    let first = page(&folder, &["@/a.gen5", "@/b.gen5", "@/a.gen5"]);
    for jobs in ["1", "4"] {
        assert!(page(&folder, &["@/a.gen5", "@/b.gen5", "@/a.gen5", "--jobs", jobs]) == first);
    }
}

#[test]
fn texts_of_files_are_texts() {
    let folder = Folder::new();
    for text in HOSTILE {
        with_texts(&folder, "a.gen5", text);
        with_texts(&folder, "b.gen5", text);
        for words in [&["@/a.gen5", "--title", text][..], &["@/a.gen5", "@/b.gen5", "--title", text]] {
            let page = page(&folder, words);
            let count = |part: &str| page.matches(part).count();
            assert_eq!((count("<script"), count("</script"), count("<style"), count("<title")), (1, 1, 1, 1));
            for markup in ["<iframe", "<img src=x", "<svg onload", "<!--", "href=\"javascript", "href=\"http"]
            {
                assert!(!page.contains(markup), "{text}: {markup}");
            }
            // A quotation mark inside an attribute would end it.
            assert!(!page.contains("\" onmouseover=\""), "{text}");
            let escaped =
                text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            assert!(count(&escaped) >= 8, "{text}: {page}");
        }
    }
}

#[test]
fn a_page_loads_nothing() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    let page = page(&folder, &["@/a.gen5", "@/a.gen5"]);
    assert!(page.contains("default-src 'none'; img-src data:; style-src 'sha256-"));
    for address in ["http:", "https:", "//fonts", "url(", "@import", "<link", "unsafe-inline"] {
        assert!(!page.contains(address), "{address}");
    }
    let sources = page.split("src=\"").skip(1);
    assert!(sources.clone().count() > 4);
    sources.for_each(|source| assert!(source.starts_with("data:image/"), "{}", source.get(..40).unwrap()));
}

#[test]
fn several_files_are_cards_and_one_that_is_damaged_is_one_too() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    folder.sample("b.gen5");
    let mut bytes = fs::read(folder.path("b.gen5")).unwrap();
    bytes[64] ^= 1; // in the first latent
    fs::write(folder.path("b.gen5"), bytes).unwrap();
    fs::write(folder.path("c.gen5"), "no").unwrap();
    let ran = folder.run(&[
        "report",
        "@/a.gen5",
        "@/b.gen5",
        "@/c.gen5",
        "@/none.gen5",
        "-o",
        "@/x.html",
        "--no-environment-check",
    ]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.starts_with("@/x.html: 4 files, "), "{}", ran.out);
    let messages: Vec<&str> = ran.messages.lines().collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].starts_with("gen5: @/b.gen5: chunk 0"), "{messages:?}");
    assert!(messages[1].starts_with("gen5: @/c.gen5: not a GEN5 file"), "{messages:?}");
    assert!(messages[2].starts_with("gen5: could not open @/none.gen5"), "{messages:?}");

    let page = fs::read_to_string(folder.path("x.html")).unwrap();
    assert!(page.contains("<h1 id=\"title\">4 files</h1>"));
    assert_eq!(page.matches("<li class=\"card\"").count(), 4);
    assert_eq!(page.matches("data-state=\"0\"").count(), 3);
    assert!(page.contains("1 of 4 chunks do not match their records."), "{page}");
    assert!(page.contains("href=\"#file-4\"") && page.contains("id=\"file-4\""));
    // A damaged latent is not shown as if it were intact.
    let (_, damaged) = page.split_once("id=\"file-2\"").unwrap();
    let (_, latent) = damaged.split_once("<h3>noise</h3>").unwrap();
    let (latent, _) = latent.split_once("<h3>").unwrap();
    assert!(latent.contains("damaged, and not shown") && !latent.contains("<svg"), "{latent}");
}

#[test]
fn a_page_is_replaced_only_by_force() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    fs::write(folder.path("x.html"), "mine").unwrap();
    let ran = folder.run(&["report", "@/a.gen5", "-o", "@/x.html"]);
    let message = "gen5: could not create @/x.html: it already exists; --force replaces it\n";
    assert_eq!((ran.code, &*ran.out, &*ran.messages), (1, "", message));
    assert_eq!(fs::read_to_string(folder.path("x.html")).unwrap(), "mine");
    folder.ok(&["report", "@/a.gen5", "-o", "@/x.html", "--force", "--no-environment-check"]);
    assert!(fs::read_to_string(folder.path("x.html")).unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(folder.names(), ["a.gen5", "x.html"]);

    let ran = folder.run(&["report", "@/a.gen5", "-o", "@/no/x.html", "--no-environment-check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.messages.starts_with("gen5: could not create @/no/x.html: "), "{}", ran.messages);
    assert_eq!(folder.run(&["report", "@/a.gen5"]).code, 2);
    assert_eq!(folder.run(&["report", "-o", "@/y.html"]).code, 2);
}

#[test]
fn trajectories_have_steps() {
    let folder = Folder::new();
    let mut writer = WriteOptions::new().sync(false).create(folder.path("a.gen5")).unwrap();
    let values: Vec<f16> = (0..100 * 4 * 8 * 8).map(|n| f16::from_f32((n as f32).sin())).collect();
    writer.latent("trajectory", &[100, 4, 8, 8], &values).unwrap();
    writer.finish(&Metadata::builder("SDXL", "1.0").date("2026-11-24").build().unwrap()).unwrap();
    let page = page(&folder, &["@/a.gen5"]);
    assert!(page.contains("<input type=\"range\" min=\"0\" max=\"59\" value=\"59\""), "{page}");
    assert_eq!(page.matches("<li data-label=\"step ").count(), 60);
    assert!(page.contains("data-label=\"step 0\"") && page.contains("data-label=\"step 99\""));
    assert!(page.contains("60 of 100 pictures are shown."));
    assert!(page.contains("Mean and standard deviation of each, one after the other: "));
}

#[test]
fn values_that_are_not_finite_are_counted() {
    let folder = Folder::new();
    let options = WriteOptions::new().sync(false).non_finite(NonFinite::Keep);
    let mut writer = options.create(folder.path("a.gen5")).unwrap();
    writer.latent("odd", &[2, 2], &[f32::NAN, f32::INFINITY, f32::NAN, 1.0]).unwrap();
    writer.latent("nothing", &[2, 2], &[f32::NAN; 4]).unwrap();
    writer.latent("empty", &[0, 4, 8, 8], &[0.0_f32; 0]).unwrap();
    writer.latent("scalar", &[], &[2.5_f32]).unwrap();
    writer.finish(&Metadata::builder("m", "1").date("2026-11-24").build().unwrap()).unwrap();
    let page = page(&folder, &["@/a.gen5"]);
    assert!(page.contains("<dt>NaN</dt><dd>2</dd>") && page.contains("<dt>infinite</dt><dd>1</dd>"));
    assert!(page.contains("<dt>NaN</dt><dd>4</dd>"));
    assert!(page.contains("<dt>mean</dt><dd>–</dd>"));
    assert!(page.contains("<dt>mean</dt><dd>2.500</dd>"));
}

#[test]
fn long_texts_are_cut_and_much_is_left_out() {
    let folder = Folder::new();
    let mut extra = Extra::new();
    extra.insert("workflow", &"w".repeat(2 << 20)).unwrap();
    let prompt = "p".repeat(1 << 20);
    let metadata =
        Metadata::builder("m", "1").date("2026-11-24").prompt(prompt).extra(extra).build().unwrap();
    let mut writer = WriteOptions::new().sync(false).create(folder.path("a.gen5")).unwrap();
    let noise: Vec<f32> =
        (0..4 * 128 * 128_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32).collect();
    for at in 0..120 {
        let values = if at < 20 { &noise[..] } else { &noise[..4] };
        let shape = if at < 20 { &[4, 128, 128][..] } else { &[4] };
        writer.latent(format!("latent{at}"), shape, values).unwrap();
    }
    writer.finish(&metadata).unwrap();
    let page = page(&folder, &["@/a.gen5", "--room", "1"]);
    assert!(page.len() < 3 << 20, "{}", page.len());
    assert!(page.contains("p… (1.0 MiB in all; gen5 info --json shows it)"));
    assert!(
        page.contains("There is room for 0 of 1 further members on this page; gen5 info --json shows all.")
    );
    assert!(page.contains("pictures left out to keep the page small enough."));
    assert_eq!(page.matches("Its values were not read").count(), 20);
}

#[test]
fn what_is_in_a_file_in_great_numbers_is_listed_in_part() {
    let folder = Folder::new();
    let mut builder = Metadata::builder("m".repeat(10_000), "1").date("2026-11-24");
    for at in 0..3000 {
        builder = builder.tag(format!("tag {at} {}", "t".repeat(1000)));
    }
    let mut writer = WriteOptions::new().sync(false).create(folder.path("a.gen5")).unwrap();
    for at in 0..1100 {
        writer.latent(format!("{at} {}", "k".repeat(1000)), &[1], &[1.0_f32]).unwrap();
    }
    writer.finish(&builder.build().unwrap()).unwrap();
    let page = page(&folder, &["@/a.gen5", "@/a.gen5", "--room", "1"]);
    assert!(page.len() < 4 << 20, "{}", page.len());
    assert!(
        page.contains("There is room for 1000 of 1100 latents on this page; gen5 info --json shows all.")
    );
    assert!(page.contains(" of 3000 tags on this page; gen5 info --json shows all."));
}

#[test]
fn images_are_shown_as_they_are_to_be_seen() {
    let folder = Folder::new();
    // The Exif orientation makes the left edge of these 40 x 8 pixels the top.
    let mut image = Vec::new();
    let mut encoder = JpegEncoder::new(&mut image);
    let exif = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    encoder.encode_image(&RgbImage::new(40, 8)).unwrap();
    let mut writer = WriteOptions::new().sync(false).create(folder.path("a.gen5")).unwrap();
    writer.image(&image).unwrap();
    writer.finish(&Metadata::builder("m", "1").date("2026-11-24").build().unwrap()).unwrap();
    let page = page(&folder, &["@/a.gen5", "@/a.gen5"]);
    assert_eq!(page.matches("image/jpeg, 8 × 40, ").count(), 2);
    // Two full images and two thumbnails, all rotated.
    assert_eq!(page.matches("width=\"8\" height=\"40\"").count(), 4, "{page}");
    let shown = folder.run(&["show", "@/a.gen5"]).out;
    assert!(shown.contains("image 8 × 40"), "{shown}");
}

#[test]
fn large_images_of_several_files_are_all_shown() {
    let folder = Folder::new();
    let mut image = Vec::new();
    RgbImage::new(2400, 2400).write_to(&mut Cursor::new(&mut image), ImageFormat::Png).unwrap();
    let names = ["@/a.gen5", "@/b.gen5", "@/c.gen5"];
    for name in ["a.gen5", "b.gen5", "c.gen5"] {
        let mut writer = WriteOptions::new().sync(false).create(folder.path(name)).unwrap();
        writer.image(&image).unwrap();
        writer.finish(&Metadata::builder("m", "1").date("2026-11-24").build().unwrap()).unwrap();
    }
    // Images share a memory budget. These large ones wait for it instead of being left out.
    let page = page(&folder, &names);
    assert_eq!(page.matches("class=\"thumbnail\"").count(), 3);
    assert_eq!(page.matches("image/png, 2400 × 2400, ").count(), 3);
}

#[test]
fn a_page_of_nothing_replaces_none() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    folder.ok(&["report", "@/a.gen5", "-o", "@/x.html"]);
    let before = fs::read(folder.path("x.html")).unwrap();
    fs::create_dir(folder.path("empty")).unwrap();
    let ran = folder.run(&["report", "-r", "@/empty", "@/no-*.gen5", "-o", "@/x.html", "--force"]);
    let told = "gen5: there is no .gen5 file below @/empty\ngen5: nothing matches @/no-*.gen5\n";
    assert_eq!((ran.code, &*ran.out, &*ran.messages), (1, "", told));
    assert_eq!(fs::read(folder.path("x.html")).unwrap(), before);
}

#[test]
fn a_page_is_not_for_a_terminal() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let ran = folder.run_on_terminal(&["report", "@/run.gen5", "-o", "-"]);
    assert_eq!((ran.code, &*ran.out), (2, ""));
    assert!(ran.messages.contains("a page is for a browser, and would flood the terminal"), "{ran:?}");
}
