//! Decodes a zstd frame piece by piece, in no more memory than its window and two blocks.

use std::cell::Cell;
use std::ops::Range;

use super::blocks::BlockDecoder;
use super::failure::Undecoded;
use super::head::MAX_BLOCK;
use super::kept::{self, MAX_KEPT};

thread_local! {
    static RING: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// A decoder of one frame into a ring. If the next block may not fit before the ring's end, it goes
/// to the start, over bytes that no block can reach any more.
pub(crate) struct FrameDecoder {
    blocks: BlockDecoder,
    ring: Vec<u8>,
    /// The position of the next block.
    at: usize,
    /// The end of the last lap, or 0 in the first lap.
    last_lap: usize,
}

impl FrameDecoder {
    /// Creates a decoder for the frame that starts with `prefix`, like [`BlockDecoder::new`].
    pub(crate) fn new(prefix: &[u8]) -> Result<Self, Undecoded> {
        let blocks = BlockDecoder::new(prefix)?;
        // With the second block, a new lap does not overlap the window that ends at the end of the
        // last lap.
        let laps = blocks.window() + 2 * MAX_BLOCK;
        let size = usize::try_from(blocks.content_size()).unwrap_or(usize::MAX).min(laps);
        let mut ring = kept::take(&RING).unwrap_or_default();
        if ring.len() < size {
            ring = zeroed(size)?;
        }
        Ok(Self { blocks, ring, at: 0, last_lap: 0 })
    }

    /// Returns the size of the frame's content in bytes.
    pub(crate) fn content_size(&self) -> u64 {
        self.blocks.content_size()
    }

    /// Returns the number of bytes that the next call of [`decode`](Self::decode) takes, like
    /// [`BlockDecoder::wanted`].
    pub(crate) fn wanted(&self) -> usize {
        self.blocks.wanted()
    }

    /// Takes the next [`wanted`](Self::wanted) bytes of the frame. Returns the range of the decoded
    /// bytes in [`ring`](Self::ring), which may be empty. They stay there until the next call.
    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<Range<usize>, Undecoded> {
        if self.ring.len() - self.at < self.blocks.next_room() {
            (self.last_lap, self.at) = (self.at, 0);
        }
        // The rest of the last lap that is still in the window.
        let older = self.blocks.window().saturating_sub(self.at).min(self.last_lap);
        let (memory, older) = match older {
            0 => (self.ring.as_mut_slice(), [].as_slice()),
            _ => {
                let (last_lap, _) = self.ring.split_at_mut(self.last_lap);
                let (memory, older) = last_lap.split_at_mut(last_lap.len() - older);
                (memory, &*older)
            }
        };
        let decoded = self.blocks.decode(input, older, memory, self.at)?;
        let start = self.at;
        self.at += decoded;
        Ok(start..self.at)
    }

    /// Returns the memory that [`decode`](Self::decode) decodes to.
    pub(crate) fn ring(&self) -> &[u8] {
        &self.ring
    }
}

impl Drop for FrameDecoder {
    fn drop(&mut self) {
        let ring = std::mem::take(&mut self.ring);
        if ring.len() <= MAX_KEPT {
            kept::keep(&RING, ring);
        }
    }
}

/// Allocates memory of this size, or returns an error if there is not enough.
fn zeroed(size: usize) -> Result<Vec<u8>, Undecoded> {
    zerocopy::FromZeros::new_vec_zeroed(size).map_err(|_| Undecoded::Memory { bytes: size as u64 })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{compress, lying_and_right, repeating, with_window};
    use super::*;
    use crate::error::FrameProblem;

    fn decode(frame: &[u8]) -> Result<Vec<u8>, Undecoded> {
        let mut decoder = FrameDecoder::new(frame)?;
        let mut input = frame;
        let mut content = Vec::new();
        while decoder.wanted() > 0 {
            let (now, later) = input.split_at_checked(decoder.wanted()).ok_or(FrameProblem::Truncated)?;
            let decoded = decoder.decode(now)?;
            content.extend_from_slice(&decoder.ring()[decoded]);
            input = later;
        }
        assert_eq!((input, content.len() as u64), (&[][..], decoder.content_size()));
        Ok(content)
    }

    /// Discards the ring of earlier frames.
    fn start_afresh() {
        kept::take(&RING);
    }

    #[test]
    fn frames_of_many_windows_come_back() {
        let content = repeating(50_000, 5_000_000);
        for (block, window_log) in [(40_000, 16), (65_536, 17), (1000, 19), (300_000, 22), (100_000, 27)] {
            let frame = compress(&content, block, window_log);
            start_afresh();
            assert!(decode(&frame).unwrap() == content, "a window of 2^{window_log}");
            assert!(
                decode(&frame).unwrap() == content,
                "a window of 2^{window_log}, in a ring that was kept"
            );
        }
        for size in [0, 1, 12, MAX_BLOCK, 3 * MAX_BLOCK + 1] {
            assert!(decode(&compress(&content[..size], 1 << 20, 19)).unwrap() == content[..size]);
        }
    }

    #[test]
    fn a_match_reaches_one_window_back_whatever_was_decoded_before_and_no_farther() {
        for (lying, right, content) in lying_and_right() {
            start_afresh();
            let refused = decode(&lying).unwrap_err();
            assert!(matches!(refused, Undecoded::Problem(FrameProblem::Damaged { .. })), "{refused:?}");
            start_afresh();
            assert!(decode(&right).unwrap() == content);
            // The kept ring is now larger than the window needs.
            decode(&compress(&repeating(50_000, 5_000_000), 1 << 20, 22)).unwrap();
            assert_eq!(decode(&lying).unwrap_err(), refused);
            assert!(decode(&right).unwrap() == content);
        }
    }

    #[test]
    fn a_frame_takes_memory_for_its_window_or_its_content() {
        let frame = compress(&repeating(50_000, 5_000_000), 1 << 20, 19);
        start_afresh();
        assert_eq!(FrameDecoder::new(&frame).unwrap().ring.len(), (512 << 10) + 2 * MAX_BLOCK);
        start_afresh();
        assert_eq!(FrameDecoder::new(&with_window(&frame, 17, 0)).unwrap().ring.len(), 5_000_000);
    }

    #[test]
    fn small_rings_are_kept_and_large_ones_are_not() {
        start_afresh();
        let frame = compress(&vec![0; 64 << 20], 1 << 20, 19);
        decode(&frame).unwrap();
        let ring = kept::take(&RING);
        assert!(ring.is_some_and(|ring| !ring.is_empty()));
        decode(&with_window(&frame, 15, 0)).unwrap();
        assert!(kept::take(&RING).is_none());
    }

    #[test]
    fn damage_and_cuts_are_noticed() {
        let content: Vec<u8> = (0..5000_u32).map(|n| ((n * n) >> 7).to_le_bytes()[0]).collect();
        let frame = compress(&content, 1000, 19);
        for cut in 0..frame.len() {
            assert!(decode(&frame[..cut]).is_err(), "cut at {cut}");
        }
        let mut wrong_sum = frame.clone();
        *wrong_sum.last_mut().unwrap() ^= 1;
        let refused = decode(&wrong_sum);
        assert!(matches!(refused, Err(Undecoded::Problem(FrameProblem::Damaged { .. }))), "{refused:?}");
    }
}
