//! The protocols of kitty and iTerm2: a PNG in base64 inside an escape sequence.

use std::io::{self, Write};

use data_encoding::BASE64;
use gen5_picture::encode_png;
use image::RgbImage;

/// Maximum number of base64 characters in one kitty sequence.
const CHUNK: usize = 4096;

fn encoded(picture: &RgbImage) -> io::Result<Vec<u8>> {
    encode_png(picture).map_err(io::Error::other)
}

/// Shows a picture at the cursor (`a=T`), as PNG (`f=100`), without a response (`q=2`).
pub(super) fn kitty(picture: &RgbImage, out: &mut dyn Write) -> io::Result<()> {
    let text = BASE64.encode(&encoded(picture)?);
    let mut chunks = text.as_bytes().chunks(CHUNK).peekable();
    let mut keys = "a=T,f=100,q=2,";
    while let Some(chunk) = chunks.next() {
        let more = u8::from(chunks.peek().is_some());
        write!(out, "\x1b_G{keys}m={more};")?;
        out.write_all(chunk)?;
        out.write_all(b"\x1b\\")?;
        keys = "";
    }
    out.write_all(b"\n")
}

pub(super) fn iterm2(picture: &RgbImage, out: &mut dyn Write) -> io::Result<()> {
    let file = encoded(picture)?;
    let size = file.len();
    let text = BASE64.encode(&file);
    writeln!(out, "\x1b]1337;File=inline=1;size={size};preserveAspectRatio=1:{text}\x07")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn sample() -> RgbImage {
        // Too irregular to compress well, so it takes several sequences.
        RgbImage::from_fn(90, 70, |x, y| {
            let hash = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761).to_le_bytes();
            Rgb([hash[1], hash[2], hash[3]])
        })
    }

    fn decoded(base64: &str) -> RgbImage {
        image::load_from_memory(&BASE64.decode(base64.as_bytes()).unwrap()).unwrap().into_rgb8()
    }

    #[test]
    fn kitty_gets_the_picture_in_pieces() {
        let mut out = Vec::new();
        kitty(&sample(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let body = text.strip_suffix("\x1b\\\n").unwrap().strip_prefix("\x1b_G").unwrap();
        let sequences: Vec<(&str, &str)> =
            body.split("\x1b\\\x1b_G").map(|sequence| sequence.split_once(';').unwrap()).collect();
        assert!(sequences.len() > 2);
        assert_eq!(sequences[0].0, "a=T,f=100,q=2,m=1");
        let (last, middle) = sequences[1..].split_last().unwrap();
        assert!(middle.iter().all(|(keys, _)| *keys == "m=1") && last.0 == "m=0");
        assert!(sequences.iter().all(|(_, data)| data.len() <= CHUNK && data.len() % 4 == 0));
        let data: String = sequences.iter().map(|(_, data)| *data).collect();
        assert_eq!(decoded(&data), sample());
    }

    #[test]
    fn iterm2_gets_the_picture_at_once() {
        let mut out = Vec::new();
        iterm2(&sample(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let body = text.strip_prefix("\x1b]1337;File=").unwrap().strip_suffix("\x07\n").unwrap();
        let (keys, data) = body.split_once(':').unwrap();
        let size = BASE64.decode(data.as_bytes()).unwrap().len();
        assert_eq!(keys, format!("inline=1;size={size};preserveAspectRatio=1"));
        assert_eq!(decoded(data), sample());
    }
}
