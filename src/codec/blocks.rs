//! A zstd frame decoded block by block, each block right where it stays: no window of zstd's own, and no copy from one.
//!
//! zstd calls this buffer-less streaming. Earlier blocks are its window, so they have to stay as they are until the frame
//! has ended; here the borrow checker sees to that.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use zstd::zstd_safe::zstd_sys;

use super::frame::{CONTEXT_SIZE, MAX_WINDOW_LOG, NO_CONTEXT, Undecoded, content_size, damaged, failure};
use crate::error::FrameProblem;

/// The most bytes that one block decodes to (RFC 8878, 3.1.1.2.4).
pub(crate) const MAX_BLOCK: usize = 128 << 10;

thread_local! {
    /// A context is kept for the thread. It has no window, so its size does not depend on what it decoded.
    static KEPT: Cell<Option<Context>> = const { Cell::new(None) };
}

/// A context of zstd's, owned.
struct Context(NonNull<zstd_sys::ZSTD_DCtx>);

impl Context {
    fn new() -> Option<Self> {
        // SAFETY: asks for nothing; returns null or a context that is the caller's.
        NonNull::new(unsafe { zstd_sys::ZSTD_createDCtx() }).map(Self)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context came from `ZSTD_createDCtx`, and this is the only place that frees it.
        unsafe { zstd_sys::ZSTD_freeDCtx(self.0.as_ptr()) };
    }
}

/// Decodes one frame. What it decodes into is borrowed for `'o`, which outlives it: it reads there again.
pub(crate) struct BlockDecoder<'o> {
    /// There until the decoder is dropped, or has failed.
    context: Option<Context>,
    /// Behind what was decoded last.
    end: *mut u8,
    outputs: PhantomData<&'o [u8]>,
}

impl<'o> BlockDecoder<'o> {
    /// Starts on the frame whose first bytes are `prefix` (at least [`MAX_FRAME_HEADER`](super::MAX_FRAME_HEADER) of them,
    /// unless it is shorter). Returns the decoder, which wants the frame from its first byte on, and the size of the
    /// frame's content.
    pub(crate) fn new(prefix: &[u8]) -> Result<(Self, u64), Undecoded> {
        let size = content_size(prefix)?;
        if window_size(prefix)? > 1 << MAX_WINDOW_LOG {
            return Err(damaged("Frame requires too much memory for decoding"));
        }
        let context = KEPT.take().or_else(Context::new).ok_or(NO_CONTEXT)?;
        // SAFETY: the context is valid, and owned here alone. What it kept of an earlier frame is forgotten.
        check(unsafe { zstd_sys::ZSTD_decompressBegin(context.0.as_ptr()) })?;
        Ok((Self { context: Some(context), end: ptr::null_mut(), outputs: PhantomData }, size))
    }

    /// How many bytes of the frame the next call of [`decode`](Self::decode) takes; 0 if the frame has ended and its
    /// checksum was right, or after an error.
    pub(crate) fn wanted(&self) -> usize {
        // SAFETY: the context is valid; the call only looks at it.
        self.context
            .as_ref()
            .map_or(0, |context| unsafe { zstd_sys::ZSTD_nextSrcSizeToDecompress(context.0.as_ptr()) })
    }

    /// Takes the next [`wanted`](Self::wanted) bytes of the frame. Returns what was decoded from them, at the start of
    /// `output`, and the rest of `output`. The next call goes on in that rest; it may go on elsewhere once in a frame, since
    /// zstd remembers one earlier place.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        output: &'o mut [u8],
    ) -> Result<(&'o [u8], &'o mut [u8]), Undecoded> {
        // zstd itself takes nothing at the end of a frame for the start of another, and reads where there is nothing.
        let wanted = self.wanted();
        if wanted == 0 || input.len() != wanted {
            return Err(damaged("more or less was decoded than the frame has"));
        }
        // What fails is not used again.
        let context = self.context.take().ok_or(NO_CONTEXT)?;
        // An empty slice may lie anywhere, and zstd would take its place for the end of what it decoded.
        let start = if output.is_empty() { self.end } else { output.as_mut_ptr() };
        // SAFETY: the context is valid and owned here alone. zstd reads `input` within its length, which is as long as it
        // wants, and not empty. It writes at `start` within the length of `output`, which is 0 or that of the slice that
        // starts there. It also reads what it wrote in earlier calls, which lies in slices that were borrowed exclusively
        // for `'o` and of which this function has given back only a shared view, so until `'o` is over, which is not before
        // the decoder is gone, they are neither freed nor changed. (It reads there through pointers that it kept
        // from those calls. What Rust's models of aliasing, which are not settled, make of pointers that foreign code keeps
        // is open; what is relied on here is that until then nobody writes to that memory but zstd.) How far it may reach
        // back it knows from the places and sizes of what it decoded, and refuses more.
        let decoded = check(unsafe {
            zstd_sys::ZSTD_decompressContinue(
                context.0.as_ptr(),
                start.cast(),
                output.len(),
                input.as_ptr().cast(),
                input.len(),
            )
        })?;
        let (decoded, rest) = output.split_at_mut(decoded.min(output.len()));
        self.end = start.wrapping_add(decoded.len());
        self.context = Some(context);
        Ok((decoded, rest))
    }
}

impl Drop for BlockDecoder<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.context.take() {
            KEPT.set(Some(context));
        }
    }
}

/// How far back a frame reaches, as its header says.
pub(super) fn window_size(prefix: &[u8]) -> Result<u64, Undecoded> {
    let mut header = MaybeUninit::<zstd_sys::ZSTD_FrameHeader>::zeroed();
    // SAFETY: zstd reads `prefix` within its length, and writes one header where there is room for one.
    let missing = check(unsafe {
        zstd_sys::ZSTD_getFrameHeader(header.as_mut_ptr(), prefix.as_ptr().cast(), prefix.len())
    })?;
    if missing > 0 {
        return Err(FrameProblem::Truncated.into());
    }
    // SAFETY: the call succeeded, so the header is filled.
    Ok(unsafe { header.assume_init() }.windowSize)
}

fn check(code: usize) -> Result<usize, Undecoded> {
    // SAFETY: only looks at the number.
    match unsafe { zstd_sys::ZSTD_isError(code) } {
        0 => Ok(code),
        // No window of its own: what takes memory is the context.
        _ => Err(failure(code, CONTEXT_SIZE)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{FrameEncoder, frame_bound};
    use super::*;

    /// A frame of `content`, zstd's blocks ending where the pieces do.
    fn compress(pieces: &[&[u8]]) -> Vec<u8> {
        let size = pieces.iter().map(|piece| piece.len()).sum();
        let mut frame = vec![0; frame_bound(size) + 16 * pieces.len()];
        let mut encoder = FrameEncoder::new(3, size as u64, &mut frame).unwrap();
        for piece in pieces {
            encoder.push(piece).unwrap();
            encoder.end_block().unwrap();
        }
        let size = encoder.finish().unwrap();
        frame.truncate(size);
        frame
    }

    /// Decodes into `first` until it has `switch` bytes, then into `second`.
    fn decode(
        frame: &[u8],
        first: &mut [u8],
        switch: usize,
        second: &mut [u8],
    ) -> Result<Vec<u8>, Undecoded> {
        let (mut decoder, _) = BlockDecoder::new(frame)?;
        let (mut input, mut output, mut second) = (frame, first, Some(second));
        let mut content = Vec::new();
        while decoder.wanted() > 0 {
            if content.len() >= switch
                && let Some(second) = second.take()
            {
                output = second;
            }
            let (now, later) = input.split_at_checked(decoder.wanted()).ok_or(FrameProblem::Truncated)?;
            let (decoded, rest) = decoder.decode(now, output)?;
            content.extend_from_slice(decoded);
            (input, output) = (later, rest);
        }
        assert_eq!(input, b"");
        Ok(content)
    }

    /// Text that repeats at every distance up to `len`, so that blocks reach back into those before them.
    fn repeating(len: usize) -> Vec<u8> {
        let noise: Vec<u8> =
            (0..50_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
        noise.iter().copied().cycle().take(len).collect()
    }

    #[test]
    fn blocks_reach_back_into_the_first_place_and_the_second() {
        let content = repeating(700_000);
        for pieces in [
            vec![&content[..]],
            vec![&content[..12], &content[12..]],
            vec![&content[..5], &content[5..9], &content[9..100_000], &content[100_000..]],
        ] {
            let frame = compress(&pieces);
            assert!(frame.len() < 100_000, "blocks repeat what was in those before");
            for switch in [0, 1, 12, 200_000, usize::MAX] {
                let (mut first, mut second) = (vec![1; content.len()], vec![2; content.len()]);
                assert!(decode(&frame, &mut first, switch, &mut second).unwrap() == content, "{switch}");
            }
        }
    }

    #[test]
    fn empty_places_do_no_harm() {
        let frame = compress(&[b""]);
        assert_eq!(decode(&frame, &mut [], 0, &mut []).unwrap(), b"");
        let frame = compress(&[b"head"]);
        assert_eq!(decode(&frame, &mut [0; 4], 4, &mut []).unwrap(), b"head");
        let refused = decode(&frame, &mut [0; 3], 9, &mut []);
        assert!(matches!(refused, Err(Undecoded::Problem(FrameProblem::Damaged { .. }))), "{refused:?}");
        // A last block that is raw and empty (header 01 00 00, RFC 8878 3.1.1.2), with a place for it that lies elsewhere.
        let mut content = [0; 4];
        let empty_end =
            [b"\x28\xb5\x2f\xfd\x20\x04\x20\x00\x00head\x02\x00\x00\x00\x01\x00\x00".as_slice()].concat();
        assert_eq!(decode(&empty_end, &mut content, 4, &mut []).unwrap(), b"head");
    }

    #[test]
    fn damage_and_cuts_are_noticed_and_the_next_frame_is_read_all_the_same() {
        let content = repeating(300_000);
        let frame = compress(&[&content]);
        let (mut first, mut second) = (vec![0; content.len()], vec![0; content.len()]);
        for at in (0..frame.len()).step_by(97).chain([frame.len() - 1]) {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            let decoded = decode(&damaged, &mut first, 1, &mut second);
            assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded == content), "bit of byte {at}");
            assert!(decode(&frame[..at], &mut first, 1, &mut second).is_err(), "cut at {at}");
            assert!(decode(&frame, &mut first, 1, &mut second).unwrap() == content);
        }
    }

    #[test]
    fn wide_windows_are_refused() {
        // Descriptor 0xC0: 8 bytes of content size; then a window of 2^(10 + exponent) bytes.
        for (exponent, accepted) in [(17_u8, true), (18, false), (31, false)] {
            let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xc0, exponent << 3];
            frame.extend((1_u64 << 40).to_le_bytes());
            assert_eq!(BlockDecoder::new(&frame).is_ok(), accepted, "exponent {exponent}");
        }
    }

    #[test]
    fn a_decoder_that_has_ended_takes_nothing_more() {
        let frame = compress(&[b"head"]);
        let mut output = [0; 8];
        let (mut decoder, _) = BlockDecoder::new(&frame).unwrap();
        let (mut input, mut room) = (&frame[..], &mut output[..]);
        while decoder.wanted() > 0 {
            let (now, later) = input.split_at(decoder.wanted());
            (input, room) = (later, decoder.decode(now, room).unwrap().1);
        }
        assert!(decoder.decode(&[], room).is_err());
        assert_eq!(decoder.wanted(), 0);
    }

    #[test]
    fn a_decoder_that_failed_gives_nothing_more() {
        let frame = compress(&[b"head"]);
        let mut output = [0; 4];
        let (mut decoder, size) = BlockDecoder::new(&frame).unwrap();
        assert_eq!(size, 4);
        assert!(decoder.decode(&frame[..1], &mut []).is_err(), "not as much as it wants");
        let mut room = &mut output[..];
        while let Ok((_, rest)) = decoder.decode(&vec![0xff; decoder.wanted()], room) {
            room = rest;
        }
        assert_eq!(decoder.wanted(), 0);
        assert!(decoder.decode(&frame[..5], &mut []).is_err());
    }
}
