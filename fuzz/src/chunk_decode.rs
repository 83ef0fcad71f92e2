//! A compressed chunk.

use std::io::Read;

use gen5::{ChunkType, Digest, ReadOptions};
use serde_json::{Value, json};

use crate::build::{Builder, Chunk};
use crate::content;

/// Bytes as the frame of a chunk whose record says what zstd itself makes of them, so that all checks behind that are come by.
/// It is accepted just where zstd decodes it, as one frame that tells its size, and has the same content then, in all ways of
/// reading.
/// The first byte says what kind of a latent it is, if it is one, and whether the record is to tell one byte more.
pub fn chunk_decode(data: &[u8]) {
    let Some((&kind, stored)) = data.split_first() else { return };
    let decoded = decode(stored);
    let content = decoded.as_deref().unwrap_or(b"LATNF32\0\x04\0\0\0\0\0\0\0");
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

    let size_is_told = header[8..] == (payload.len() as u32).to_le_bytes();
    let is_right = decoded.is_some() && size_is_told && size == payload.len();
    let verified = reader.verify();
    if reader.chunks()[0].kind() != ChunkType::ENVIRONMENT {
        assert_eq!(verified.is_ok(), is_right, "{:?}", verified.err());
    }
}

/// What zstd makes of one frame that tells its size, with nothing around it.
fn decode(frame: &[u8]) -> Option<Vec<u8>> {
    use zstd::zstd_safe::{get_dict_id_from_frame, get_frame_content_size};

    let size = get_frame_content_size(frame).ok().flatten().filter(|size| *size <= 1 << 20)?;
    if !frame.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || get_dict_id_from_frame(frame).is_some() {
        return None;
    }
    let mut content = Vec::new();
    let mut decoder = zstd::stream::Decoder::with_buffer(frame).ok()?.single_frame();
    decoder.read_to_end(&mut content).ok()?;
    (decoder.finish().is_empty() && content.len() as u64 == size).then_some(content)
}

/// The flags of a chunk with this header, and what its record says of it.
fn describe(kind: u8, header: &[u8], size: usize, is_latent: bool) -> Option<([u8; 4], Value)> {
    let flags: [u8; 4] = header.get(4..8)?.try_into().ok()?;
    // A record has them as text.
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

/// Bytes of an element.
fn element(flags: &[u8; 4]) -> usize {
    if [b"F32\0", b"F32S"].contains(&flags) { 4 } else { 2 }
}

/// The elements of a payload as format.md, section 12, regroups them, put back in order.
fn unshuffled(payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len());
    for block in payload.chunks(1 << 20) {
        let count = block.len() / size;
        bytes.extend((0..count * size).map(|at| block[at % size * count + at / size]));
        bytes.extend(&block[count * size..]);
    }
    bytes
}
