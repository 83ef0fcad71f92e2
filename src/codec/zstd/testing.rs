//! Frames for the tests of both decoders.

use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, compress_bound, zstd_sys::ZSTD_EndDirective};

/// Returns a frame of `content`, with one block per `block` bytes, and matches of at most
/// 2^`window_log` bytes back.
pub(super) fn compress(content: &[u8], block: usize, window_log: u32) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::WindowLog(window_log)).unwrap();
    context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    context.set_pledged_src_size(Some(content.len() as u64)).unwrap();
    let blocks: Vec<&[u8]> = content.chunks(block).collect();
    let mut frame = vec![0; compress_bound(content.len()) + 64 * blocks.len() + 64];
    let mut output = OutBuffer::around(&mut frame[..]);
    for block in blocks {
        let mut input = InBuffer::around(block);
        let end = ZSTD_EndDirective::ZSTD_e_flush;
        assert_eq!(context.compress_stream2(&mut output, &mut input, end), Ok(0));
    }
    let end = ZSTD_EndDirective::ZSTD_e_end;
    assert_eq!(context.compress_stream2(&mut output, &mut InBuffer::around(&[]), end), Ok(0));
    let size = output.pos();
    frame.truncate(size);
    frame
}

/// Returns bytes that repeat after `period` bytes, and hardly before.
pub(super) fn repeating(period: u32, len: usize) -> Vec<u8> {
    let noise = (0..period).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]);
    noise.cycle().take(len).collect()
}

/// Returns the frame with another window in its header: 2^(10 + `exponent`) bytes, plus `eighths`
/// eighths of that.
pub(super) fn with_window(frame: &[u8], exponent: u8, eighths: u8) -> Vec<u8> {
    const SINGLE_SEGMENT: u8 = 0b10_0000;
    let is_single_segment = frame[4] & SINGLE_SEGMENT != 0;
    let window = [exponent << 3 | eighths];
    [&frame[..4], &[frame[4] & !SINGLE_SEGMENT], &window, &frame[if is_single_segment { 5 } else { 6 }..]]
        .concat()
}

/// Returns frames whose matches reach farther back than the declared window, frames whose window is
/// just large enough, and the content of both.
pub(super) fn lying_and_right() -> [(Vec<u8>, Vec<u8>, Vec<u8>); 3] {
    // Windows of 1152 bytes, 64 KiB and 576 KiB; the next smaller ones have 1024 bytes, 60 KiB and
    // 512 KiB.
    let cases = [
        (1152, 64, 11, (0, 1), (0, 0)),
        (65_536, 512, 16, (6, 0), (5, 7)),
        (589_824, 20_000, 20, (9, 1), (9, 0)),
    ];
    cases.map(|(period, block, window_log, right, lying)| {
        let content = repeating(period, 6 * period as usize + 100);
        let frame = compress(&content, block, window_log);
        assert!(frame.len() < 3 * period as usize, "blocks repeat bytes of those before");
        (with_window(&frame, lying.0, lying.1), with_window(&frame, right.0, right.1), content)
    })
}
