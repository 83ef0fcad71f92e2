//! The text that generators embed in images, and the generation parameters in it.
//!
//! [`read`] finds text in PNG, JPEG and WebP, and understands the formats of AUTOMATIC1111 (with
//! Forge, SD.Next and other programs that write the same format), ComfyUI, InvokeAI, NovelAI and
//! Fooocus. Images are untrusted: for any bytes, the image's size and the constants here bound time
//! and memory, nothing panics, and problems in a text are reported next to the rest of the result.

pub mod a1111;
pub mod comfyui;
mod exif;
pub mod fooocus;
mod generation;
pub mod invokeai;
mod jpeg;
mod json;
pub mod novelai;
mod png;
mod webp;

use std::io::Read;

use flate2::bufread::ZlibDecoder;

pub use generation::Generation;
pub(crate) use json::{members, without_bare_words};

/// Bytes of text that are read of one image, decompressed, and as JSON spells them.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// Pieces of text that are looked at in one image.
pub const MAX_TEXTS: usize = 1000;

/// Settings that are taken from one text besides those that have a field, and tags.
pub const MAX_SETTINGS: usize = 1000;

/// Problems that are told of one image.
pub const MAX_PROBLEMS: usize = 20;

/// What [`read`] found.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// All text, in the order of the image.
    pub texts: Vec<Text>,
    /// What one of the texts says, if it is understood.
    pub generation: Option<Generation>,
    /// Why some text could not be read.
    pub problems: Vec<String>,
}

impl Embedded {
    /// What texts say that are no image's. Those that are too long together are left out.
    pub fn of(texts: &[Text]) -> Self {
        let mut found = Texts::new();
        for Text { keyword, text } in texts {
            if found.count() {
                found.keep(keyword, text, keyword);
            }
        }
        found.finish()
    }
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it goes by: the keyword of a PNG chunk, the name of an Exif field, or `Comment` for JPEG's own.
    pub keyword: String,
    /// The text.
    pub text: String,
}

/// Reads the text in an image. Of a format that is none of PNG, JPEG and WebP, nothing is found.
pub fn read(image: &[u8]) -> Embedded {
    let mut found = Texts::new();
    if image.starts_with(png::SIGNATURE) {
        png::read(image, &mut found);
    } else if image.starts_with(jpeg::SIGNATURE) {
        jpeg::read(image, &mut found);
    } else if webp::is_webp(image) {
        webp::read(image, &mut found);
    }
    found.finish()
}

/// What the texts of one image say: the first form that one of them has counts, the most particular form first.
///
/// A text counts by its shape, not by its keyword, because programs that convert images move text to other places.
pub fn understand(texts: &[Text]) -> Option<Generation> {
    let parsers: [fn(&str) -> Option<Generation>; 4] =
        [invokeai::parse, fooocus::parse, a1111::parse, comfyui::parse];
    novelai::read(texts)
        .or_else(|| parsers.iter().find_map(|parse| texts.iter().find_map(|text| parse(&text.text))))
}

/// Texts while they are collected, within the limits.
pub(crate) struct Texts {
    texts: Vec<Text>,
    problems: Vec<String>,
    /// Problems over the limit.
    untold: usize,
    /// Bytes of text that may still be read.
    room: usize,
    /// Pieces of text that may still be looked at.
    pieces: usize,
}

impl Texts {
    pub(crate) fn new() -> Self {
        Self { texts: Vec::new(), problems: Vec::new(), untold: 0, room: MAX_TEXT_BYTES, pieces: MAX_TEXTS }
    }

    /// What was collected, understood.
    fn finish(self) -> Embedded {
        let Self { texts, mut problems, untold, .. } = self;
        if untold > 0 {
            problems.push(format!("{untold} more problems with its text"));
        }
        let generation = understand(&texts);
        Embedded { texts, generation, problems }
    }

    /// Counts one more piece of text, whatever becomes of it; `false` if there have been too many.
    fn count(&mut self) -> bool {
        match self.pieces.checked_sub(1) {
            Some(left) => {
                self.pieces = left;
                true
            }
            None => {
                self.problem(format!("it has over {MAX_TEXTS} pieces of text; the rest is not read"));
                false
            }
        }
    }

    /// Whether bytes may come to text for which there is room: in no encoding it takes less than half of them. What is
    /// too much need not be decoded then.
    fn may_fit(&mut self, bytes: &[u8], place: &str) -> bool {
        let fits = bytes.len() / 2 <= self.room;
        if !fits {
            self.problem(format!("{place} {TOO_LONG}"));
        }
        fits
    }

    /// Keeps a text, if there is room for it; `place` is what a problem calls it.
    fn keep(&mut self, keyword: &str, text: &str, place: &str) {
        if text.is_empty() {
            return;
        }
        match self.room.checked_sub(size_as_json(keyword).saturating_add(size_as_json(text))) {
            Some(left) => {
                self.room = left;
                self.texts.push(Text { keyword: keyword.to_owned(), text: text.to_owned() });
            }
            None => self.problem(format!("{place} {TOO_LONG}")),
        }
    }

    /// Tells what is wrong with some text.
    fn problem(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }

    /// Inflates a zlib stream. What it takes counts even if it comes to nothing, so that many bombs cost no more than one.
    fn inflate(&mut self, stream: &[u8], place: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let bound = self.room.saturating_add(1);
        let result = ZlibDecoder::new(stream).take(u64::try_from(bound).ok()?).read_to_end(&mut bytes);
        let problem = match result {
            Ok(_) if bytes.len() <= self.room => return Some(bytes),
            Ok(_) => TOO_LONG,
            Err(_) => "cannot be decompressed; not read",
        };
        self.room = self.room.saturating_sub(bytes.len());
        self.problem(format!("{place} {problem}"));
        None
    }
}

/// What a problem says of text for which there is no room.
const TOO_LONG: &str = "is over what is read of one image (16 MiB of text); not read";

/// Bytes that text takes as a JSON string.
fn size_as_json(text: &str) -> usize {
    let escapes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.bytes().map(|byte| 1 + escapes(byte)).sum::<usize>().saturating_add(2)
}

/// Text that is UTF-8, or else Latin-1, which many formats ask for and fewer writers keep to. Of UTF-8 that is damaged, the
/// rest is kept if it has more letters outside of ASCII than damages, which Latin-1 has by no chance.
fn utf8_or_latin1(bytes: &[u8]) -> String {
    let (mut letters, mut damages) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        damages += usize::from(!chunk.invalid().is_empty());
    }
    if damages == 0 || letters > damages {
        String::from_utf8_lossy(bytes).into_owned()
    } else {
        bytes.iter().copied().map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_as_json_is_what_serde_json_writes() {
        for text in ["", "a", "\"\\/", "\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}é🐈"] {
            // serde_json has two-letter escapes for \b and \f too, so it may write less.
            assert!(size_as_json(text) >= serde_json::to_string(text).unwrap().len());
        }
        assert_eq!(size_as_json("a\n"), 5);
    }

    #[test]
    fn problems_are_counted_when_they_are_too_many() {
        let mut found = Texts::new();
        for n in 0..MAX_PROBLEMS + 5 {
            found.problem(n.to_string());
        }
        assert_eq!((found.problems.len(), found.untold), (MAX_PROBLEMS, 5));
    }

    #[test]
    fn bombs_share_one_room() {
        let mut bomb = Vec::new();
        let zeros = vec![0; MAX_TEXT_BYTES + 1];
        flate2::bufread::ZlibEncoder::new(&zeros[..], flate2::Compression::fast())
            .read_to_end(&mut bomb)
            .unwrap();
        let mut found = Texts::new();
        assert!(found.inflate(&bomb, "a").is_none());
        assert_eq!(found.room, 0);
        assert!(found.inflate(&bomb, "b").is_none());
        assert_eq!(found.problems, [format!("a {TOO_LONG}"), format!("b {TOO_LONG}")]);
    }

    #[test]
    fn text_is_utf8_or_latin1() {
        assert_eq!(utf8_or_latin1("Zürich 猫".as_bytes()), "Zürich 猫");
        assert_eq!(utf8_or_latin1(b"Z\xfcrich"), "Zürich");
        let damaged = ["夜の".as_bytes(), b"\xff", "港".as_bytes()].concat();
        assert_eq!(utf8_or_latin1(&damaged), "夜の\u{fffd}港");
    }
}
