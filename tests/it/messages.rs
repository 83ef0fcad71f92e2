//! The texts of errors and debug output, where the variant alone is not enough.

use std::io::Cursor;

use gen5::chunk::Digest;
use gen5::metadata::Extra;
use gen5::{Metadata, Reader, WriteOptions};
use gen5_publish::{Draft, DraftFolder};
use serde_json::{Value, json};

use crate::support::{Builder, Chunk};

/// A file with one latent and a changed manifest.
fn file(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    Builder::new([Chunk::latent("a", &[2], &[1.0, 2.0])]).manifest(edit).build()
}

fn refusal(file: Vec<u8>) -> String {
    Reader::from_bytes(file).unwrap_err().to_string()
}

#[test]
fn what_is_of_another_type_is_told_by_what_it_should_be() {
    let table: [(&str, Value, &str); 9] = [
        ("/gen5_metadata", json!(1), "expected gen5_metadata, an object"),
        ("/gen5_metadata/file_info", json!([]), "expected file_info, an object"),
        ("/gen5_metadata/file_info/magic", json!(5), "expected a string"),
        ("/gen5_metadata/file_info/chunk_count", json!("1"), "expected an integer from 0 to 2^64 - 1"),
        ("/gen5_metadata/chunks", json!({}), "expected chunks, a list of records"),
        ("/gen5_metadata/chunks/0", json!(true), "expected a record, an object"),
        ("/gen5_metadata/chunks/0/extra", json!([]), "expected an object"),
        ("/gen5_metadata/chunks/0/extra/shape", json!("2"), "extra.shape is \"2\""),
        ("/gen5_metadata/chunks/0/offset", json!(-1), "expected an integer from 0 to 2^64 - 1"),
    ];
    for (at, value, words) in table {
        let told = refusal(file(|manifest| *manifest.pointer_mut(at).unwrap() = value));
        assert!(told.contains(words), "{at}: {told}");
    }
    let list = Builder::new([]).text(|text| *text = b"[]".to_vec()).build();
    assert!(refusal(list).contains("expected the manifest, an object"));
    assert!(serde_json::from_str::<Extra>("[]").unwrap_err().to_string().contains("expected an object"));
}

#[test]
fn debug_output_tells_what_it_is_of() {
    let options = WriteOptions::new().level(7);
    assert!(format!("{options:?}").starts_with("WriteOptions { compression: "));
    assert!(format!("{options:?}").contains("level: Some(7)"));
    let mut out = Cursor::new(Vec::new());
    let mut writer = options.to_writer(&mut out).unwrap();
    assert!(format!("{writer:?}").starts_with("Writer { options: WriteOptions {"));
    let mut stream = writer.stream::<f32>("noise", &[2, 3]).unwrap();
    stream.push(&[1.0]).unwrap();
    assert_eq!(
        format!("{stream:?}"),
        "LatentStream { key: Some(\"noise\"), shape: [2, 3], remaining: 5, .. }"
    );

    let reader = Reader::from_bytes(file(|_| ())).unwrap();
    let size = reader.file_size();
    let told = format!("Reader {{ version: 1.0, file_size: {size}, chunks: 1, latents: 1 }}");
    assert_eq!(format!("{reader:?}"), told);
    let latent = reader.latent("a").unwrap();
    assert_eq!(format!("{latent:?}"), "Latent { key: Some(\"a\"), dtype: F32, shape: [2], .. }");
    let loaded = reader.load(&["a"]).unwrap();
    assert_eq!(format!("{:?}", loaded[0]), format!("Loaded {{ latent: {latent:?}, values: [float32; 2] }}"));
    let array = format!("{:?}", gen5::Array::new("a", &[2], &[1.0_f32, 2.0]));
    assert!(array.ends_with("shape: [2], values: [float32; 2] }"), "{array}");
    assert!("ab".parse::<Digest>().unwrap_err().to_string().contains("64 hexadecimal digits"));
    let record = &reader.chunks()[0];
    assert_eq!(format!("{:?} {}", record.kind(), record.kind()), "ChunkType(LATN) LATN");
    let digest = Digest::of(b"abc");
    assert_eq!(digest.to_string().len(), 64);
    assert_eq!(format!("{digest:?}"), format!("Digest({digest})"));
    let mut extra = Extra::new();
    extra.insert("x", &1).unwrap();
    assert_eq!(format!("{extra:?}"), "{\"x\": \"1\"}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.html");
    assert_eq!(format!("{:?}", Draft::create(&path).unwrap()), format!("Draft {{ target: {path:?}, .. }}"));
    let draft = DraftFolder::create(&path).unwrap();
    assert_eq!(format!("{draft:?}"), format!("DraftFolder {{ target: {path:?}, .. }}"));
}

/// A key or another name in a file may be almost as long as its table; errors shorten it.
#[test]
fn long_names_are_not_repeated_at_length() {
    let key = "k".repeat(500_000);
    let zstd = Chunk::latent(&key, &[6], &[0.5; 6]).compressed();
    let reader = Reader::from_bytes(Builder::new([zstd]).build()).unwrap();
    let latent = reader.latent(&key).unwrap();
    let other = format!("{key}x");
    let refused = [
        latent.as_slice::<f32>().map(|_| ()),
        latent.read::<gen5::f16>().map(|_| ()),
        latent.read_into(&mut [0.0_f32; 5]),
        latent.rows(7..8).map(|_| ()),
        latent.write_to(&mut [0; 3].as_mut_slice()),
        reader.latent(&other).map(|_| ()),
    ];
    let mut writer = WriteOptions::new().to_writer(Cursor::new(Vec::new())).unwrap();
    writer.latent(&key, &[1], &[1.0_f32]).unwrap();
    let written = [
        writer.latent(&key, &[1], &[1.0_f32]),
        writer.latent(&other, &[2], &[1.0_f32]),
        writer.latent(&other, &[1], &[f32::NAN]),
    ];
    for error in refused.into_iter().chain(written) {
        let told = error.unwrap_err().to_string();
        assert!(told.contains("kkkk") && told.len() < 1000, "{} characters", told.len());
    }

    let twice = |text: &mut Vec<u8>| {
        let (member, text_of) = (format!(",\"{key}\":1"), String::from_utf8(text.clone()).unwrap());
        *text = text_of.replacen('{', &format!("{{\"z\":1{member}{member},"), 1).into_bytes();
    };
    let reader = Reader::from_bytes(Builder::new([]).text(twice).build()).unwrap();
    let told = reader.metadata().unwrap_err().to_string();
    assert!(told.contains("kkkk") && told.len() < 1000, "{} characters", told.len());
    let metadata = Metadata::builder("SD", "3").build().unwrap();
    let told = WriteOptions::new()
        .to_file(tempfile::tempfile().unwrap())
        .and_then(|writer| writer.rewrite(&reader, &metadata));
    assert!(told.unwrap_err().to_string().len() < 1000);
}

#[test]
fn a_file_of_another_length_tells_what_may_have_happened() {
    let whole = file(|_| ());
    let cut = refusal(whole[..whole.len() - 1].to_vec());
    assert!(cut.contains("it may be cut short: copy or download it again"), "{cut}");
    let longer = refusal([&whole[..], b"zip"].concat());
    assert!(longer.contains(&format!("remove everything after byte {}", whole.len())), "{longer}");
}

#[test]
fn what_is_refused_of_a_latent_names_it() {
    let mut writer = WriteOptions::new().to_writer(Cursor::new(Vec::new())).unwrap();
    let shape = [1; 1000];
    for (key, name) in [("noise", "shape of latent \"noise\""), ("a\nb", "shape of latent \"a\\nb\"")] {
        let error = writer.latent(key, &shape, &[1.0_f32]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
