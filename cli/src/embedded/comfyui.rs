//! stub
use super::Generation;
/// stub
pub fn parse(_text: &str) -> Option<Generation> {
    None
}
