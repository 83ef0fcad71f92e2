//! Cancellation through a function of the caller.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A check for cancellation. The default never cancels.
#[derive(Clone, Default)]
pub(crate) struct Cancelled(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Cancelled {
    /// Cancels when this function returns true.
    pub(crate) fn when(cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(cancelled)))
    }

    /// Returns whether to stop now.
    pub(crate) fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|cancelled| cancelled())
    }

    /// Returns an error if the operation is cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_due() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "asked" } else { "never" })
    }
}
