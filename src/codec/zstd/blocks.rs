//! Decodes a zstd frame block by block, each block directly into the caller's memory.
//!
//! A block may repeat bytes before it. zstd calls those bytes its history, and remembers it as two
//! ranges of memory from earlier calls. Here every call passes the history explicitly, and makes
//! zstd forget everything before that.
//!
//! So zstd reads only memory that is borrowed for the call. The bytes that a block can repeat
//! depend only on the frame: one window before the block, wherever it is kept. A match that reaches
//! farther back is an error, though zstd would allow it as long as it remembers more.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;

use zstd::zstd_safe::zstd_sys::{self, ZSTD_nextInputType_e};

use super::failure::{NO_CONTEXT, Undecoded, damaged};
use super::head::FrameHead;
use super::{kept, library};

thread_local! {
    /// A context has no window of its own, so its size does not depend on the frames that it has
    /// decoded.
    static CONTEXT: Cell<Option<Context>> = const { Cell::new(None) };
}

/// An owned zstd context.
struct Context(NonNull<zstd_sys::ZSTD_DCtx>);

impl Context {
    fn new() -> Result<Self, Undecoded> {
        library::check().map_err(Undecoded::Library)?;
        // SAFETY: this has no preconditions; it returns null or a context that the caller owns.
        NonNull::new(unsafe { zstd_sys::ZSTD_createDCtx() }).map(Self).ok_or(NO_CONTEXT)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context came from `ZSTD_createDCtx`, and this is the only place that frees
        // it.
        unsafe { zstd_sys::ZSTD_freeDCtx(self.0.as_ptr()) };
    }
}

/// Memory that no block is ever decoded into. Its second byte is neither the start nor the end of
/// any other memory.
static NOWHERE: [AtomicU8; 3] = [const { AtomicU8::new(0) }; 3];

/// A decoder of one frame.
pub(crate) struct BlockDecoder {
    /// Present until the decoder is dropped or has failed.
    context: Option<Context>,
    head: FrameHead,
    /// Bytes of the content that are not decoded yet.
    left: u64,
}

impl BlockDecoder {
    /// Creates a decoder for the frame that starts with `prefix`, which must have at least
    /// [`MAX_FRAME_HEADER`](super::MAX_FRAME_HEADER) bytes unless the frame is shorter. The decoder
    /// then needs the frame from its first byte.
    pub(crate) fn new(prefix: &[u8]) -> Result<Self, Undecoded> {
        let head = FrameHead::read(prefix)?;
        let context = kept::take(&CONTEXT).map_or_else(Context::new, Ok)?;
        // SAFETY: the context is valid and exclusively owned. This call resets it.
        check(unsafe { zstd_sys::ZSTD_decompressBegin(context.0.as_ptr()) })?;
        Ok(Self { context: Some(context), head, left: head.content_size })
    }

    /// Returns the size of the frame's content in bytes.
    pub(crate) fn content_size(&self) -> u64 {
        self.head.content_size
    }

    /// Returns the number of bytes that a block can reach back.
    pub(super) fn window(&self) -> usize {
        self.head.window
    }

    /// Returns the room that is enough to decode the next block, whatever its contents.
    pub(super) fn next_room(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(self.head.block_size())
    }

    /// Returns the number of bytes that the next call of [`decode`](Self::decode) takes. It is 0
    /// after an error, or when the frame has ended with the right checksum.
    pub(crate) fn wanted(&self) -> usize {
        // SAFETY: the context is valid; the call only reads it.
        self.context
            .as_ref()
            .map_or(0, |context| unsafe { zstd_sys::ZSTD_nextSrcSizeToDecompress(context.0.as_ptr()) })
    }

    /// Takes the next [`wanted`](Self::wanted) bytes of the frame and decodes them to `memory` at
    /// `at`. Returns the number of decoded bytes.
    ///
    /// The content decoded before is `older`, followed by `memory` up to `at`. These must contain
    /// all of it, or at least one window. Bytes of `memory` after the decoded ones may change.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        older: &[u8],
        memory: &mut [u8],
        at: usize,
    ) -> Result<usize, Undecoded> {
        // At the end of a frame, zstd itself would treat an empty input as the start of another
        // frame, and read out of bounds.
        let wanted = self.wanted();
        if wanted == 0 || input.len() != wanted || at > memory.len() {
            return Err(damaged("the decoded size differs from that of the frame"));
        }
        // A context that fails is not used again.
        let context = self.context.take().ok_or(NO_CONTEXT)?;
        let decoded = if next_is_a_block(&context) {
            self.decode_block(&context, input, older, memory, at)?
        } else {
            forget_and_decode(&context, input)?;
            0
        };
        self.left = self.left.saturating_sub(decoded as u64);
        self.context = Some(context);
        Ok(decoded)
    }

    fn decode_block(
        &self,
        context: &Context,
        input: &[u8],
        older: &[u8],
        memory: &mut [u8],
        at: usize,
    ) -> Result<usize, Undecoded> {
        let recent = at.min(self.head.window);
        let older = older.split_at(older.len().saturating_sub(self.head.window - recent)).1;
        let room = (memory.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        // All positions in `memory` derive from this pointer, since zstd moves from one to the
        // other.
        let memory = memory.as_mut_ptr();
        // SAFETY: `recent` is at most `at`, and `at` is at most the length of `memory`.
        let (recent_start, start) = unsafe { (memory.add(at - recent), memory.add(at)) };
        insert(context, older.as_ptr(), older.len());
        insert(context, recent_start, recent);
        // SAFETY: the context is valid and exclusively owned. zstd reads `input` within its length,
        // which is the length it requires. It writes at `start` within `room`, which ends at or
        // before the end of `memory`. It also reads its history. That is `older` and the `recent`
        // bytes before `start`, both borrowed for this call, and nothing else: the header of this
        // block was passed to `forget_and_decode`, after which zstd's history was empty, and only
        // the two insertions since have extended it. zstd knows from the addresses and lengths how
        // far it may reach back, and rejects anything beyond.
        let decoded = check(unsafe {
            zstd_sys::ZSTD_decompressContinue(
                context.0.as_ptr(),
                start.cast(),
                room,
                input.as_ptr().cast(),
                input.len(),
            )
        })?;
        Ok(decoded.min(room))
    }
}

impl Drop for BlockDecoder {
    fn drop(&mut self) {
        if let Some(context) = self.context.take() {
            kept::keep(&CONTEXT, context);
        }
    }
}

/// Returns whether the next bytes are the body of a block, not a header or the checksum.
fn next_is_a_block(context: &Context) -> bool {
    // SAFETY: the context is valid; the call only reads it.
    let next = unsafe { zstd_sys::ZSTD_nextInputType(context.0.as_ptr()) };
    matches!(next, ZSTD_nextInputType_e::ZSTDnit_block | ZSTD_nextInputType_e::ZSTDnit_lastBlock)
}

/// Takes bytes that decode to nothing, and makes zstd forget its history.
///
/// If zstd decodes to an address other than the end of its history, it starts a new history. Its
/// previous memory becomes the first of two ranges, and the second is empty. The next range at
/// another address drops the first.
fn forget_and_decode(context: &Context, input: &[u8]) -> Result<(), Undecoded> {
    let [_, nowhere, _] = &NOWHERE;
    // SAFETY: the context is valid, and zstd reads `input` within its length, which is the length
    // it requires. Headers and checksums produce no output; there would be room for one byte.
    check(unsafe {
        zstd_sys::ZSTD_decompressContinue(
            context.0.as_ptr(),
            nowhere.as_ptr().cast(),
            1,
            input.as_ptr().cast(),
            input.len(),
        )
    })
    .map(|_| ())
}

/// Adds the `len` bytes at `start` to the end of zstd's history.
fn insert(context: &Context, start: *const u8, len: usize) {
    // zstd would treat even an empty range as the new end of its history.
    if len > 0 {
        // SAFETY: the context is valid; the call only stores the address.
        unsafe { zstd_sys::ZSTD_insertBlock(context.0.as_ptr(), start.cast(), len) };
    }
}

fn check(code: usize) -> Result<usize, Undecoded> {
    // SAFETY: the call only examines the number.
    match unsafe { zstd_sys::ZSTD_isError(code) } {
        0 => Ok(code),
        _ => Err(Undecoded::of_code(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_BLOCK;
    use super::super::testing::{self, compress, lying_and_right};
    use super::*;
    use crate::error::FrameProblem;

    fn repeating(len: usize) -> Vec<u8> {
        testing::repeating(50_000, len)
    }

    /// Decodes into memory with just enough room for the content. After `switch` bytes, these
    /// become the older ones, and the rest is decoded into other memory.
    fn decode(frame: &[u8], switch: usize) -> Result<Vec<u8>, Undecoded> {
        let mut decoder = BlockDecoder::new(frame)?;
        let size = usize::try_from(decoder.content_size()).unwrap();
        let mut older = Vec::new();
        let mut memory = vec![1; size];
        let mut input = frame;
        let mut at = 0;
        while decoder.wanted() > 0 {
            if at >= switch && older.is_empty() {
                older = memory[..at].to_vec();
                // The bytes that were decoded there are lost.
                memory.fill(2);
                memory.truncate(size - at);
                at = 0;
            }
            let (now, later) = input.split_at_checked(decoder.wanted()).ok_or(FrameProblem::Truncated)?;
            at += decoder.decode(now, &older, &mut memory, at)?;
            input = later;
        }
        assert_eq!(input, b"");
        Ok([&older, &memory[..at]].concat())
    }

    #[test]
    fn blocks_reach_back_into_older_memory_and_recent() {
        let content = repeating(700_000);
        for block in [5, 1000, 100_000, usize::MAX] {
            let frame = compress(&content, block, 19);
            assert!(block < 1000 || frame.len() < 100_000, "blocks repeat what was in those before");
            for switch in [0, 1, 12, 200_000, usize::MAX] {
                assert!(decode(&frame, switch).unwrap() == content, "{switch}");
            }
        }
    }

    #[test]
    fn a_match_reaches_one_window_back_wherever_the_bytes_are_and_no_farther() {
        for (lying, right, content) in lying_and_right() {
            for switch in [0, 1, 12, 1000, 200_000, usize::MAX] {
                assert!(decode(&right, switch).unwrap() == content, "{switch}");
                let refused = decode(&lying, switch);
                assert!(matches!(refused, Err(Undecoded::Problem(FrameProblem::Damaged { .. }))), "{switch}");
            }
        }
    }

    #[test]
    fn empty_places_do_no_harm() {
        let frame = compress(b"", 1, 19);
        assert_eq!(decode(&frame, 0).unwrap(), b"");
        let frame = compress(b"head", 4, 19);
        assert_eq!(decode(&frame, 4).unwrap(), b"head");
        let mut decoder = BlockDecoder::new(&frame).unwrap();
        let mut input = &frame[..];
        let mut at = 0;
        let mut short = [0; 3];
        let refused = loop {
            let (now, later) = input.split_at(decoder.wanted());
            input = later;
            match decoder.decode(now, &[], &mut short, at) {
                Ok(decoded) => at += decoded,
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, Undecoded::Problem(FrameProblem::Damaged { .. })), "{refused:?}");
        // A raw, empty last block (header 01 00 00, RFC 8878 3.1.1.2), and memory for it at another
        // address.
        let empty_end =
            [b"\x28\xb5\x2f\xfd\x20\x04\x20\x00\x00head\x02\x00\x00\x00\x01\x00\x00".as_slice()].concat();
        assert_eq!(decode(&empty_end, 4).unwrap(), b"head");
    }

    #[test]
    fn damage_and_cuts_are_noticed_and_the_next_frame_is_read_all_the_same() {
        let content = repeating(300_000);
        let frame = compress(&content, usize::MAX, 19);
        for at in (0..frame.len()).step_by(97).chain([frame.len() - 1]) {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            let decoded = decode(&damaged, 1);
            assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded == content), "bit of byte {at}");
            assert!(decode(&frame[..at], 1).is_err(), "cut at {at}");
            assert!(decode(&frame, 1).unwrap() == content);
        }
    }

    #[test]
    fn a_block_gets_the_room_it_asks_for_at_most() {
        let content = repeating(2 * MAX_BLOCK + 5);
        let frame = compress(&content, usize::MAX, 19);
        let mut decoder = BlockDecoder::new(&frame).unwrap();
        assert_eq!((decoder.content_size(), decoder.next_room()), (content.len() as u64, MAX_BLOCK));
        let mut input = &frame[..];
        let mut at = 0;
        let mut memory = vec![0; content.len()];
        while decoder.wanted() > 0 {
            assert_eq!(decoder.next_room(), MAX_BLOCK.min(content.len() - at));
            let (now, later) = input.split_at(decoder.wanted());
            at += decoder.decode(now, &[], &mut memory, at).unwrap();
            input = later;
        }
        assert_eq!(decoder.next_room(), 0);
    }

    #[test]
    fn a_decoder_that_has_ended_takes_nothing_more() {
        let frame = compress(b"head", 4, 19);
        let mut output = [0; 8];
        let mut decoder = BlockDecoder::new(&frame).unwrap();
        let mut input = &frame[..];
        let mut at = 0;
        while decoder.wanted() > 0 {
            let (now, later) = input.split_at(decoder.wanted());
            at += decoder.decode(now, &[], &mut output, at).unwrap();
            input = later;
        }
        assert_eq!(&output, b"head\0\0\0\0");
        assert!(decoder.decode(&[], &[], &mut output, at).is_err());
        assert_eq!(decoder.wanted(), 0);
    }

    #[test]
    fn a_decoder_that_failed_gives_nothing_more() {
        let frame = compress(b"head", 4, 19);
        let mut output = [0; 4];
        let mut decoder = BlockDecoder::new(&frame).unwrap();
        assert_eq!(decoder.content_size(), 4);
        assert!(decoder.decode(&frame[..1], &[], &mut output, 0).is_err(), "not as much as it wants");
        assert!(decoder.decode(&frame[..decoder.wanted()], &[], &mut output, 5).is_err(), "past the memory");
        while let Ok(decoded) = decoder.decode(&vec![0xff; decoder.wanted()], &[], &mut output, 0) {
            assert_eq!(decoded, 0);
        }
        assert_eq!(decoder.wanted(), 0);
        assert!(decoder.decode(&frame[..5], &[], &mut output, 0).is_err());
    }
}
