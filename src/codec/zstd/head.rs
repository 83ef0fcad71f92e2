//! The header of a frame (RFC 8878, 3.1.1.1), parsed here because zstd's own parser fills a struct
//! whose layout differs between releases.

use crate::error::FrameProblem;

/// The first four bytes of a frame (RFC 8878, 3.1.1).
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// The first four bytes of a skippable frame, whose lowest four bits are arbitrary (RFC 8878,
/// 3.1.2).
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;

/// The longest frame header in bytes: magic, descriptor, window, dictionary ID, content size.
pub(crate) const MAX_FRAME_HEADER: usize = 18;

/// The largest accepted window: 128 MiB, which level 22 uses and the reference implementation
/// accepts.
pub(super) const MAX_WINDOW: u64 = 1 << 27;

/// The maximum decoded size of one block (RFC 8878, 3.1.1.2.4).
pub(crate) const MAX_BLOCK: usize = 128 << 10;

/// The checked values of a frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Size of the frame's content in bytes.
    pub(super) content_size: u64,
    /// The number of bytes that a match may reach back, at most [`MAX_WINDOW`].
    pub(super) window: usize,
}

impl FrameHead {
    /// Parses the header of the frame that starts with `prefix`: at least [`MAX_FRAME_HEADER`]
    /// bytes of it, unless the frame is shorter.
    pub(super) fn read(prefix: &[u8]) -> Result<Self, FrameProblem> {
        let (magic, mut rest) = prefix.split_first_chunk().ok_or(FrameProblem::Truncated)?;
        if *magic != FRAME_MAGIC {
            return Err(if u32::from_le_bytes(*magic) & !0xF == SKIPPABLE_MAGIC {
                FrameProblem::Skippable
            } else {
                FrameProblem::NotZstd { found: hex::encode(magic) }
            });
        }
        let descriptor = take(&mut rest, 1)?;
        if descriptor & 0b1000 != 0 {
            return Err(FrameProblem::Damaged { message: "a reserved bit of its header is set" });
        }
        let is_single_segment = descriptor & 0b10_0000 != 0;
        let window = if is_single_segment { None } else { Some(window_size(take(&mut rest, 1)?)) };
        let id = take(&mut rest, [0, 1, 2, 4][(descriptor & 0b11) as usize])?;
        if id != 0 {
            return Err(FrameProblem::Dictionary { id: u32::try_from(id).unwrap_or(u32::MAX) });
        }
        let content_size = match descriptor >> 6 {
            0 if !is_single_segment => return Err(FrameProblem::NoContentSize),
            0 => take(&mut rest, 1)?,
            // The two-byte range starts where the one-byte range ends.
            1 => take(&mut rest, 2)? + 256,
            2 => take(&mut rest, 4)?,
            _ => take(&mut rest, 8)?,
        };
        match usize::try_from(window.unwrap_or(content_size)) {
            Ok(window) if window as u64 <= MAX_WINDOW => Ok(Self { content_size, window }),
            _ => Err(FrameProblem::Damaged { message: "Frame requires too much memory for decoding" }),
        }
    }

    /// Returns the maximum decoded size of a block of this frame (RFC 8878, 3.1.1.2.4).
    pub(super) fn block_size(&self) -> usize {
        self.window.min(MAX_BLOCK)
    }
}

/// Takes the next `count` bytes, at most eight, as a little-endian number.
fn take(bytes: &mut &[u8], count: usize) -> Result<u64, FrameProblem> {
    let (number, rest) = bytes.split_at_checked(count).ok_or(FrameProblem::Truncated)?;
    *bytes = rest;
    Ok(number.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Returns the window size for a window descriptor (RFC 8878, 3.1.1.1.2).
fn window_size(descriptor: u64) -> u64 {
    let base = 1 << (10 + (descriptor >> 3));
    base + base / 8 * (descriptor & 0b111)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a frame that starts with this descriptor and these bytes.
    fn read(descriptor: u8, rest: &[u8]) -> Result<FrameHead, FrameProblem> {
        FrameHead::read(&[&FRAME_MAGIC, [descriptor].as_slice(), rest].concat())
    }

    #[test]
    fn every_field_is_where_the_standard_says() {
        let head = |content_size, window| Ok(FrameHead { content_size, window });
        // Single segment: the window is the content.
        assert_eq!(read(0x20, &[11]), head(11, 11));
        assert_eq!(read(0x60, &[1, 1]), head(0x201, 0x201));
        assert_eq!(read(0xA0, &[0, 0, 1, 0]), head(0x1_0000, 0x1_0000));
        // A window of 2^(10 + 2), and of 2^(10 + 2) + 3/8 of that.
        assert_eq!(read(0x40, &[0x10, 0, 0]), head(256, 4096));
        assert_eq!(read(0x80, &[0x13, 5, 0, 0, 0]), head(5, 5632));
        assert_eq!(read(0xC0, &[0x10, 0, 0, 0, 0, 0, 1, 0, 0]), head(1 << 40, 4096));
        // A dictionary ID of 0 means that there is none.
        assert_eq!(read(0x23, &[0, 0, 0, 0, 11]), head(11, 11));
        assert_eq!(read(0x22, &[7, 1, 11]), Err(FrameProblem::Dictionary { id: 0x107 }));
        // Bit 4 is unused, and decoders ignore it. Bit 3 is reserved.
        assert_eq!(read(0x30, &[11]), head(11, 11));
        assert!(matches!(read(0x28, &[11]), Err(FrameProblem::Damaged { .. })));
    }

    #[test]
    fn agrees_with_zstd() {
        use zstd::zstd_safe::{get_dict_id_from_frame, get_frame_content_size};
        for descriptor in 0..=u8::MAX {
            for seed in 0..32_u8 {
                let rest: Vec<u8> = (0..13).map(|n: u8| seed.wrapping_mul(37 + n) >> (seed % 5)).collect();
                let frame = [&FRAME_MAGIC, [descriptor].as_slice(), &rest].concat();
                let ours = FrameHead::read(&frame);
                let theirs =
                    get_frame_content_size(&frame).map(|size| (size, get_dict_id_from_frame(&frame)));
                match (&ours, theirs) {
                    (Ok(head), Ok((size, id))) => assert_eq!((size, id), (Some(head.content_size), None)),
                    (Err(FrameProblem::Dictionary { id }), Ok((_, found))) => {
                        assert_eq!(found.map(u32::from), Some(*id));
                    }
                    (Err(FrameProblem::NoContentSize), Ok((size, _))) => assert_eq!(size, None),
                    // zstd accepts larger windows.
                    (Err(FrameProblem::Damaged { message }), Ok(_)) => assert!(message.contains("memory")),
                    (Err(_), Err(_)) => {}
                    (ours, theirs) => panic!("{descriptor:#x} {rest:?}: {ours:?}, {theirs:?}"),
                }
            }
        }
    }

    #[test]
    fn foreign_and_short_frames_are_refused_by_name() {
        assert_eq!(FrameHead::read(b"\x53\x2a\x4d\x18\0\0\0\0"), Err(FrameProblem::Skippable));
        let found = "1f8b0800".into();
        assert_eq!(FrameHead::read(b"\x1f\x8b\x08\x00rest"), Err(FrameProblem::NotZstd { found }));
        for short in [&b"\x28\xb5"[..], &FRAME_MAGIC, b"\x28\xb5\x2f\xfd\xc0\x58\x01\x02"] {
            assert_eq!(FrameHead::read(short), Err(FrameProblem::Truncated), "{short:?}");
        }
        assert_eq!(read(0, &[0x58, 1, 2, 3]), Err(FrameProblem::NoContentSize));
    }

    #[test]
    fn wide_windows_are_refused() {
        // A window of 2^(10 + exponent) bytes, and a content of 2^40.
        for (exponent, accepted) in [(17_u8, true), (18, false), (31, false)] {
            let head = read(0xC0, &[exponent << 3, 0, 0, 0, 0, 0, 1, 0, 0]);
            assert_eq!(head.is_ok(), accepted, "exponent {exponent}");
        }
        assert!(read(0xC0, &[17 << 3 | 1, 0, 0, 0, 0, 0, 1, 0, 0]).is_err());
        assert!(read(0xA0, &[0, 0, 0, 8]).is_ok());
        assert!(read(0xA0, &[1, 0, 0, 8]).is_err(), "a single segment of 128 MiB and a byte");
    }
}
