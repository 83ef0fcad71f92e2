//! Writes frames, each with content size and checksum, from content that arrives in pieces.

use std::cell::Cell;

use zstd::zstd_safe::{
    self, CCtx, CParameter, InBuffer, OutBuffer, ParamSwitch, ResetDirective, zstd_sys::ZSTD_EndDirective,
};

use super::kept::{self, MAX_KEPT};

/// Up to this level the window is [`FAST_WINDOW_LOG`], as at level 1. Noise compresses a tenth
/// faster, and also decompresses faster, if the window stays in cache. Repetitions farther apart
/// are not found.
const FAST_LEVEL: i32 = 3;

/// Base-2 logarithm of the window of the fast levels: 512 KiB.
const FAST_WINDOW_LOG: u32 = 19;

thread_local! {
    static CONTEXT: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
}

/// Returns whether zstd supports this compression level.
pub(crate) fn is_valid_level(level: i32) -> bool {
    (zstd_safe::min_c_level()..=zstd_safe::max_c_level()).contains(&level)
}

/// Returns the maximum size in bytes of a frame with `size` bytes of content.
pub(crate) fn frame_bound(size: usize) -> usize {
    zstd_safe::compress_bound(size)
}

/// An encoder of one frame with content size and checksum, whose content arrives in pieces. The
/// same pieces produce the same bytes, on any thread.
pub(crate) struct FrameEncoder<'o> {
    context: CCtx<'static>,
    output: OutBuffer<'o, [u8]>,
}

/// The reason of a failure: no memory, or an output that is too short.
type Problem = &'static str;

impl<'o> FrameEncoder<'o> {
    /// Starts a frame with `size` bytes of content in `output`, which has at least [`frame_bound`]
    /// bytes.
    pub(crate) fn new(level: i32, size: u64, output: &'o mut [u8]) -> Result<Self, Problem> {
        let name = zstd_safe::get_error_name;
        let kept = kept::take(&CONTEXT).or_else(CCtx::try_create);
        let mut context = kept.ok_or("no memory for a zstd context")?;
        context.reset(ResetDirective::SessionAndParameters).map_err(name)?;
        context.set_parameter(CParameter::CompressionLevel(level)).map_err(name)?;
        if level <= FAST_LEVEL {
            context.set_parameter(CParameter::WindowLog(FAST_WINDOW_LOG)).map_err(name)?;
        }
        if level < 0 {
            // By default, zstd does not entropy-code literals at these levels, and values seldom
            // repeat, so nearly all of them are literals.
            let entropy = CParameter::LiteralCompressionMode(ParamSwitch::Enable);
            context.set_parameter(entropy).map_err(name)?;
        }
        context.set_parameter(CParameter::ChecksumFlag(true)).map_err(name)?;
        context.set_pledged_src_size(Some(size)).map_err(name)?;
        Ok(Self { context, output: OutBuffer::around(output) })
    }

    /// Adds the next bytes of the content.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.feed(bytes, ZSTD_EndDirective::ZSTD_e_continue)
    }

    /// Ends zstd's current block. The next content is of another kind, and gets its own statistics.
    pub(crate) fn end_block(&mut self) -> Result<(), Problem> {
        self.feed(&[], ZSTD_EndDirective::ZSTD_e_flush)
    }

    /// Ends the frame after its content is complete, and returns its size in bytes.
    pub(crate) fn finish(mut self) -> Result<usize, Problem> {
        self.feed(&[], ZSTD_EndDirective::ZSTD_e_end)?;
        let size = self.output.pos();
        if self.context.sizeof() <= MAX_KEPT {
            kept::keep(&CONTEXT, self.context);
        }
        Ok(size)
    }

    fn feed(&mut self, bytes: &[u8], end: ZSTD_EndDirective) -> Result<(), Problem> {
        let mut input = InBuffer::around(bytes);
        loop {
            let before = (input.pos(), self.output.pos());
            let left = self
                .context
                .compress_stream2(&mut self.output, &mut input, end)
                .map_err(zstd_safe::get_error_name)?;
            let fed = input.pos() == bytes.len();
            if fed && (left == 0 || matches!(end, ZSTD_EndDirective::ZSTD_e_continue)) {
                return Ok(());
            }
            if before == (input.pos(), self.output.pos()) {
                return Err("the compressed data exceeds zstd's own bound");
            }
        }
    }
}

/// Returns the compressed size of `bytes` on their own.
pub(crate) fn compressed_size(bytes: &[u8], level: i32) -> Result<usize, Problem> {
    let mut output = vec![0; frame_bound(bytes.len())];
    let mut encoder = FrameEncoder::new(level, bytes.len() as u64, &mut output)?;
    encoder.push(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(head: &[u8], payload: &[u8], level: i32) -> Result<Vec<u8>, Problem> {
        let size = head.len() + payload.len();
        let mut frame = vec![0; frame_bound(size)];
        let mut encoder = FrameEncoder::new(level, size as u64, &mut frame)?;
        encoder.push(head)?;
        payload.chunks(100_000).try_for_each(|block| encoder.push(block))?;
        let size = encoder.finish()?;
        frame.truncate(size);
        Ok(frame)
    }

    fn decompress(frame: &[u8]) -> Vec<u8> {
        zstd::stream::decode_all(frame).unwrap()
    }

    #[test]
    fn a_frame_has_size_and_checksum() {
        let frame = compress(b"head", b"payload", 3).unwrap();
        assert_eq!(frame[4] & 0b100, 0b100, "the descriptor's checksum bit, RFC 8878 3.1.1.1.1");
        assert_eq!(zstd_safe::get_frame_content_size(&frame).unwrap(), Some(11));
        assert_eq!(decompress(&frame), b"headpayload");
        assert_eq!(decompress(&compress(b"head", b"", 3).unwrap()), b"head");
    }

    #[test]
    fn every_level_works_and_is_deterministic() {
        let payload = vec![7; 100_000];
        for level in [-7, 1, 3, 19, 22] {
            assert!(is_valid_level(level));
            let frame = compress(b"head", &payload, level).unwrap();
            assert_eq!(frame, compress(b"head", &payload, level).unwrap());
            assert_eq!(decompress(&frame).len(), payload.len() + 4);
        }
        assert!(!is_valid_level(23));
    }

    /// Contexts are kept for common levels, and freed after a level that takes much memory.
    #[test]
    fn contexts_of_the_default_level_are_kept() {
        let part = vec![0; 64 << 20];
        compress(b"head", &part, 3).unwrap();
        assert!(kept::take(&CONTEXT).is_some_and(|context| context.sizeof() > 0));
        compress(b"head", &part, 19).unwrap();
        assert!(kept::take(&CONTEXT).is_none());
    }
}
