//! Reasons why a frame is not decoded.

use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

use crate::error::FrameProblem;

/// The approximate size in bytes of a context without a window. A test compares it with zstd's own
/// value.
const CONTEXT_SIZE: u64 = 160 << 10;

/// There is no memory for a context.
pub(super) const NO_CONTEXT: Undecoded = Undecoded::Memory { bytes: CONTEXT_SIZE };

/// The reason why a frame is not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// The frame is not valid.
    Problem(FrameProblem),
    /// There is not enough memory. The size is approximate.
    Memory { bytes: u64 },
    /// The linked zstd library is not supported by this crate. The text has the details.
    Library(String),
}

impl From<FrameProblem> for Undecoded {
    fn from(problem: FrameProblem) -> Self {
        Self::Problem(problem)
    }
}

impl Undecoded {
    /// Returns the meaning of a zstd error code. A block that does not fit has more content than
    /// the frame declares, which is damage.
    pub(super) fn of_code(code: usize) -> Self {
        if zstd_safe::is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
            return NO_CONTEXT;
        }
        let damage = (ZSTD_ErrorCode::ZSTD_error_corruption_detected as usize).wrapping_neg();
        let is_too_much = zstd_safe::is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall);
        damaged(zstd_safe::get_error_name(if is_too_much { damage } else { code }))
    }
}

pub(super) fn damaged(message: &'static str) -> Undecoded {
    FrameProblem::Damaged { message }.into()
}

#[cfg(test)]
mod tests {
    use zstd::zstd_safe::DCtx;

    use super::*;

    #[test]
    fn a_context_takes_about_as_much_as_errors_say() {
        let size = DCtx::create().sizeof() as u64;
        assert!((CONTEXT_SIZE / 2..CONTEXT_SIZE * 2).contains(&size), "{size} bytes");
    }

    #[test]
    fn no_memory_is_no_damage() {
        let failure = |kind: ZSTD_ErrorCode| Undecoded::of_code((kind as usize).wrapping_neg());
        assert_eq!(failure(ZSTD_ErrorCode::ZSTD_error_memory_allocation), NO_CONTEXT);
        let damage = failure(ZSTD_ErrorCode::ZSTD_error_checksum_wrong);
        assert!(matches!(damage, Undecoded::Problem(FrameProblem::Damaged { .. })), "{damage:?}");
        let too_much = failure(ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall);
        assert_eq!(too_much, failure(ZSTD_ErrorCode::ZSTD_error_corruption_detected));
    }
}
