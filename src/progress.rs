//! Progress reports through a function of the caller.

use std::fmt;
use std::sync::Arc;

/// A receiver of progress reports. The default ignores them.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<Arc<dyn Fn(u64) + Send + Sync>>);

impl Progress {
    /// Reports to this function.
    pub(crate) fn to(progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(progress)))
    }

    /// Reports that this many more bytes were processed.
    pub(crate) fn add(&self, bytes: u64) {
        if let Some(progress) = &self.0 {
            progress(bytes);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "reported" } else { "ignored" })
    }
}
