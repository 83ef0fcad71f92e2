//! zstd frames decoded by others than the library: zstd's own decoder for whole frames, which the Python package calls,
//! and `ruzstd`, which shares no code with zstd.

use ruzstd::decoding::errors::{DecodeBufferError, FrameDecoderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use zstd::zstd_safe::{get_dict_id_from_frame, get_frame_content_size};

/// The widest window that `ruzstd` is asked to decode, since it takes memory for it at once.
const WIDEST: u64 = 8 << 20;

/// Bytes of content at most.
const LONGEST: u64 = 1 << 20;

/// What others make of a frame.
pub(crate) struct Decoded {
    /// The content that zstd gives, if it is a single frame with its size and nothing around it.
    pub(crate) by_zstd: Option<Vec<u8>>,
    by_ruzstd: ByRuzstd,
}

/// What `ruzstd` makes of a frame, where each block sees one window of the bytes before it and no more.
#[derive(Debug, PartialEq)]
enum ByRuzstd {
    Content(Vec<u8>),
    /// A match reaches back farther than that.
    MatchTooFar,
    Damaged,
    /// It would take much memory or time.
    NotAsked,
}

impl Decoded {
    pub(crate) fn of(frame: &[u8]) -> Self {
        Self { by_zstd: by_zstd(frame), by_ruzstd: by_ruzstd(frame) }
    }

    /// Whether a reader has to give the content that zstd gives, or has to refuse the frame. `None` if `ruzstd` cannot say:
    /// of damaged frames it refuses others than zstd, or gives another content.
    pub(crate) fn is_right(&self) -> Option<bool> {
        let Some(content) = &self.by_zstd else { return Some(false) };
        match &self.by_ruzstd {
            ByRuzstd::Content(same) if same == content => Some(true),
            ByRuzstd::MatchTooFar => Some(false),
            ByRuzstd::Content(_) | ByRuzstd::Damaged | ByRuzstd::NotAsked => None,
        }
    }
}

fn by_zstd(frame: &[u8]) -> Option<Vec<u8>> {
    let size = get_frame_content_size(frame).ok().flatten().filter(|size| *size <= LONGEST)?;
    if !frame.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || get_dict_id_from_frame(frame).is_some() {
        return None;
    }
    // It takes several frames for one content, and none of no bytes.
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
            Err(error) if is_of_match(&error) => return ByRuzstd::MatchTooFar,
            Err(_) => return ByRuzstd::Damaged,
        }
        if content.len() as u64 > LONGEST {
            return ByRuzstd::NotAsked;
        }
    }
    let sum = decoder.get_checksum_from_data();
    let is_right = sum.is_none() || sum == decoder.get_calculated_checksum();
    let is_whole = rest.is_empty() && content.len() as u64 == decoder.content_size();
    if is_right && is_whole { ByRuzstd::Content(content) } else { ByRuzstd::Damaged }
}

fn is_of_match(error: &FrameDecoderError) -> bool {
    use ruzstd::decoding::errors::{DecodeBlockContentError, DecompressBlockError, ExecuteSequencesError};

    let FrameDecoderError::FailedToReadBlockBody(DecodeBlockContentError::DecompressBlockError(
        DecompressBlockError::ExecuteSequencesError(ExecuteSequencesError::DecodebufferError(error)),
    )) = error
    else {
        return false;
    };
    matches!(
        error,
        DecodeBufferError::OffsetTooBig { .. } | DecodeBufferError::NotEnoughBytesInDictionary { .. }
    )
}
