//! The text that generators embed in images, and the generation parameters in it.
//!
//! [`read`] finds text in PNG, JPEG and WebP, and understands the formats of AUTOMATIC1111 (with
//! Forge, SD.Next, stable-diffusion.cpp, Civitai and other programs that write the same format),
//! ComfyUI, InvokeAI, NovelAI, Fooocus, Fooocus-MRE, SwarmUI, Draw Things and Easy Diffusion. A value
//! that is not certain is left out. Images are untrusted: for any bytes, the image's size and the
//! constants here bound time and memory, nothing panics, and problems in a text are reported next to
//! the rest of the result.

mod a1111;
mod block;
mod civitai;
pub mod comfyui;
mod drawthings;
mod easydiffusion;
mod encoding;
mod exif;
mod fooocus;
mod fooocus_mre;
mod generation;
mod invokeai;
mod jpeg;
mod json;
mod loras;
mod novelai;
mod pairs;
mod png;
mod sdcpp;
mod swarmui;
mod webp;

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::ZlibDecoder;
use gen5::metadata::Extra;

pub use generation::Generation;
pub(crate) use json::{members, without_bare_words};

/// Limit on the bytes of text read from one image, decompressed and spelled as JSON.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// Limit on the pieces of text examined in one image.
pub const MAX_TEXTS: usize = 1000;

/// Limit on the tags, and on the settings without a field, taken from one text.
pub const MAX_SETTINGS: usize = 1000;

/// Limit on the problems reported for one image.
pub const MAX_PROBLEMS: usize = 20;

/// The result of [`read`].
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// All text, in the order of the image.
    pub texts: Vec<Text>,
    /// The parameters in one of the texts, if it is understood.
    pub generation: Option<Generation>,
    /// The reasons why some text could not be read.
    pub problems: Vec<String>,
}

impl Embedded {
    /// Parses texts that do not come from an image. Those over the limit on the total length are
    /// left out.
    pub fn of(texts: &[Text]) -> Self {
        let mut found = TextCollector::new();
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
    /// Its name: the keyword of a PNG chunk, the name of an Exif field, or `Comment` for JPEG's
    /// own.
    pub keyword: String,
    /// The text.
    pub text: String,
}

/// Reads the text in an image. In formats other than PNG, JPEG and WebP, it finds nothing.
pub fn read(image: &[u8]) -> Embedded {
    let mut found = TextCollector::new();
    if image.starts_with(png::SIGNATURE) {
        png::read(image, &mut found);
    } else if image.starts_with(jpeg::SIGNATURE) {
        jpeg::read(image, &mut found);
    } else if webp::is_webp(image) {
        webp::read(image, &mut found);
    }
    found.finish()
}

/// The parameters in the texts of one image, from the first format that matches a text, the most
/// specific format first.
///
/// Texts are recognized by their content and not by their keyword, because programs that convert
/// images move text to other places.
pub fn understand(texts: &[Text]) -> Option<Generation> {
    let texts = &*normalized(texts);
    // A graph can have megabytes, so that it is parsed once for all formats that are objects.
    let objects: Vec<Extra> = texts.iter().filter_map(|text| json::object(&text.text)).collect();
    let of_objects: [fn(&Extra) -> Option<Generation>; 6] = [
        easydiffusion::read,
        invokeai::read,
        swarmui::read,
        fooocus_mre::read,
        fooocus::read,
        drawthings::read,
    ];
    let of_texts: [fn(&str) -> Option<Generation>; 4] =
        [invokeai::dream, drawthings::parse, a1111::parse, comfyui::parse];
    novelai::read_all(texts, &objects)
        .or_else(|| easydiffusion::read_all(texts))
        .or_else(|| of_objects.iter().find_map(|read| objects.iter().find_map(read)))
        .or_else(|| of_texts.iter().find_map(|parse| texts.iter().find_map(|text| parse(&text.text))))
}

/// The texts as the parsers expect them: without zero bytes around them, without a byte order mark,
/// and with lines that end in `\n`. They are copied only if one of them differs.
fn normalized(texts: &[Text]) -> Cow<'_, [Text]> {
    let is_normal =
        |text: &Text| !text.text.contains('\r') && without_marks(&text.text).len() == text.text.len();
    if texts.iter().all(is_normal) {
        return Cow::Borrowed(texts);
    }
    let normal = |text: &Text| Text {
        keyword: text.keyword.clone(),
        text: without_marks(&text.text).replace("\r\n", "\n").replace('\r', "\n"),
    };
    texts.iter().map(normal).collect()
}

fn without_marks(text: &str) -> &str {
    let text = text.trim_matches('\0');
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Collects texts within the limits.
pub(crate) struct TextCollector {
    texts: Vec<Text>,
    problems: Vec<String>,
    /// Number of problems over the limit.
    untold: usize,
    /// Bytes of text that may still be read.
    room: usize,
    /// Pieces of text that may still be examined.
    pieces: usize,
}

impl TextCollector {
    pub(crate) fn new() -> Self {
        Self { texts: Vec::new(), problems: Vec::new(), untold: 0, room: MAX_TEXT_BYTES, pieces: MAX_TEXTS }
    }

    /// The result for the collected texts.
    fn finish(self) -> Embedded {
        let Self { texts, mut problems, untold, .. } = self;
        if untold > 0 {
            problems.push(format!("{untold} more problems with its text"));
        }
        let generation = understand(&texts);
        Embedded { texts, generation, problems }
    }

    /// Counts a piece of text, whether or not it is used; `false` if there have been too many.
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

    /// Whether the decoded text may fit into the remaining room: apart from escape sequences, it
    /// takes at least half the bytes in every encoding. If it cannot fit, it is not decoded.
    fn may_fit(&mut self, bytes: &[u8], place: &str) -> bool {
        let fits = bytes.len() / 2 <= self.room;
        if !fits {
            self.problem(format!("{place} {TOO_LONG}"));
        }
        fits
    }

    /// Keeps a text, if there is room, and returns whether there is; problems call it `place`.
    fn keep(&mut self, keyword: &str, text: &str, place: &str) -> bool {
        if text.is_empty() {
            return true;
        }
        match self.room.checked_sub(size_as_json(keyword).saturating_add(size_as_json(text))) {
            Some(left) => {
                self.room = left;
                self.texts.push(Text { keyword: keyword.to_owned(), text: text.to_owned() });
                true
            }
            None => {
                self.problem(format!("{place} {TOO_LONG}"));
                false
            }
        }
    }

    /// Counts bytes towards the limit that were decompressed or decoded and not kept as text.
    fn spend(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
    }

    /// Records a problem with some text.
    fn problem(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }

    /// Inflates a zlib stream. Its output counts towards the limit even if it is useless, so that
    /// many zip bombs cost no more than one. The caller keeps or [spends](Self::spend) what this
    /// returns.
    fn inflate(&mut self, stream: &[u8], place: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let bound = self.room.saturating_add(1);
        let result = ZlibDecoder::new(stream).take(u64::try_from(bound).ok()?).read_to_end(&mut bytes);
        let problem = match result {
            Ok(_) if bytes.len() <= self.room => return Some(bytes),
            Ok(_) => TOO_LONG,
            Err(_) => "cannot be decompressed; not read",
        };
        self.spend(bytes.len());
        self.problem(format!("{place} {problem}"));
        None
    }
}

/// The problem reported for text over the limit.
const TOO_LONG: &str = "exceeds the limit on the text of one image (16 MiB); not read";

/// Size of text as a JSON string in bytes.
fn size_as_json(text: &str) -> usize {
    let escapes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.bytes().map(|byte| 1 + escapes(byte)).sum::<usize>().saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_as_json_is_what_serde_json_writes() {
        for text in ["", "a", "\"\\/", "\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}é🐈"] {
            // serde_json also has two-character escapes for \b and \f, so its output may be
            // shorter.
            assert!(size_as_json(text) >= serde_json::to_string(text).unwrap().len());
        }
        assert_eq!(size_as_json("a\n"), 5);
    }

    #[test]
    fn problems_are_counted_when_they_are_too_many() {
        let mut found = TextCollector::new();
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
        let mut found = TextCollector::new();
        assert!(found.inflate(&bomb, "a").is_none());
        assert_eq!(found.room, 0);
        assert!(found.inflate(&bomb, "b").is_none());
        assert_eq!(found.problems, [format!("a {TOO_LONG}"), format!("b {TOO_LONG}")]);
    }

    #[test]
    fn text_is_copied_only_to_make_it_normal() {
        let text = |text: &str| Text { keyword: "k".into(), text: text.into() };
        let normal = [text("a\nb"), text(""), text("a\u{feff}\0b")];
        assert!(matches!(normalized(&normal), Cow::Borrowed(_)));
        let texts = [text("\u{feff}a\rb"), text("a\r\nb\r\r\nc\n"), text("\0\0a\0"), text("a")];
        let texts: Vec<String> = normalized(&texts).iter().map(|text| text.text.clone()).collect();
        assert_eq!(texts, ["a\nb", "a\nb\n\nc\n", "a", "a"]);
    }
}
