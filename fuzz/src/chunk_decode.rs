//! A compressed chunk.

use std::sync::LazyLock;

use gen5::ReadOptions;
use gen5::chunk::{ChunkType, Digest};
use serde_json::{Value, json};

use crate::build::{Builder, Chunk, chunk_bytes, frame_that_claims};
use crate::content::{self, Content};
use crate::other_decoders::Decoded;

/// Puts bytes into a chunk as its frame. The record matches zstd's result, so that every check is
/// reached. The chunk is accepted only if the other decoders accept it as one frame with a declared
/// size whose matches stay in the window. All ways of reading then return the same content,
/// regardless of earlier reads.
///
/// The first byte selects the kind of latent, if it is one, and whether the record claims an
/// additional byte.
pub fn chunk_decode(data: &[u8]) {
    let Some((&kind, stored)) = data.split_first() else { return };
    let decoded = Decoded::of(stored);
    let by_zstd = decoded.by_zstd.as_deref();
    let content = by_zstd.unwrap_or(b"LATNF32\0\x04\0\0\0\0\0\0\0");
    let Some((header, payload)) = content.split_at_checked(12) else { return };
    let is_latent = header.starts_with(b"LATN");
    let Some((flags, extra)) = describe(kind, header, payload.len(), is_latent) else { return };
    let Ok(tag) = std::str::from_utf8(&header[..4]) else { return };

    let hash = Digest::of(&if is_shuffled(&flags) {
        unshuffled(payload, element(&flags))
    } else {
        payload.to_vec()
    });
    let size = payload.len() + usize::from(kind & 0x80 != 0);
    let chunk =
        Chunk::raw(tag, &flags, payload, extra).stored(|bytes| *bytes = stored.to_vec()).record(|record| {
            record["compressed"] = json!(true);
            record["hash"] = json!(hash);
            record["uncompressed_size"] = json!(size);
        });
    let file = Builder::new([chunk]).minor(1).build();
    let options = ReadOptions::new().limits(content::limits());
    let Ok(reader) = options.from_bytes(file.clone()) else { return };
    content::check(&reader, &file);
    let first = Content::of(&reader);
    read_another();
    assert_eq!(Content::of(&reader), first, "it depends on what was read before");

    let size_is_told = header[8..] == (payload.len() as u32).to_le_bytes();
    let is_right = decoded.is_right().map(|is_right| is_right && size_is_told && size == payload.len());
    let verified = reader.verify();
    if reader.chunks()[0].kind() != ChunkType::ENVIRONMENT {
        assert!(is_right.is_none_or(|is_right| verified.is_ok() == is_right), "{:?}", verified.err());
    }
}

/// Reads a file whose frame has a wide window, and a damaged one. This changes the decoder state
/// that a thread reuses for the next frame.
fn read_another() {
    static FILES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [false, true].map(another));
    for (file, is_sound) in FILES.iter().zip([true, false]) {
        let reader = ReadOptions::new().from_bytes(file.as_slice()).expect("a sound table");
        assert_eq!(reader.verify().is_ok(), is_sound);
    }
}

/// A file with a frame of 96 KiB and a window of 32 KiB.
fn another(is_damaged: bool) -> Vec<u8> {
    const WINDOW: u8 = 5 << 3;
    let payload: Vec<u8> = (0..3_u8).cycle().take(96 << 10).collect();
    let mut frame = frame_that_claims(WINDOW, &chunk_bytes("XTRA", b"0000", &payload));
    if is_damaged {
        *frame.last_mut().expect("a frame") ^= 1;
    }
    let chunk = Chunk::raw("XTRA", b"0000", &payload, json!({})).compressed();
    Builder::new([chunk.stored(|stored| *stored = frame)]).build()
}

/// The flags of a chunk with this header, and the `extra` of its record.
fn describe(kind: u8, header: &[u8], size: usize, is_latent: bool) -> Option<([u8; 4], Value)> {
    let flags: [u8; 4] = header.get(4..8)?.try_into().ok()?;
    // A record stores the flags as text.
    std::str::from_utf8(&flags).ok()?;
    if !is_latent {
        return Some((flags, json!({})));
    }
    let dtype = match &flags {
        b"F16\0" | b"F16S" => "float16",
        b"BF16" | b"B16S" => "bfloat16",
        _ => "float32",
    };
    let rows = usize::from(kind & 7) + 1;
    let elements = size / element(&flags);
    let shape = if elements.is_multiple_of(rows) { vec![rows, elements / rows] } else { vec![elements] };
    Some((flags, json!({"shape": shape, "dtype": dtype, "key": "k"})))
}

fn is_shuffled(flags: &[u8; 4]) -> bool {
    [b"F16S", b"B16S", b"F32S"].contains(&flags)
}

/// The size of an element in bytes.
fn element(flags: &[u8; 4]) -> usize {
    if [b"F32\0", b"F32S"].contains(&flags) { 4 } else { 2 }
}

/// The inverse of the byte shuffle in format.md, section 12.
fn unshuffled(payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len());
    for block in payload.chunks(1 << 20) {
        let count = block.len() / size;
        bytes.extend((0..count * size).map(|at| block[at % size * count + at / size]));
        bytes.extend(&block[count * size..]);
    }
    bytes
}
