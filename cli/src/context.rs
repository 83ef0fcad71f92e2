//! The context of a command.

use crate::input::Inputs;
use crate::output::Output;

/// The input and output of a command.
pub(crate) struct Context<'a> {
    pub(crate) input: Inputs<'a>,
    pub(crate) output: Output<'a>,
}
