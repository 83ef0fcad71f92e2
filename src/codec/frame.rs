//! One zstd frame for each compressed chunk (RFC 8878): it must tell its content size, need no dictionary, keep its
//! window under 2^27 bytes, and be all there is. Frames written here carry a checksum.

use std::cell::Cell;

use zstd::zstd_safe::{
    self, CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ParamSwitch, ResetDirective,
    zstd_sys::{ZSTD_EndDirective, ZSTD_ErrorCode},
};

use super::blocks::window_size;
use crate::error::FrameProblem;

/// The first four bytes of a frame (RFC 8878, 3.1.1).
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// The first four bytes of a skippable frame, with any lowest four bits (RFC 8878, 3.1.2).
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;

/// The longest frame header in bytes: magic, descriptor, window, dictionary id, content size.
pub(crate) const MAX_FRAME_HEADER: usize = 18;

/// Base-2 logarithm of the largest window accepted: 128 MiB, what level 22 uses and the reference accepts.
pub(super) const MAX_WINDOW_LOG: u32 = 27;

/// Memory that a context may keep between chunks: enough for the default level, not for a window of 128 MiB.
const MAX_KEPT: usize = 16 << 20;

/// Up to this level the window is [`FAST_WINDOW_LOG`], as it is at level 1: noise is compressed a tenth faster, and
/// decompressed faster too, if the window stays in cache; what repeats farther apart is not found.
const FAST_LEVEL: i32 = 3;

/// Base-2 logarithm of the window of the fast levels: 512 KiB.
const FAST_WINDOW_LOG: u32 = 19;

thread_local! {
    /// Contexts are kept for the thread, since making one takes longer than decoding a small chunk.
    static DECODER: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
    static ENCODER: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
}

/// Whether zstd knows this compression level.
pub(crate) fn is_valid_level(level: i32) -> bool {
    (zstd_safe::min_c_level()..=zstd_safe::max_c_level()).contains(&level)
}

/// The head of a frame, checked: how many bytes it holds when decompressed.
pub(super) fn content_size(prefix: &[u8]) -> Result<u64, FrameProblem> {
    let magic: [u8; 4] = match prefix.first_chunk() {
        Some(magic) => *magic,
        None => return Err(FrameProblem::Truncated),
    };
    if magic != FRAME_MAGIC {
        return Err(if u32::from_le_bytes(magic) & !0xF == SKIPPABLE_MAGIC {
            FrameProblem::Skippable
        } else {
            FrameProblem::NotZstd { found: hex::encode(magic) }
        });
    }
    if let Some(id) = zstd_safe::get_dict_id_from_frame(prefix) {
        return Err(FrameProblem::Dictionary { id: id.get() });
    }
    match zstd_safe::get_frame_content_size(prefix) {
        Ok(Some(size)) => Ok(size),
        Ok(None) => Err(FrameProblem::NoContentSize),
        Err(_) if prefix.len() < MAX_FRAME_HEADER => Err(FrameProblem::Truncated),
        Err(_) => Err(FrameProblem::Damaged { message: "its header is not valid, or its window too large" }),
    }
}

/// Why a frame is not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// It is not as it has to be.
    Problem(FrameProblem),
    /// There is no memory for that: so many bytes, about.
    Memory { bytes: u64 },
}

impl From<FrameProblem> for Undecoded {
    fn from(problem: FrameProblem) -> Self {
        Self::Problem(problem)
    }
}

/// What one step of a [`FrameDecoder`] did.
pub(crate) struct Step {
    /// Bytes taken from the input.
    pub(crate) consumed: usize,
    /// Bytes put into the output.
    pub(crate) produced: usize,
    /// The frame has ended, its checksum was right.
    pub(crate) done: bool,
}

/// Decodes one frame, a piece at a time.
pub(crate) struct FrameDecoder {
    context: Option<DCtx<'static>>,
    /// Bytes of its window, which is what takes memory.
    window: u64,
}

impl FrameDecoder {
    /// Starts on the frame whose first bytes are `prefix` (at least [`MAX_FRAME_HEADER`] of them, unless it is
    /// shorter). Returns the decoder and the size of the frame's content.
    pub(crate) fn new(prefix: &[u8]) -> Result<(Self, u64), Undecoded> {
        let (size, window) = (content_size(prefix)?, window_size(prefix)?);
        let mut context = match DECODER.take() {
            Some(context) => context,
            None => DCtx::try_create().ok_or(NO_CONTEXT)?,
        };
        let failed = |code| failure(code, window);
        context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(failed)?;
        Ok((Self { context: Some(context), window }, size))
    }

    /// Decodes as much of `input` as `output` has room for.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Undecoded> {
        let Some(context) = &mut self.context else { return Err(NO_CONTEXT) };
        let failed = |code| failure(code, self.window);
        let mut source = InBuffer::around(input);
        let mut sink = OutBuffer::around(output);
        let left = context.decompress_stream(&mut sink, &mut source).map_err(failed)?;
        Ok(Step { consumed: source.pos(), produced: sink.pos(), done: left == 0 })
    }
}

impl Drop for FrameDecoder {
    fn drop(&mut self) {
        DECODER.set(self.context.take().filter(|context| context.sizeof() <= MAX_KEPT));
    }
}

/// Bytes that a frame of `size` bytes of content has at most.
pub(crate) fn frame_bound(size: usize) -> usize {
    zstd_safe::compress_bound(size)
}

/// Compresses one frame with content size and checksum, its content coming piece by piece. The same pieces give the same
/// bytes, on any thread.
pub(crate) struct FrameEncoder<'o> {
    context: CCtx<'static>,
    output: OutBuffer<'o, [u8]>,
}

/// Why compressing fails: no memory, or an output that is too short.
type Problem = &'static str;

impl<'o> FrameEncoder<'o> {
    /// Starts a frame of `size` bytes of content in `output`, which has [`frame_bound`] bytes or more.
    pub(crate) fn new(level: i32, size: u64, output: &'o mut [u8]) -> Result<Self, Problem> {
        let name = zstd_safe::get_error_name;
        let mut context = match ENCODER.take() {
            Some(context) => context,
            None => CCtx::try_create().ok_or("no memory for a zstd context")?,
        };
        context.reset(ResetDirective::SessionAndParameters).map_err(name)?;
        context.set_parameter(CParameter::CompressionLevel(level)).map_err(name)?;
        if level <= FAST_LEVEL {
            context.set_parameter(CParameter::WindowLog(FAST_WINDOW_LOG)).map_err(name)?;
        }
        if level < 0 {
            // Left to itself, zstd then stores what does not repeat as it is, and values seldom repeat.
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

    /// Ends zstd's block here: what follows is of another kind, and gets statistics of its own.
    pub(crate) fn end_block(&mut self) -> Result<(), Problem> {
        self.feed(&[], ZSTD_EndDirective::ZSTD_e_flush)
    }

    /// Ends the frame, whose content is complete; returns the bytes it takes.
    pub(crate) fn finish(mut self) -> Result<usize, Problem> {
        self.feed(&[], ZSTD_EndDirective::ZSTD_e_end)?;
        let size = self.output.pos();
        ENCODER.set(Some(self.context).filter(|context| context.sizeof() <= MAX_KEPT));
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
                return Err("zstd's bound on the compressed size does not hold");
            }
        }
    }
}

/// Bytes that `bytes` come to when they are compressed for themselves.
pub(crate) fn compressed_size(bytes: &[u8], level: i32) -> Result<usize, Problem> {
    let mut output = vec![0; frame_bound(bytes.len())];
    let mut encoder = FrameEncoder::new(level, bytes.len() as u64, &mut output)?;
    encoder.push(bytes)?;
    encoder.finish()
}

/// Bytes of a context without a window, about: a test compares it with what zstd takes.
pub(super) const CONTEXT_SIZE: u64 = 160 << 10;

/// There is no memory for a context.
pub(super) const NO_CONTEXT: Undecoded = Undecoded::Memory { bytes: CONTEXT_SIZE };

/// What zstd says of a frame for which it needs about so much memory. One that holds more than it claims is too much for
/// the output or damaged, which of them depends on what the context decoded before; here it is damaged.
pub(super) fn failure(code: usize, memory: u64) -> Undecoded {
    if zstd_safe::is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
        return Undecoded::Memory { bytes: memory };
    }
    let damage = (ZSTD_ErrorCode::ZSTD_error_corruption_detected as usize).wrapping_neg();
    let is_too_much = zstd_safe::is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall);
    damaged(zstd_safe::get_error_name(if is_too_much { damage } else { code }))
}

pub(super) fn damaged(message: &'static str) -> Undecoded {
    FrameProblem::Damaged { message }.into()
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

    fn decode(frame: &[u8], input_step: usize, output_step: usize) -> Result<Vec<u8>, Undecoded> {
        let (mut decoder, size) = FrameDecoder::new(frame)?;
        let mut content = vec![0; usize::try_from(size).unwrap()];
        let (mut read, mut written) = (0, 0);
        loop {
            let input = &frame[read..(read + input_step).min(frame.len())];
            let room = (written + output_step).min(content.len());
            let step = decoder.step(input, &mut content[written..room])?;
            read += step.consumed;
            written += step.produced;
            if step.done {
                assert_eq!((read, written), (frame.len(), content.len()));
                return Ok(content);
            }
            if step.consumed + step.produced == 0 && read == frame.len() {
                return Err(FrameProblem::Truncated.into());
            }
        }
    }

    #[test]
    fn frames_come_back_in_pieces_of_any_size() {
        let payload: Vec<u8> = (0..300_000_u32).flat_map(|n| (n % 1000).to_le_bytes()).collect();
        let frame = compress(b"LATNF32\0....", &payload, 3).unwrap();
        assert!(frame.len() < payload.len());
        for (input, output) in [(usize::MAX / 2, usize::MAX / 2), (1, 1000), (1000, 7), (4096, 12)] {
            let content = decode(&frame, input, output).unwrap();
            assert_eq!(&content[..12], b"LATNF32\0....");
            assert_eq!(&content[12..], payload);
        }
    }

    #[test]
    fn a_frame_has_size_and_checksum() {
        let frame = compress(b"head", b"payload", 3).unwrap();
        assert_eq!(frame[4] & 0b100, 0b100, "the descriptor's checksum bit, RFC 8878 3.1.1.1.1");
        assert_eq!(content_size(&frame), Ok(11));
        let empty = compress(b"head", b"", 3).unwrap();
        assert_eq!(decode(&empty, 100, 100).unwrap(), b"head");
    }

    #[test]
    fn every_level_works_and_is_deterministic() {
        let payload = vec![7; 100_000];
        for level in [-7, 1, 3, 19, 22] {
            assert!(is_valid_level(level));
            let frame = compress(b"head", &payload, level).unwrap();
            assert_eq!(frame, compress(b"head", &payload, level).unwrap());
            assert_eq!(decode(&frame, 100, 1 << 20).unwrap().len(), payload.len() + 4);
        }
        assert!(!is_valid_level(23));
    }

    /// Contexts are kept for what is common, and given back after what is not.
    #[test]
    fn contexts_of_the_default_level_are_kept() {
        let part = vec![0; 64 << 20];
        let frame = compress(b"head", &part, 3).unwrap();
        assert!(ENCODER.take().is_some_and(|context| context.sizeof() > 0));
        decode(&frame, usize::MAX / 2, usize::MAX / 2).unwrap();
        assert!(DECODER.take().is_some());
        compress(b"head", &part, 19).unwrap();
        assert!(ENCODER.take().is_none());
    }

    #[test]
    fn foreign_frames_are_refused_by_name() {
        let frame = compress(b"head", b"payload", 3).unwrap();
        let mut skippable = b"\x53\x2a\x4d\x18\x00\x00\x00\x00".to_vec();
        skippable.extend(&frame);
        assert_eq!(content_size(&skippable), Err(FrameProblem::Skippable));
        assert_eq!(
            content_size(b"\x1f\x8b\x08\x00rest"),
            Err(FrameProblem::NotZstd { found: "1f8b0800".into() })
        );
        assert_eq!(content_size(b"\x28\xb5"), Err(FrameProblem::Truncated));
        assert_eq!(content_size(&frame[..5]), Err(FrameProblem::Truncated));
        // Descriptor 0: no single segment, no content size, no dictionary; then the window.
        assert_eq!(content_size(b"\x28\xb5\x2f\xfd\x00\x58rest"), Err(FrameProblem::NoContentSize));
        // Descriptor 0x21: single segment, one byte each of dictionary id and content size.
        assert_eq!(content_size(b"\x28\xb5\x2f\xfd\x21\x07\x0b"), Err(FrameProblem::Dictionary { id: 7 }));
    }

    #[test]
    fn damage_and_cuts_are_noticed() {
        let payload: Vec<u8> = (0..5000_u32).map(|n| ((n * n) >> 7).to_le_bytes()[0]).collect();
        let frame = compress(b"head", &payload, 3).unwrap();
        for cut in 0..frame.len() {
            assert!(decode(&frame[..cut], 100, 100).is_err(), "cut at {cut}");
        }
        let mut wrong_sum = frame.clone();
        *wrong_sum.last_mut().unwrap() ^= 1;
        let refused = decode(&wrong_sum, 100, 100);
        assert!(matches!(refused, Err(Undecoded::Problem(FrameProblem::Damaged { .. }))), "{refused:?}");
    }

    #[test]
    fn a_context_takes_what_is_said_of_it() {
        let size = DCtx::create().sizeof() as u64;
        assert!((CONTEXT_SIZE / 2..CONTEXT_SIZE * 2).contains(&size), "{size} bytes");
    }

    #[test]
    fn no_memory_is_no_damage() {
        let code = |kind: ZSTD_ErrorCode| (kind as usize).wrapping_neg();
        let no_memory = failure(code(ZSTD_ErrorCode::ZSTD_error_memory_allocation), 1 << 27);
        assert_eq!(no_memory, Undecoded::Memory { bytes: 1 << 27 });
        let damage = failure(code(ZSTD_ErrorCode::ZSTD_error_checksum_wrong), 1 << 27);
        assert!(matches!(damage, Undecoded::Problem(FrameProblem::Damaged { .. })), "{damage:?}");
    }

    #[test]
    fn wide_windows_are_refused() {
        // Descriptor 0xC0: 8 bytes of content size; then a window of 2^(10 + exponent) bytes.
        for (exponent, accepted) in [(17_u8, true), (18, false), (31, false)] {
            let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xc0, exponent << 3];
            frame.extend((1_u64 << 40).to_le_bytes());
            frame.extend([0; 32]);
            let step = FrameDecoder::new(&frame).and_then(|(mut decoder, size)| {
                assert_eq!(size, 1 << 40);
                decoder.step(&frame[..14], &mut [0; 64])
            });
            assert_eq!(step.is_ok(), accepted, "exponent {exponent}");
        }
    }
}
