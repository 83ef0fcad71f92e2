//! Other decoders of zstd frames: zstd's decoder for whole frames, which the Python package calls,
//! and `ruzstd`, which shares no code with zstd.

use ruzstd::decoding::errors::{DecodeBufferError, FrameDecoderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use zstd::zstd_safe::{get_dict_id_from_frame, get_frame_content_size};

/// The largest window for `ruzstd`, which allocates it at once.
const WIDEST: u64 = 8 << 20;

/// The largest content in bytes.
const LONGEST: u64 = 1 << 20;

/// The results of the other decoders.
pub(crate) struct Decoded {
    /// The content from zstd, if the input is exactly one frame with a declared size.
    pub(crate) by_zstd: Option<Vec<u8>>,
    by_ruzstd: ByRuzstd,
}

/// The result of `ruzstd`. It limits each block to one window of the preceding bytes.
#[derive(Debug, PartialEq)]
enum ByRuzstd {
    Content(Vec<u8>),
    /// A match reaches back beyond the window.
    MatchTooFar,
    /// The literals differ in length from their streams. zstd does not check this on 64-bit
    /// systems.
    LiteralsDamaged,
    Damaged,
    /// Decoding would take too much memory or time.
    NotAsked,
}

impl Decoded {
    pub(crate) fn of(frame: &[u8]) -> Self {
        Self { by_zstd: by_zstd(frame), by_ruzstd: by_ruzstd(frame) }
    }

    /// Whether a reader must accept the frame with zstd's content, or must refuse it. `None` if
    /// `ruzstd` cannot decide. Its content may also differ if literal streams end at a wrong
    /// position.
    pub(crate) fn is_right(&self) -> Option<bool> {
        let Some(content) = &self.by_zstd else { return Some(false) };
        match &self.by_ruzstd {
            ByRuzstd::Content(same) if same == content => Some(true),
            ByRuzstd::Content(other) if other.len() == content.len() => None,
            ByRuzstd::LiteralsDamaged | ByRuzstd::NotAsked => None,
            ByRuzstd::Content(_) | ByRuzstd::MatchTooFar | ByRuzstd::Damaged => Some(false),
        }
    }
}

fn by_zstd(frame: &[u8]) -> Option<Vec<u8>> {
    let size = get_frame_content_size(frame).ok().flatten().filter(|size| *size <= LONGEST)?;
    if !frame.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || get_dict_id_from_frame(frame).is_some() {
        return None;
    }
    // zstd also accepts several frames or an empty input.
    if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
        return None;
    }
    let content = zstd::bulk::decompress(frame, size as usize).ok()?;
    (content.len() as u64 == size).then_some(content)
}

fn by_ruzstd(frame: &[u8]) -> ByRuzstd {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WIDEST);
    let mut rest = frame;
    match decoder.init(&mut rest) {
        Ok(()) if decoder.content_size() <= LONGEST => {}
        Ok(()) | Err(FrameDecoderError::WindowSizeTooBig { .. }) => return ByRuzstd::NotAsked,
        Err(_) => return ByRuzstd::Damaged,
    }
    let mut content = Vec::new();
    while !decoder.is_finished() {
        match decoder.decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1)) {
            Ok(_) => content.extend(decoder.collect().unwrap_or_default()),
            Err(error) => return of_error(&error),
        }
        if content.len() as u64 > LONGEST {
            return ByRuzstd::NotAsked;
        }
    }
    // zstd has already checked the checksum and that nothing follows.
    ByRuzstd::Content(content)
}

fn of_error(error: &FrameDecoderError) -> ByRuzstd {
    use DecompressBlockError::{DecompressLiteralsError, ExecuteSequencesError};
    use ruzstd::decoding::errors::{
        DecodeBlockContentError, DecompressBlockError, ExecuteSequencesError as SequencesError,
    };

    let FrameDecoderError::FailedToReadBlockBody(DecodeBlockContentError::DecompressBlockError(error)) =
        error
    else {
        return ByRuzstd::Damaged;
    };
    match error {
        DecompressLiteralsError(_) => ByRuzstd::LiteralsDamaged,
        ExecuteSequencesError(SequencesError::DecodebufferError(
            DecodeBufferError::OffsetTooBig { .. } | DecodeBufferError::NotEnoughBytesInDictionary { .. },
        )) => ByRuzstd::MatchTooFar,
        _ => ByRuzstd::Damaged,
    }
}
