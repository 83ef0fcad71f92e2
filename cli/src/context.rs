//! The context of a command.

use crate::input::Inputs;
use crate::output::Output;

/// Where a command reads, and where its results and messages go.
pub(crate) struct Context<'a> {
    pub(crate) input: Inputs<'a>,
    pub(crate) output: Output<'a>,
}
