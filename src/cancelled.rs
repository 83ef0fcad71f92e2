//! Whether to stop, which a caller's function says.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// What tells whether to stop; the default never does.
#[derive(Clone, Default)]
pub(crate) struct Cancelled(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Cancelled {
    /// Stops when this says yes.
    pub(crate) fn when(cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(cancelled)))
    }

    /// Whether to stop now.
    pub(crate) fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|cancelled| cancelled())
    }

    /// Refuses to go on when that is asked for.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_due() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "asked" } else { "never" })
    }
}
