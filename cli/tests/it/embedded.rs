//! Text embedded in images: samples of each program and container, and hostile input.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gen5_cli::embedded::{self, Embedded, Generation, Text};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::images::{
    ASCII, BYTE, Order, UNDEFINED, USER_COMMENT, deflated, itxt, jpeg, jpeg_with_exif, png, png_chunk,
    png_with, profile, segment, text, tiff, webp, webp_chunk, ztxt,
};
use crate::support::names;

/// Text as AUTOMATIC1111 writes it, with letters outside ASCII.
const A1111: &str =
    "a café, 夜\nNegative prompt: rain\nSteps: 20, Sampler: Euler a, CFG scale: 7.50, Seed: 9";

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image_text")
}

/// The texts of a sample. With a keyword, the file is that one text; otherwise it is a JSON object
/// of texts.
fn sample(name: &str, keyword: Option<&str>) -> Vec<(String, String)> {
    let content = fs::read_to_string(data().join(name)).unwrap();
    match keyword {
        Some(keyword) => vec![(keyword.to_owned(), content)],
        None => {
            let texts: serde_json::Map<String, Value> = serde_json::from_str(&content).unwrap();
            texts.into_iter().map(|(keyword, text)| (keyword, text.as_str().unwrap().to_owned())).collect()
        }
    }
}

fn as_json(found: &Generation) -> Value {
    json!({
        "generator": found.generator, "prompt": found.prompt, "model": found.model_name, "tags": found.tags,
        "settings": found.settings().unwrap(),
    })
}

#[test]
fn samples_say_what_the_table_says() {
    let table: serde_json::Map<String, Value> =
        serde_json::from_str(&fs::read_to_string(data().join("expected.json")).unwrap()).unwrap();
    let mut files: BTreeSet<String> = names(&data()).into_iter().collect();
    assert!(files.remove("expected.json"));
    assert_eq!(files, table.keys().cloned().collect(), "every sample is in the table");
    assert!(files.len() >= 30);
    for (name, expected) in &table {
        let mut expected = expected.clone();
        let keyword = expected.as_object_mut().unwrap().remove("keyword");
        let texts = sample(name, keyword.as_ref().and_then(Value::as_str));
        let texts: Vec<(&str, &str)> =
            texts.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        let Embedded { texts: kept, generation, problems } = embedded::read(&png(&texts));
        assert_eq!(problems, [""; 0], "{name}");
        let kept: Vec<(&str, &str)> = kept.iter().map(|kept| (&*kept.keyword, &*kept.text)).collect();
        assert_eq!(kept, texts, "{name}");
        let generation = generation.unwrap_or_else(|| panic!("{name} was not understood"));
        assert_eq!(as_json(&generation), expected, "{name}");
    }
}

/// Images as programs write them, with the values that are expected; `null` is a value that must be
/// absent.
#[test]
fn cases_of_real_images_come_out_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image_cases");
    let table = fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    let mut files: BTreeSet<String> = names(&folder).into_iter().collect();
    assert!(files.remove("cases.jsonl"));
    for line in table.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        let file = case["file"].as_str().unwrap();
        files.remove(file);
        let Embedded { texts, generation, .. } = embedded::read(&fs::read(folder.join(file)).unwrap());
        let found = generation.as_ref().map_or(Value::Null, as_json);
        let expected = case["expected"].as_object().unwrap();
        for (member, of_found) in [("prompt", "prompt"), ("model_name", "model"), ("tags", "tags")] {
            if let Some(value) = expected.get(member) {
                assert_eq!(&found[of_found], value, "{id}: {member}");
            }
        }
        for (name, value) in expected.get("settings").and_then(Value::as_object).into_iter().flatten() {
            let setting = &found["settings"][name];
            // A float that is whole equals the integer.
            let is_equal = setting == value
                || setting.as_f64().zip(value.as_f64()).is_some_and(|(setting, value)| setting == value);
            assert!(is_equal, "{id}: {name} is {setting} in place of {value}");
        }
        if let Some(prompts) = expected.get("prompt_one_of").and_then(Value::as_array) {
            assert!(prompts.contains(&found["prompt"]), "{id}: {}", found["prompt"]);
        }
        let one_of = expected.get("setting_one_of").and_then(Value::as_object);
        for (name, values) in one_of.into_iter().flatten() {
            let setting = &found["settings"][name];
            assert!(values.as_array().unwrap().contains(setting), "{id}: {name} is {setting}");
        }
        for keyword in expected.get("image_text_has").and_then(Value::as_array).into_iter().flatten() {
            assert!(texts.iter().any(|text| text.keyword == *keyword), "{id}: {keyword}");
        }
    }
    assert_eq!(files, BTreeSet::new(), "every image is in the table");
}

/// Checks that an image contains A1111's text under this keyword, and no other text.
fn finds_a1111(image: &[u8], keyword: &str) {
    let found = embedded::read(image);
    assert_eq!(found.problems, [""; 0]);
    assert_eq!(found.texts, [Text { keyword: keyword.into(), text: A1111.into() }]);
    assert_eq!(found.generation.unwrap().seed, Some(9));
}

#[test]
fn chunks_of_a_png_are_read_wherever_they_stand() {
    for chunk in [
        text("parameters", A1111.as_bytes()),
        ztxt("parameters", A1111.as_bytes()),
        itxt(("parameters", A1111), false),
        itxt(("parameters", A1111), true),
        png_chunk(b"comf", &[b"parameters\0", A1111.as_bytes()].concat()),
    ] {
        finds_a1111(&png_with(std::slice::from_ref(&chunk), &[]), "parameters");
        finds_a1111(&png_with(&[], &[chunk]), "parameters");
    }
    let exif = tiff(Order::Little, &[], &[(USER_COMMENT, UNDEFINED, &Order::Little.utf16(A1111))]);
    let with_prefix = [b"Exif\0\0", &exif[..]].concat();
    for exif in [exif, with_prefix] {
        finds_a1111(&png_with(&[png_chunk(b"eXIf", &exif)], &[]), "UserComment");
        for (keyword, name) in [
            ("Raw profile type exif", "exif"),
            ("Raw profile type EXIF", "exif"),
            ("Raw profile type APP1", "app1"),
        ] {
            let spelled = profile(name, &exif);
            let is_exif = name == "exif" || exif.starts_with(b"Exif");
            for chunk in [text(keyword, &spelled), ztxt(keyword, &spelled)] {
                let image = png_with(&[chunk], &[]);
                if is_exif {
                    finds_a1111(&image, "UserComment");
                } else {
                    assert_eq!(embedded::read(&image).texts[0].keyword, keyword);
                }
            }
        }
    }
}

#[test]
fn profiles_that_are_not_exif_are_text_or_reported() {
    let xmp = profile("app1", b"http://ns.adobe.com/xap/1.0/\0<x/>");
    let found = embedded::read(&png_with(&[ztxt("Raw profile type APP1", &xmp)], &[]));
    assert_eq!((found.texts.len(), found.problems), (1, vec![]));
    assert_eq!(found.texts[0].text.as_bytes(), xmp);

    let exif = tiff(Order::Big, &[(0x010f, ASCII, b"maker\0")], &[]);
    let whole = profile("exif", &exif);
    let longer = [&whole[..], b"00\n00"].concat();
    let found = embedded::read(&png_with(&[ztxt("Raw profile type exif", &longer)], &[]));
    assert_eq!((found.texts.len(), found.problems), (1, vec![]));
    let broken: [&[u8]; 7] = [
        b"",
        b"\nexif\n",
        b"\nexif\n99999999999999999999999\n00\n",
        b"\nexif\n-1\n00\n",
        b"\nexif\n2\n000\n",
        b"\nexif\n2\nxx00\n",
        &whole[..whole.len() - 3],
    ];
    for content in broken {
        let found = embedded::read(&png_with(&[ztxt("Raw profile type exif", content)], &[]));
        assert_eq!((found.texts.len(), found.problems.len()), (0, 1), "{content:?}");
        assert!(found.problems[0].ends_with("is malformed; not read"), "{:?}", found.problems);
    }
    let other = profile("exif", b"no Exif");
    let found = embedded::read(&png_with(&[text("Raw profile type exif", &other)], &[]));
    assert_eq!((found.texts.len(), found.problems.len()), (0, 1), "{:?}", found.problems);
}

#[test]
fn text_of_a_png_may_be_latin1() {
    let image = png_with(&[png_chunk(b"tEXt", b"clich\xe9\0caf\xe9")], &[]);
    assert_eq!(embedded::read(&image).texts, [Text { keyword: "cliché".into(), text: "café".into() }]);
}

#[test]
fn exif_is_read_in_either_order_and_every_encoding() {
    let utf8 = [b"ASCII\0\0\0", A1111.as_bytes()].concat();
    let undefined = [&[0; 8], A1111.as_bytes()].concat();
    let with_mark = [&b"UNICODE\0\xff\xfe"[..], &Order::Little.utf16(A1111)[8..]].concat();
    let comments = [
        Order::Little.utf16(A1111),
        Order::Big.utf16(A1111),
        with_mark,
        utf8,
        undefined,
        [A1111.as_bytes(), b"\0\0"].concat(),
        // UTF-8, as Exif 3.0 requires, and under a label of another encoding.
        [b"UNICODE\0", A1111.as_bytes()].concat(),
        [b"UNICODE\0", A1111.as_bytes(), b"\0\0\0"].concat(),
        [b"JIS\0\0\0\0\0", A1111.as_bytes(), b"\0"].concat(),
        [&Order::Little.utf16(A1111)[..], &[0; 4]].concat(),
    ];
    for order in [Order::Little, Order::Big] {
        for comment in &comments {
            let in_exif = tiff(order, &[], &[(USER_COMMENT, UNDEFINED, comment)]);
            let in_first = tiff(order, &[(USER_COMMENT, ASCII, comment)], &[]);
            for exif in [in_exif, in_first] {
                finds_a1111(&jpeg_with_exif(&exif), "UserComment");
                finds_a1111(&webp(&[webp_chunk(b"EXIF", &exif)]), "UserComment");
                finds_a1111(&webp(&[webp_chunk(b"EXIF", &[b"Exif\0\0", &exif[..]].concat())]), "UserComment");
            }
        }
    }
    // Without a zero byte, the text has the byte order of the TIFF structure.
    let exif = tiff(Order::Big, &[], &[(USER_COMMENT, UNDEFINED, &Order::Big.utf16("夜港"))]);
    assert_eq!(embedded::read(&jpeg_with_exif(&exif)).texts[0].text, "夜港");
}

#[test]
fn comments_without_zero_bytes_have_the_order_that_gives_text() {
    let text = "夜晚的港口，远处有一座灯塔";
    for structure in [Order::Little, Order::Big] {
        for order in [Order::Little, Order::Big] {
            let exif = tiff(structure, &[], &[(USER_COMMENT, UNDEFINED, &order.utf16(text))]);
            assert_eq!(embedded::read(&jpeg_with_exif(&exif)).texts[0].text, text);
        }
        // ISO-2022-JP and Shift-JIS.
        for spelled in [&b"JIS\0\0\0\0\0\x1b$BLk$N9A\x1b(B"[..], b"JIS\0\0\0\0\0\x96\xe9\x82\xcc\x8d`"] {
            let exif = tiff(structure, &[], &[(USER_COMMENT, UNDEFINED, spelled)]);
            assert_eq!(embedded::read(&jpeg_with_exif(&exif)).texts[0].text, "夜の港");
        }
    }
}

#[test]
fn fields_of_windows_are_little_endian() {
    // The zero byte of the last letter, a second zero byte, and none.
    for end in [&[0, 0][..], &[0], &[]] {
        for order in [Order::Little, Order::Big] {
            for (tag, keyword) in
                [(0x9c9b, "XPTitle"), (0x9c9c, "XPComment"), (0x9c9e, "XPKeywords"), (0x9c9f, "XPSubject")]
            {
                let value = [&Order::Little.utf16(A1111)[8..], end].concat();
                let exif = tiff(order, &[(tag, BYTE, &value)], &[]);
                finds_a1111(&jpeg_with_exif(&exif), keyword);
                // Even where the other order is text as well: 一 is N.
                let value = &Order::Little.utf16("一")[8..];
                let exif = tiff(order, &[(tag, BYTE, value)], &[]);
                assert_eq!(embedded::read(&jpeg_with_exif(&exif)).texts[0].text, "一");
            }
        }
    }
}

#[test]
fn marks_and_line_ends_do_not_keep_text_from_being_understood() {
    for text in [
        format!("\u{feff}{A1111}"),
        A1111.replace('\n', "\r"),
        A1111.replace('\n', "\r\n"),
        format!("\u{feff}{}\r", A1111.replace('\n', "\r")),
    ] {
        let comment = [b"ASCII\0\0\0", text.as_bytes()].concat();
        let labelled = [b"UNICODE\0", text.as_bytes()].concat();
        for image in [
            png(&[("parameters", &text)]),
            jpeg_with_exif(&tiff(Order::Big, &[], &[(USER_COMMENT, UNDEFINED, &comment)])),
            jpeg_with_exif(&tiff(Order::Big, &[], &[(USER_COMMENT, UNDEFINED, &labelled)])),
        ] {
            let found = embedded::read(&image);
            assert_eq!(found.texts[0].text, text, "it is kept as it is");
            let plain = embedded::read(&png(&[("parameters", A1111)]));
            assert_eq!(found.generation, plain.generation, "{text:?}");
            assert!(found.generation.is_some());
        }
    }
    let graph = format!("\u{feff}{}\0", fs::read_to_string(data().join("comfyui_default.json")).unwrap());
    assert!(embedded::read(&png(&[("prompt", &graph)])).generation.is_some());
}

#[test]
fn a_webp_ends_where_its_header_says() {
    let exif = tiff(Order::Little, &[], &[(USER_COMMENT, UNDEFINED, A1111.as_bytes())]);
    let image = webp(&[webp_chunk(b"EXIF", &exif)]);
    for more in [&b"\0"[..], b"more than a chunk's header", &webp_chunk(b"EXIF", &exif)] {
        finds_a1111(&[&image[..], more].concat(), "UserComment");
    }
    // The header says more than there is, though every chunk is whole.
    let mut longer = image.clone();
    let size = u32::try_from(image.len()).unwrap();
    longer[4..8].copy_from_slice(&size.to_le_bytes());
    let found = embedded::read(&longer);
    assert_eq!(found.problems, [format!("cut short at byte {size}; any text after it is missing")]);
    assert_eq!(found.generation.unwrap().seed, Some(9));
    let found = embedded::read(&image[..image.len() - 20]);
    assert_eq!((found.texts.len(), found.problems.len()), (0, 1));
    assert!(found.problems[0].starts_with("cut short at byte "), "{:?}", found.problems);
    // A chunk that is longer than the image.
    let mut damaged = image.clone();
    damaged[16] = 0xff;
    damaged[18] = 0xff;
    let found = embedded::read(&damaged);
    assert_eq!(found.problems, ["damaged at byte 12; any text after it is missing"]);
    for size in [0, 3, u32::MAX] {
        damaged[4..8].copy_from_slice(&u32::to_le_bytes(size));
        assert!(embedded::read(&damaged).texts.is_empty());
    }
}

#[test]
fn other_fields_and_comments_are_read() {
    finds_a1111(&jpeg(&[segment(0xfe, A1111.as_bytes())]), "Comment");
    let graph = fs::read(data().join("comfyui_exif.txt")).unwrap();
    let fields =
        [(0x010f, ASCII, &b"\0\0\0\0workflow:{}\0"[..]), (0x0110, ASCII, &graph), (0x0131, ASCII, b"me\0")];
    let found = embedded::read(&webp(&[webp_chunk(b"EXIF", &tiff(Order::Little, &fields, &[]))]));
    let keywords: Vec<_> = found.texts.iter().map(|text| text.keyword.as_str()).collect();
    assert_eq!(keywords, ["Make", "Model", "Software"]);
    assert_eq!((found.texts[0].text.as_str(), found.texts[2].text.as_str()), ("workflow:{}", "me"));
    assert_eq!(found.generation.unwrap().seed, Some(12));
}

#[test]
fn of_several_texts_the_one_that_is_understood_counts() {
    let found = embedded::read(&png(&[("Software", "Paint"), ("workflow", "{\"nodes\": []}"), ("x", A1111)]));
    assert_eq!((found.texts.len(), found.generation.unwrap().generator.as_str()), (3, "AUTOMATIC1111"));
    let found = embedded::read(&png(&[("Software", "Paint")]));
    assert_eq!((found.texts.len(), found.generation), (1, None));
    assert!(embedded::read(b"GIF89a").texts.is_empty());
    assert!(embedded::read(b"").texts.is_empty());
}

#[test]
fn line_breaks_are_those_of_any_system() {
    let text = "a\nb\nNegative prompt: c\nSteps: 12.0, Sampler: Euler, Seed: 5";
    for text in
        [text.to_owned(), format!("\u{feff}{text}"), text.replace('\n', "\r\n"), text.replace('\n', "\r")]
    {
        let found = embedded::understand(&[Text { keyword: "parameters".into(), text }]).unwrap();
        assert_eq!((found.prompt.as_deref(), found.steps), (Some("a\nb"), Some(12)));
        assert_eq!((found.negative_prompt.as_deref(), found.seed), (Some("c"), Some(5)));
    }
}

#[test]
fn a_chunk_with_a_wrong_crc_is_not_read() {
    let mut chunk = text("parameters", A1111.as_bytes());
    chunk[20] ^= 1;
    let found = embedded::read(&png_with(&[chunk, text("Title", b"t")], &[]));
    assert_eq!(found.problems, ["text chunk at byte 33 has a wrong CRC; not read"]);
    assert_eq!((found.texts.len(), found.generation), (1, None));
}

#[test]
fn malformed_chunks_are_told_and_others_read() {
    let broken = [
        png_chunk(b"tEXt", b"no keyword"),
        png_chunk(b"tEXt", b"\0text"),
        png_chunk(b"zTXt", b"k\0\x01x"),
        png_chunk(b"zTXt", b"k\0"),
        png_chunk(b"iTXt", b"k\0\x02\0\0\0x"),
        png_chunk(b"iTXt", b"k\0\0\0no end"),
        png_chunk(b"zTXt", b"k\0\0no stream"),
        // A truncated stream gives no text, not half of it.
        png_chunk(b"zTXt", &[b"k\0\0", &deflated(A1111.as_bytes())[..20]].concat()),
        png_chunk(b"eXIf", b"II\x2b\0"),
    ];
    let found = embedded::read(&png_with(&broken, &[text("parameters", A1111.as_bytes())]));
    assert_eq!(found.problems.len(), broken.len(), "{:?}", found.problems);
    assert!(found.problems.iter().all(|problem| problem.contains("not read")), "{:?}", found.problems);
    assert_eq!((found.texts.len(), found.generation.unwrap().seed), (1, Some(9)));
}

#[test]
fn an_image_that_is_cut_short_gives_what_is_whole() {
    let exif =
        tiff(Order::Big, &[(0x010f, ASCII, b"maker\0")], &[(USER_COMMENT, UNDEFINED, A1111.as_bytes())]);
    for image in [
        png_with(&[text("parameters", A1111.as_bytes()), ztxt("b", b"b")], &[png_chunk(b"eXIf", &exif)]),
        jpeg(&[segment(0xe1, &[b"Exif\0\0", &exif[..]].concat()), segment(0xfe, b"c")]),
        webp(&[webp_chunk(b"EXIF", &exif)]),
    ] {
        let whole = embedded::read(&image).texts;
        for length in 0..image.len() {
            for text in embedded::read(&image[..length]).texts {
                assert!(whole.contains(&text), "{text:?} at {length}");
            }
        }
    }
    let found = embedded::read(&png_with(&[text("a", b"b")], &[])[..60]);
    assert_eq!((found.texts.len(), found.problems.len()), (1, 1));
    assert!(found.problems[0].starts_with("cut short at byte "), "{:?}", found.problems);
}

#[test]
fn bombs_and_large_texts_are_not_read() {
    let bomb = vec![b' '; embedded::MAX_TEXT_BYTES + 1];
    for chunk in [ztxt("a", &bomb), text("a", &bomb), itxt(("a", str::from_utf8(&bomb).unwrap()), true)] {
        let found = embedded::read(&png_with(&vec![chunk; 3], &[]));
        assert_eq!((found.texts.len(), found.problems.len()), (0, 3), "{:?}", found.problems);
        assert!(found.problems[0].contains("(16 MiB)"), "{:?}", found.problems);
    }
    // Decompressed text that does not fit as JSON, or is a profile, also takes its room.
    let control = vec![1; embedded::MAX_TEXT_BYTES / 2];
    let spelled = profile("exif", &vec![0; embedded::MAX_TEXT_BYTES / 4]);
    for chunk in [ztxt("a", &control), ztxt("Raw profile type exif", &spelled)] {
        let start = std::time::Instant::now();
        let found = embedded::read(&png_with(&vec![chunk; 900], &[text("parameters", &[b' '; 9_000_000])]));
        assert_eq!((found.texts.len(), found.problems.len()), (0, embedded::MAX_PROBLEMS + 1));
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
    // Two texts of almost half the limit each fit, a third one does not.
    let half = vec![b' '; embedded::MAX_TEXT_BYTES / 2 - 10];
    let found = embedded::read(&png_with(&vec![text("a", &half); 3], &[]));
    assert_eq!((found.texts.len(), found.problems.len()), (2, 1));
}

#[test]
fn a_million_chunks_are_gone_through_and_not_kept() {
    let image = png_with(&[text("a", b"b").repeat(1_000_000)], &[]);
    let found = embedded::read(&image);
    assert_eq!((found.texts.len(), found.problems.len()), (embedded::MAX_TEXTS, 1));
    let others =
        png_with(&[png_chunk(b"prVt", b"").repeat(1_000_000), text("parameters", A1111.as_bytes())], &[]);
    assert_eq!(embedded::read(&others).generation.unwrap().seed, Some(9));
    let comments = jpeg(&vec![segment(0xfe, b"c"); embedded::MAX_TEXTS + 1]);
    assert_eq!(embedded::read(&comments).texts.len(), embedded::MAX_TEXTS);
    let mut wrong = text("a", b"b");
    wrong[9] ^= 1;
    let found = embedded::read(&png_with(&[wrong.repeat(100)], &[]));
    assert_eq!(found.problems.len(), embedded::MAX_PROBLEMS + 1);
    assert_eq!(found.problems.last().unwrap(), "80 more problems with its text");
}

#[test]
fn a_field_of_exif_is_read_once() {
    let comment = |text: &'static [u8]| (USER_COMMENT, UNDEFINED, text);
    let exif = tiff(Order::Big, &[comment(b"first"), comment(b"second")], &[comment(b"third")]);
    let texts = embedded::read(&jpeg_with_exif(&exif)).texts;
    assert_eq!(texts, [Text { keyword: "UserComment".into(), text: "first".into() }]);
}

#[test]
fn exif_that_loops_or_lies_ends() {
    // The Exif pointer leads back to the first directory.
    let mut circle = tiff(Order::Little, &[(USER_COMMENT, UNDEFINED, A1111.as_bytes())], &[]);
    let pointer = 8 + 2 + 12 + 8;
    circle[pointer..pointer + 4].copy_from_slice(&8_u32.to_le_bytes());
    finds_a1111(&jpeg_with_exif(&circle), "UserComment");
    // A count of 2^32 - 1, and one that reaches past the end.
    for count in [u32::MAX, 1000] {
        let mut lie = tiff(Order::Little, &[(USER_COMMENT, UNDEFINED, A1111.as_bytes())], &[]);
        lie[14..18].copy_from_slice(&count.to_le_bytes());
        let found = embedded::read(&jpeg_with_exif(&lie));
        assert_eq!((found.texts.len(), found.problems.len()), (0, 1), "{:?}", found.problems);
        assert!(found.problems[0].contains("UserComment lies outside"), "{:?}", found.problems);
    }
    // A directory that claims 65,535 entries and holds one.
    let mut many = tiff(Order::Little, &[(0x010f, ASCII, b"me\0")], &[]);
    many[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    let found = embedded::read(&jpeg_with_exif(&many));
    assert_eq!((found.texts.len(), found.problems.len()), (1, 1), "{:?}", found.problems);
}

#[test]
fn json_that_is_too_deep_is_kept_as_text() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{{\"prompt\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
        let found =
            embedded::read(&png(&[("prompt", &deep), ("parameters", &deep), ("invokeai_metadata", &deep)]));
        assert_eq!((found.texts.len(), found.generation), (3, None));
    }
    // A value that is nested too deeply does not discard the others.
    let deep = format!(
        r#"{{"positive_prompt": "a", "steps": 5, "app_version": "4", "x": {}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let found = embedded::read(&png(&[("invokeai_metadata", &deep)])).generation.unwrap();
    assert_eq!((found.steps, found.more.len()), (Some(5), 1));
}

/// Text that often contains the words and characters the parsers look for.
fn text_like_theirs() -> impl Strategy<Value = String> {
    let pieces = "Steps: 20, |[ .\n]Steps: 3, Sampler: a, Seed: 8|Size: 8x8, |<lyco:a|Hashes: \\{\"lora:|LoRA networks: \"|\
        Version: stable-diffusion.cpp|Civitai resources: \\[\\{\"type\": |\"checkpoint\"|\"modelName\": |\
        \"sui_image_params\": |\"loras\": |\"c\": |\"v2\": |\"real_prompt\": |\"cfg\": |\"l1\": |<exif:UserComment|&quot;|\
        \"use_stable_diffusion_model\": |\"num_inference_steps\": |\"use_lora_model\": |\"lora_alpha\": |\r|Seed: 7, |Sampler: |Negative prompt: |Template: |<lora:|prompt:|\"class_type\": |\
        \"inputs\": |\"KSampler\"|\\[\"1\", 0\\]|\"positive_prompt\": |\"uc\": |\"image\": |\"base_model\": |\
        \"Comment\": |\"steps\": |\"seed\": |\"Sampler\": |\"eta\": |Guidance: |Eta: |\"deterministic\": |[{}\\[\\]\",:0-9 \\\\\n-]|NaN|\\PC";
    proptest::string::string_regex(&format!("({pieces}){{0,60}}")).unwrap()
}

/// Images of each kind, some with valid text and some with arbitrary bytes in its place.
fn images(text_inside: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let exif = tiff(Order::Big, &[], &[(USER_COMMENT, UNDEFINED, text_inside.as_bytes())]);
    let labelled = |label: &[u8; 8], text: &[u8]| {
        tiff(Order::Big, &[], &[(USER_COMMENT, UNDEFINED, &[&label[..], text].concat())])
    };
    vec![
        png_with(&[text("parameters", bytes), png_chunk(b"zTXt", bytes), png_chunk(b"iTXt", bytes)], &[]),
        png(&[("Comment", text_inside), ("Software", "NovelAI")]),
        jpeg_with_exif(&exif),
        jpeg_with_exif(bytes),
        webp(&[webp_chunk(b"EXIF", bytes)]),
        png_with(&[png_chunk(b"comf", bytes), text("Raw profile type exif", bytes)], &[]),
        png_with(&[text("Raw profile type APP1", &profile("app1", bytes))], &[]),
        jpeg_with_exif(&tiff(Order::Little, &[(0x9c9c, BYTE, bytes)], &[])),
        jpeg_with_exif(&labelled(b"UNICODE\0", bytes)),
        jpeg_with_exif(&labelled(b"JIS\0\0\0\0\0", bytes)),
    ]
}

/// Metadata with everything that was found, completed with the required members.
fn metadata_with(found: &Generation) -> gen5::Result<gen5::Metadata> {
    let mut settings = found.settings()?;
    for (name, value) in [("seed", "1"), ("steps", "1"), ("sampler", "\"s\"")] {
        if settings.get(name).is_none() {
            settings.insert_json(name, value)?;
        }
    }
    let mut model_info = gen5::metadata::Extra::new();
    for name in ["model_name", "version", "date", "prompt"] {
        model_info.insert(name, &found.prompt.as_deref().unwrap_or_default())?;
    }
    model_info.insert("tags", &found.tags)?;
    model_info.insert("generation_settings", &settings)?;
    gen5::Metadata::from_json(&serde_json::to_string(&model_info).unwrap())
}

#[test]
fn settings_are_valid_whatever_the_names_are() {
    let text = r#"{"positive_prompt": "a", "Seed": "b", "STEPS": 0.5, "Cfg Scale": -1, "eta": "c", "Guidance": 1,
        "precision": [], "deterministic": 1, "Sampler": {}, "scheduler": 7, "model": {"name": {}}}"#;
    let found = embedded::read(&png(&[("invokeai_metadata", text)])).generation.unwrap();
    metadata_with(&found).unwrap();
    let settings = found.settings().unwrap();
    let others = [("eta_text", "\"c\""), ("guidance_number", "1"), ("deterministic_number", "1")];
    assert_eq!(settings.iter().collect::<Vec<_>>(), [&[("sampler", "\"7\"")], &others[..]].concat());
}

/// Texts of a megabyte that a careless parser would scan repeatedly.
#[test]
fn text_that_is_made_to_take_long_does_not() {
    let spaces = format!("Steps: {}{}\nTemplate: x", "a,".repeat(100_000), " ".repeat(1_000_000));
    let comment = format!("{{{}\"steps\":1,\"sampler\":\"x\"}}", "\"a\":1,".repeat(150_000));
    let mut texts = vec![("Comment", comment.as_str())];
    texts.extend([("x", "{}"); 900]);
    let repeated = |piece: &str| piece.repeat(2_000_000 / piece.len());
    let hostile = [
        repeated("Steps: 1 "),
        repeated("Steps: 1,\n"),
        repeated(" Steps: 1, Sampler: a, Seed: 2,"),
        repeated("\nSteps: 1, Sampler: a, Seed: 2, a: \"\\\""),
        repeated("Seed: 2,\nSampler: a, Size: \""),
        repeated("Negative prompt: "),
        repeated("\nNegative prompt: .Negative prompt:"),
        repeated("<lora:a:<lyco:b"),
        format!("Steps: 1, Seed: 2, a: {}", repeated("[\",A: [")),
        format!("Steps: 1, Seed: 2, Hashes: {{{}\"a\": 1}}", repeated("\"lora:a\": \"b\",")),
        format!("Steps: 1, Sampler: a, Seed: 2, {}", repeated("AddNet Model 1: a, ")),
        format!("<exif:UserComment>{{{}", repeated("&quot;&amp;{")),
        format!("{{\"c\": {}", repeated("{\"v2\": ")),
        format!("{{\"sui_image_params\": {{\"seed\": 1, \"loras\": \"{}\"}}}}", repeated("a,")),
    ];
    let mut images = vec![png(&[("parameters", &spaces)]), png(&texts)];
    images.extend(hostile.iter().map(|text| png(&[("parameters", text)])));
    let lists = repeated("'a', ");
    let lists = [
        ("use_stable_diffusion_model", "a"),
        ("guidance_scale", "1"),
        ("use_lora_model", &format!("[{lists}")),
    ];
    images.push(png(&lists));
    for image in images {
        let start = std::time::Instant::now();
        embedded::read(&image);
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }
}

/// A graph of 2,000 nodes whose first node is a sampler. `node` makes each of the others from its
/// number and the name of the next one.
fn graph_of_2000_nodes(node: impl Fn(usize, &str) -> Value) -> String {
    let sampler = json!({
        "class_type": "KSampler",
        "inputs": {
            "model": ["1", 0], "positive": ["1", 0], "negative": ["1", 0], "latent_image": ["1", 0],
            "seed": 5, "steps": ["1", 0], "sampler_name": ["1", 0], "cfg": ["1", 0],
        },
    });
    let others = (1..2000).map(|number| (number.to_string(), node(number, &(number + 1).to_string())));
    let mut nodes: serde_json::Map<String, Value> = others.collect();
    nodes.insert("0".into(), sampler);
    Value::Object(nodes).to_string()
}

#[test]
fn graphs_of_2000_nodes_take_less_than_50_ms() {
    let node = |class: &str, inputs: Value| json!({"class_type": class, "inputs": inputs});
    let fan = |number: usize, prefix: &str, count: usize| -> serde_json::Map<String, Value> {
        let next = |at: usize| json!([(number + at).to_string(), 0]);
        (1..=count).map(|at| (format!("{prefix}{at}"), next(at))).collect()
    };
    let graphs = [
        ("reroutes", graph_of_2000_nodes(|_, next| node("Reroute", json!({"": [next, 0]})))),
        (
            "LoRAs",
            graph_of_2000_nodes(|number, next| {
                let inputs =
                    json!({"model": [next, 0], "lora_name": format!("{number}"), "strength_model": 1});
                node("LoraLoaderModelOnly", inputs)
            }),
        ),
        (
            "conditioning, each of two",
            graph_of_2000_nodes(|number, _| {
                node("ConditioningCombine", fan(number, "conditioning_", 2).into())
            }),
        ),
        (
            "conditioning, each of ten",
            graph_of_2000_nodes(|number, _| {
                node("ConditioningMulti", fan(number, "conditioning_", 10).into())
            }),
        ),
        (
            "texts, each of the next one twice",
            graph_of_2000_nodes(|number, next| match number {
                1 => node("CLIPTextEncode", json!({"text": [next, 0]})),
                1990.. => node("String", json!({"text": "sea"})),
                _ => node("StringConcatenate", json!({"string_a": [next, 0], "string_b": [next, 0]})),
            }),
        ),
        (
            "texts, each of the next one twice, at the depth that is still joined",
            graph_of_2000_nodes(|number, next| match number {
                1 => node("CLIPTextEncode", json!({"text": [next, 0]})),
                30.. => node("String", json!({"text": "sea"})),
                _ => node("StringConcatenate", json!({"string_a": [next, 0], "string_b": [next, 0]})),
            }),
        ),
        (
            "samplers",
            graph_of_2000_nodes(|_, next| {
                let link = json!([next, 0]);
                let inputs = json!({
                    "model": link, "positive": link, "negative": link, "latent_image": link, "seed": link,
                    "steps": link, "sampler_name": link,
                });
                node("KSampler", inputs)
            }),
        ),
        (
            "switches",
            graph_of_2000_nodes(|number, _| node("Any Switch (rgthree)", fan(number, "any_", 10).into())),
        ),
        ("pipes", graph_of_2000_nodes(|_, next| node("FromBasicPipe", json!({"basic_pipe": [next, 0]})))),
        (
            "one ring",
            graph_of_2000_nodes(|number, _| {
                node("Reroute", json!({"": [(number % 1999 + 1).to_string(), 0]}))
            }),
        ),
        ("inputs", graph_of_2000_nodes(|number, _| node("Other", fan(number, "x", 10).into()))),
    ];
    // Without optimization and beside other tests, it takes up to twenty times as long.
    let most = if cfg!(debug_assertions) { 1000 } else { 50 };
    for (name, graph) in &graphs {
        let image = png(&[("prompt", graph)]);
        // The shortest of several tries: other programs only make it longer.
        let time = (0..5).map(|_| {
            let start = std::time::Instant::now();
            assert_eq!(embedded::read(&image).texts.len(), 1);
            start.elapsed()
        });
        let time = time.min().unwrap();
        assert!(time.as_millis() < most, "{name}: {time:?}");
    }
}

/// Texts whose keywords are names of settings.
fn separate_texts() -> impl Strategy<Value = Vec<Text>> {
    let keywords = [
        "prompt",
        "seed",
        "use_stable_diffusion_model",
        "num_inference_steps",
        "guidance_scale",
        "use_lora_model",
        "lora_alpha",
        "sampler_name",
        "eta",
        "guidance",
        "Stable Diffusion model",
        "Steps",
        "LoRA model",
        "Prompt",
    ];
    let text = "(['\"\\[\\],\\\\ ]|None|1|0|a|[0-9.]{1,4}|\\PC){0,20}";
    let text = (prop::sample::select(keywords.to_vec()), proptest::string::string_regex(text).unwrap());
    prop::collection::vec(text.prop_map(|(keyword, text)| Text { keyword: keyword.into(), text }), 0..12)
}

proptest! {
    #[test]
    fn settings_in_separate_texts_are_valid(texts in separate_texts()) {
        if let Some(generation) = Embedded::of(&texts).generation {
            prop_assert!(metadata_with(&generation).is_ok(), "{:?}", metadata_with(&generation));
        }
    }

    /// Objects of the formats that are JSON, with any values.
    #[test]
    fn settings_of_any_object_are_valid(
        marks in prop::sample::select(vec![
            r#""c": "a", "uc": "b""#, r#""real_prompt": "a", "base_model": "b""#,
            r#""use_stable_diffusion_model": "a""#, r#""sui_image_params": {"seed": 1}"#,
        ]),
        values in prop::collection::vec((
            "seed|steps|sampler|scale|cfg|l1|w1|lora|loras|v2|eta|model|num_inference_steps|lora_alpha|use_lora_model|sui_models",
            r#"1|0.5|-1|"a"|""|null|true|\[\]|\["a",1\]|\[\{"model":"a","weight":0\}\]|\{"seed":2,"loras":\[\{"file":"b"\}\]\}"#,
        ), 0..8),
    ) {
        let values: Vec<String> = values.iter().map(|(name, value)| format!(", \"{name}\": {value}")).collect();
        let texts = [Text { keyword: "UserComment".into(), text: format!("{{{marks}{}}}", values.concat()) }];
        if let Some(generation) = Embedded::of(&texts).generation {
            prop_assert!(metadata_with(&generation).is_ok(), "{:?}", metadata_with(&generation));
        }
    }

    #[test]
    fn whatever_is_in_an_image_is_read_or_told(inside in text_like_theirs(), bytes: Vec<u8>) {
        for image in images(&inside, &bytes) {
            if let Some(generation) = embedded::read(&image).generation {
                prop_assert!(metadata_with(&generation).is_ok(), "{:?}", metadata_with(&generation));
            }
        }
    }

    #[test]
    fn damage_makes_no_text_up(at: prop::sample::Index, byte: u8, which in 0_usize..5) {
        let mut image = images(A1111, A1111.as_bytes()).swap_remove(which);
        let at = at.index(image.len());
        image[at] = byte;
        let original = embedded::read(&images(A1111, A1111.as_bytes()).swap_remove(which));
        let found = embedded::read(&image);
        prop_assert!(found.texts.len() <= original.texts.len());
        // A PNG's chunks have checksums, so only original texts may come out.
        let is_png = which < 2;
        let made_up = found.texts.iter().find(|text| is_png && !original.texts.contains(text));
        prop_assert!(made_up.is_none(), "{:?}", made_up);
    }

    /// Every value that was found occurs in the text.
    #[test]
    fn values_are_found_again_in_the_text(
        prompt in "[a-z ,:()]{1,40}[a-z]",
        values in prop::collection::vec(("[A-Z][a-z]{2,9}( [a-z]{2,9})?", "[ -~]{0,20}"), 0..8),
        (steps, seed) in (1_u32.., any::<u64>()),
    ) {
        let mut text = format!("{prompt}\nSteps: {steps}, Seed: {seed}, Sampler: Euler");
        for (name, value) in &values {
            text += &format!(", {name}: {}", serde_json::to_string(value).unwrap());
        }
        let found = embedded::read(&png(&[("parameters", &text)]));
        prop_assert_eq!(&found.texts[0].text, &text);
        let generation = found.generation.unwrap();
        for (_, value) in generation.settings().unwrap().iter() {
            prop_assert!(text.contains(value.trim_matches('"')), "{} is not in {}", value, text);
        }
        prop_assert_eq!((generation.steps, generation.seed), (Some(u64::from(steps)), Some(seed)));
    }
}

/// A sampler of ComfyUI with everything that a node can feed.
fn graph_of(case: &Value) -> Value {
    let mut graph = json!({
        "s": {"class_type": "KSampler", "inputs": {
            "seed": 1, "steps": 2, "cfg": 3, "sampler_name": "x", "scheduler": "y", "denoise": 1,
            "model": ["m", 0], "positive": ["p", 0], "negative": ["q", 0], "latent_image": ["z", 0],
        }},
        "m": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}},
        "q": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["m", 1]}},
        "o": {"class_type": "SaveImage", "inputs": {"images": ["s", 0]}},
    });
    for (id, node) in case["nodes"].as_object().unwrap() {
        graph[id] = json!({"class_type": node[0], "inputs": node[1]});
    }
    let link = json!(["n", case.get("output").cloned().unwrap_or(json!(0))]);
    match case["feeds"].as_str().unwrap() {
        "text" => {
            graph["encode"] =
                json!({"class_type": "CLIPTextEncode", "inputs": {"text": link, "clip": ["m", 1]}});
            graph["s"]["inputs"]["positive"] = json!(["encode", 0]);
        }
        input => graph["s"]["inputs"][input] = link,
    }
    graph
}

/// Each node gives the right value, or none: that of no other node, and no part of it.
#[test]
fn nodes_of_comfyui_give_the_right_value_or_none() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/comfyui_nodes.json");
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let classes: BTreeSet<String> = cases
        .iter()
        .flat_map(|case| case["nodes"].as_object().unwrap().values())
        .map(|node| node[0].to_string())
        .collect();
    assert!(classes.len() >= 60, "{}", classes.len());
    for case in &cases {
        let found = embedded::comfyui::parse(&graph_of(case).to_string()).unwrap_or_else(|| panic!("{case}"));
        let value = match case["feeds"].as_str().unwrap() {
            "text" | "positive" => json!(found.prompt),
            "steps" => json!(found.steps),
            "cfg" => json!(found.cfg_scale),
            "seed" => json!(found.seed),
            "sampler_name" => json!(found.sampler),
            "scheduler" => json!(found.scheduler),
            "model" => json!(found.model_name),
            other => panic!("{other}"),
        };
        let same = match (value.as_f64(), case["expected"].as_f64()) {
            (Some(value), Some(expected)) => value == expected,
            _ => value == case["expected"],
        };
        assert!(same, "{case}: {value}");
        if let Some(tags) = case.get("tags") {
            assert_eq!(json!(found.tags), *tags, "{case}");
        }
    }
}
