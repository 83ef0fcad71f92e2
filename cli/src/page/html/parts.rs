//! Elements shared by several parts of the page.

use gen5::environment::{Drift, Severity};
use maud::{Markup, html};

use super::super::model::{Integrity, Picture, ShownFile};
use super::super::text::brief;

/// Maximum number of characters of a prompt on a card and in an image's description.
pub(super) const BRIEF: usize = 240;

/// Maximum number of characters of a name.
pub(super) const NAME: usize = 200;

pub(super) fn id(position: usize) -> String {
    format!("file-{}", position + 1)
}

pub(super) fn shown(picture: &Picture, alt: &str, class: &str, is_lazy: bool) -> Markup {
    let (loading, decoding) = if is_lazy { ("lazy", "async") } else { ("eager", "sync") };
    html! {
        img class=(class) src=(picture.uri()) alt=(alt) width=(picture.width) height=(picture.height)
            loading=(loading) decoding=(decoding);
    }
}

pub(super) fn tags(tags: &[String]) -> Markup {
    html! {
        @if !tags.is_empty() {
            ul.tags aria-label="Tags" { @for tag in tags { li dir="auto" { (brief(tag, NAME)) } } }
        }
    }
}

/// The state of hashes and environment; cards only show the distinguishing parts.
pub(super) fn badges(file: &ShownFile, in_full: bool) -> Markup {
    let content = match &file.content {
        Ok(content) => content,
        Err(_) => return badge("bad", "✗", "cannot be read"),
    };
    html! {
        @match &content.integrity {
            Integrity::Verified => (badge("good", "✓", "hashes verified")),
            Integrity::Damaged(_) => (badge("bad", "✗", "damaged")),
            Integrity::Unchecked => (badge("plain", "–", "hashes not checked")),
        }
        @if let Some(drift) = &content.environment.drift {
            @let severity = drift.drift().iter().map(Drift::severity).max().unwrap_or(Severity::Note);
            @match severity {
                Severity::Note if in_full => (badge("good", "✓", "environment is this machine’s")),
                Severity::Note => {},
                Severity::Low => (badge("plain", "≠", "environment differs a little")),
                _ => (badge("warn", "≠", "environment differs")),
            }
        }
    }
}

fn badge(kind: &str, mark: &str, text: &str) -> Markup {
    html! { span class={ "badge " (kind) } { span aria-hidden="true" { (mark) } " " (text) } " " }
}
