//! Why a frame is not decoded.

use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

use crate::error::FrameProblem;

/// Bytes of a context without a window, about: a test compares it with what zstd takes.
const CONTEXT_SIZE: u64 = 160 << 10;

/// There is no memory for a context.
pub(super) const NO_CONTEXT: Undecoded = Undecoded::Memory { bytes: CONTEXT_SIZE };

/// Why a frame is not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// It is not as it has to be.
    Problem(FrameProblem),
    /// There is no memory for that: so many bytes, about.
    Memory { bytes: u64 },
    /// The zstd library that is linked is not one that this crate was written for, and why.
    Library(String),
}

impl From<FrameProblem> for Undecoded {
    fn from(problem: FrameProblem) -> Self {
        Self::Problem(problem)
    }
}

impl Undecoded {
    /// What an error code of zstd's means. A block that does not fit holds more than the frame claims, which is damage.
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
