//! The text chunks of a PNG: tEXt, zTXt, iTXt, eXIf, and ComfyUI's comf.

use crc32fast::hash;
use data_encoding::HEXLOWER_PERMISSIVE;

use super::encoding::utf8_or_latin1;
use super::{TextCollector, exif};

/// The first bytes of every PNG.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Reads the chunks up to IEND. Only text chunks with a correct CRC are parsed.
pub(super) fn read(image: &[u8], found: &mut TextCollector) {
    let mut rest = image.get(SIGNATURE.len()..).unwrap_or_default();
    while let Some(chunk) = Chunk::first_of(rest) {
        match chunk.kind {
            b"IEND" => return,
            b"tEXt" | b"zTXt" | b"iTXt" | b"eXIf" | b"comf" => {
                if !found.count() {
                    return;
                }
                let place = format!("text chunk at byte {}", image.len() - rest.len());
                if chunk.has_right_crc() {
                    chunk.read(&place, found);
                } else {
                    found.problem(format!("{place} has a wrong CRC; not read"));
                }
            }
            _ => {}
        }
        rest = chunk.rest;
    }
    found.problem(format!("cut short at byte {}; any text after it is missing", image.len() - rest.len()));
}

/// One chunk, and the rest after it.
struct Chunk<'a> {
    kind: &'a [u8; 4],
    body: &'a [u8],
    /// Kind and body, which the CRC covers.
    covered: &'a [u8],
    crc: u32,
    rest: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The first chunk in `bytes`, if it is complete.
    fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let (length, bytes) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (covered, rest) = bytes.split_at_checked(length.checked_add(4)?)?;
        let (kind, body) = covered.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        Some(Self { kind, body, covered, crc: u32::from_be_bytes(*crc), rest })
    }

    fn has_right_crc(&self) -> bool {
        hash(self.covered) == self.crc
    }

    /// Collects the text of the chunk.
    fn read(&self, place: &str, found: &mut TextCollector) {
        if self.kind == b"eXIf" {
            return exif::read(self.body, place, found);
        }
        let Some((keyword, content)) = split_at_nul(self.body).filter(|(keyword, _)| !keyword.is_empty())
        else {
            return found.problem(format!("{place} has no keyword; not read"));
        };
        let content = match (self.kind, content) {
            (b"tEXt" | b"comf", text) => Some((false, text)),
            // The byte is the compression method; only one exists.
            (b"zTXt", content) => content.strip_prefix(&[0]).map(|stream| (true, stream)),
            (_, content) => international(content),
        };
        if !found.may_fit(keyword, place) {
            return;
        }
        let keyword = utf8_or_latin1(keyword);
        match content {
            Some((false, text)) => {
                if found.may_fit(text, place) {
                    keep(&keyword, text, place, found);
                }
            }
            Some((true, stream)) => {
                if let Some(text) = found.inflate(stream, place)
                    && !keep(&keyword, &text, place, found)
                {
                    found.spend(text.len());
                }
            }
            None => found.problem(format!("{place} is malformed; not read")),
        }
    }
}

/// Keeps the text of a chunk, or the text in the Exif that ImageMagick spells as one; returns
/// whether the bytes were kept as text.
fn keep(keyword: &str, text: &[u8], place: &str, found: &mut TextCollector) -> bool {
    if let Some(kind) = keyword.strip_prefix("Raw profile type ")
        && (kind.eq_ignore_ascii_case("exif") || kind.eq_ignore_ascii_case("APP1"))
    {
        match profile(text) {
            // XMP is also a profile of this name.
            Some(profile) if kind.eq_ignore_ascii_case("APP1") && !profile.starts_with(exif::PREFIX) => {}
            Some(profile) => {
                exif::read(&profile, place, found);
                return false;
            }
            None => {
                found.problem(format!("{place} is malformed; not read"));
                return false;
            }
        }
    }
    found.keep(keyword, &utf8_or_latin1(text), place)
}

/// The bytes of a profile: a line with its name, a line with its length, and lines of hexadecimal
/// digits.
fn profile(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_start();
    let (_name, text) = text.split_at(text.iter().position(|&byte| byte == b'\n')?);
    let text = text.trim_ascii_start();
    let (length, text) = text.split_at(text.iter().position(u8::is_ascii_whitespace)?);
    let length: usize = str::from_utf8(length).ok()?.parse().ok()?;
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut bytes = HEXLOWER_PERMISSIVE.decode(&digits).ok()?;
    (length <= bytes.len()).then(|| bytes.truncate(length))?;
    Some(bytes)
}

/// Whether the text of an iTXt chunk is compressed, and the text itself, which follows the language
/// and the translated keyword.
fn international(content: &[u8]) -> Option<(bool, &[u8])> {
    let (flag, content) = content.split_first()?;
    let (method, content) = content.split_first()?;
    let compressed = match (flag, method) {
        (0, _) => false,
        (1, 0) => true,
        _ => return None,
    };
    let (_language, content) = split_at_nul(content)?;
    let (_translated, text) = split_at_nul(content)?;
    Some((compressed, text))
}

fn split_at_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == 0)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}
