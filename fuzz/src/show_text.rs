//! Text on a terminal.

use std::borrow::Cow;
use std::io::Write;

use gen5::chunk::Digest;
use gen5_cli::terminal::EscapeJson;
use gen5_picture::text::escape;
use serde_json::{Value, json};

use crate::backends_agree::file_of;
use crate::build::{Builder, Chunk};
use crate::command::gen5;

/// The maximum length of the text that commands are run with. There are a dozen commands, and the
/// file repeats the text thirty times.
const LONGEST_IN_FILE: usize = 500;

/// Escaped text contains no characters that control a terminal or reorder other text. Text without
/// such characters stays the same. Escaped JSON is equally harmless and keeps its meaning. The
/// first byte says whether the commands are also run on a file that has the text in many places.
pub fn show_text(data: &[u8]) {
    let Some((in_file, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);

    let shown = escape(&text);
    assert!(!shown.contains(steers) && !shown.contains(hides), "{shown:?}");
    assert!(matches!(escape(&shown), Cow::Borrowed(_)), "what is shown is harmless: {shown:?}");
    if !text.contains(steers) && !text.contains(hides) {
        assert_eq!(shown, text);
    }

    let value = Value::String(text.clone().into_owned());
    is_harmless_json(&value.to_string(), &value);
    is_harmless_json(&format!("{value:#}"), &value);
    if let Ok(value) = serde_json::from_str(&text) {
        is_harmless_json(&text, &value);
    }
    if in_file % 2 == 1 && text.len() <= LONGEST_IN_FILE {
        is_shown_by_commands(&text);
    }
}

fn is_harmless_json(json: &str, value: &Value) {
    let mut shown = EscapeJson::new(Vec::new(), false);
    shown.write_all(json.as_bytes()).expect("there is room");
    let shown = String::from_utf8(shown.into_inner()).expect("text");
    // Outside of strings, JSON allows only white space among the ASCII controls.
    assert!(
        !shown.contains(|character| steers(character) && !matches!(character, '\n' | '\r' | '\t')),
        "{shown:?}"
    );
    assert_eq!(serde_json::from_str::<Value>(&shown).as_ref().ok(), Some(value), "{shown:?}");
}

/// Runs the commands that show text, on a file filled with this text and on a plain one.
fn is_shown_by_commands(text: &str) {
    let (hostile, plain) = (file(text), file("plain"));
    let ((_one, path), (_other, other)) = (file_of(&hostile), file_of(&plain));
    let paths = [&path, &other].map(|path| path.to_str().expect("a path of letters"));
    for words in [
        &["info", "-"][..],
        &["info", "--verbose", "-"],
        &["info", "--json", "-"],
        &["ls", "-"],
        &["ls", "--json", "-"],
        &["verify", "-"],
        &["verify", "--json", "-"],
        &["cat", "--", "-", &format!("{text}?")],
        &["diff", paths[0], paths[1]],
        &["diff", "--json", paths[1], paths[0]],
    ] {
        let ran = gen5(words, &hostile);
        for shown in [&ran.out, &ran.messages] {
            // Newlines end lines, and `ls` separates columns with tabs.
            let steers = |character| steers(character) && !matches!(character, '\n' | '\t');
            assert!(!shown.contains(steers), "{words:?}: {shown:?}");
        }
        if words == ["info", "--json", "-"] {
            let value: Value = serde_json::from_str(&ran.out).expect("JSON");
            assert!(has(&value, text), "the text is there: {value}");
        }
    }
}

/// Whether a JSON value contains this string.
fn has(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string == text,
        Value::Array(list) => list.iter().any(|value| has(value, text)),
        Value::Object(members) => members.values().any(|value| has(value, text)),
        _ => false,
    }
}

/// A file that has `text` wherever it can have any.
fn file(text: &str) -> Vec<u8> {
    let component = json!({
        "component_id": text, "cononical_str": text, "component_sha256_digest": Digest::of(text.as_bytes())
    });
    let environment = json!({"env_version": 1, "components": [component]}).to_string();
    let tag: String = text.chars().filter(char::is_ascii).chain("XXXX".chars()).take(4).collect();
    let tag = if ["LATN", "DATA", "ENVC"].contains(&&*tag) { "XXXX" } else { &tag };
    let chunks = [
        Chunk::latent(text, &[2], &[1.0, 2.0]).record(|record| {
            record["extra"][text] = json!(text);
            record["more"] = json!(text);
        }),
        Chunk::raw(tag, b"0000", text.as_bytes(), json!({ text: text })),
        Chunk::raw("ENVC", b"0000", environment.as_bytes(), json!({})).compressed(),
        Chunk::raw("DATA", b"0000", text.as_bytes(), json!({})),
    ];
    let with = |manifest: &mut Value| {
        manifest["gen5_metadata"]["model_info"] = json!({
            "model_name": text, "version": text, "date": text, "prompt": text, "tags": [text, text], "more": {"text": text},
            "generation_settings": {"seed": 7, "steps": 20, "sampler": text, "scheduler": text, "more": text},
            "hardware_info": {"os": text, "cpu": text, "gpu": [{"name": text, "driver": text}]},
        });
    };
    Builder::new(chunks).manifest(with).build()
}

/// Whether Unicode classifies this as a control (Cc), a line or paragraph separator (Zl, Zp), or
/// `Bidi_Control`.
fn steers(character: char) -> bool {
    matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is invisible or blank: `Default_Ignorable_Code_Point`, Cf and Zs of Unicode
/// 16.0, and a few blank glyphs.
fn hides(character: char) -> bool {
    matches!(character,
        '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{1680}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200d}' | '\u{202f}' | '\u{205f}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
