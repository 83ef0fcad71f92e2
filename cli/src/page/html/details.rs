//! The HTML that shows everything about one file.

use gen5_picture::text::{count, human_size};
use maud::{Markup, html};

use super::super::model::{
    Content, ImagePictures, Integrity, ShownEnvironment, ShownFile, ShownImage, ShownMetadata,
};
use super::super::text::{brief, json_lines, line, lines};
use super::latent::{key, latent_section};
use super::parts::{BRIEF, badges, id, shown, tags};
use crate::output::environment::{SortedDrift, meaning, without_name};
use crate::terminal;

/// Minimum size in bytes of a prompt that may need scrolling.
const LONG: usize = 1000;

/// The details of a file, as the whole page or as one of several sections (`place` is its position
/// and their number).
pub(super) fn article(file: &ShownFile, place: Option<(usize, usize)>, title: &str) -> Markup {
    let id = id(place.map_or(0, |(position, _)| position));
    let path = terminal::shown(&file.path);
    html! {
        article.file.one-of-several[place.is_some()] id=(id) tabindex="-1" aria-labelledby={ (id) "-title" } {
            @if let Some((position, count)) = place { (way(position, count)) }
            header {
                h1 id={ (id) "-title" } { (line(title)) }
                @if path != title { p.facts.path { (path) } }
                @if let Ok(content) = &file.content {
                    p.facts {
                        "GEN5 " (content.version) " · " (human_size(content.size)) " · "
                        (count(content.latents.len(), "latent")) " in " (count(content.chunks, "chunk"))
                    }
                }
                p.badges { (badges(file, true)) }
            }
            @match &file.content {
                Err(error) => p.error role="note" { (lines(error)) },
                Ok(content) => (sections(content)),
            }
        }
    }
}

/// Links back to all files and on to the next.
fn way(position: usize, count: usize) -> Markup {
    html! {
        nav.way aria-label="Files" {
            a href="#files" { "← All files" }
            a.previous rel="prev" href={ "#" (id(position.saturating_sub(1))) } hidden[position == 0] { "Previous" }
            a.next rel="next" href={ "#" (id(position + 1)) } hidden[position + 1 == count] { "Next" }
        }
    }
}

fn sections(content: &Content) -> Markup {
    let damage = if let Integrity::Damaged(damage) = &content.integrity { &**damage } else { &[] };
    html! {
        @if !damage.is_empty() || !content.problems.is_empty() {
            ul.problems {
                @for text in damage { li.error { (lines(text)) } }
                @for text in &content.problems { li { (lines(text)) } }
            }
        }
        div.beside {
            div.made {
                @if let Some(image) = &content.image { (stored_image(image, &content.metadata)) }
                (metadata(&content.metadata))
            }
            section.latents {
                h2 { "Latents" }
                @if content.latents.is_empty() { p { "None." } }
                @for one in &content.latents { (latent_section(one)) }
                (key(&content.latents))
            }
        }
        (environment(&content.environment))
        section {
            h2 { "Hashes" }
            @match &content.integrity {
                Integrity::Verified => p { "Every payload was hashed and matches its record." },
                Integrity::Damaged(damage) => p {
                    (damage.len()) " of " (count(content.chunks, "chunk")) " do not match their records."
                },
                Integrity::Unchecked => p { "They were not compared." },
            }
            @if let Ok(fingerprint) = &content.fingerprint {
                dl.pairs { dt { "Fingerprint" } dd { code { (fingerprint) } } }
            }
        }
    }
}

fn stored_image(image: &ShownImage, metadata: &ShownMetadata) -> Markup {
    let kind = image.media_type.unwrap_or("of unknown format");
    let size = human_size(image.size);
    html! {
        figure.image {
            @match &image.embedded {
                Ok(ImagePictures { picture, width, height, is_scaled, .. }) => {
                    @if let Some(picture) = picture { (shown(picture, &described(metadata), "", true)) }
                    figcaption {
                        "Stored image: " (kind) ", " (width) " × " (height) ", " (size)
                        @if picture.is_none() { "; there is no room for it on this page" }
                        @if *is_scaled { "; shown smaller" }
                    }
                }
                Err(error) => figcaption {
                    "Stored image: " (kind) ", " (size) "; it cannot be shown: " (line(error))
                },
            }
        }
    }
}

/// A description of the image from the file's metadata.
fn described(metadata: &ShownMetadata) -> String {
    let prompt = metadata.prompt.beginning();
    if prompt.is_empty() {
        "The stored image; the file has no prompt".into()
    } else {
        format!("The stored image; its prompt: {}", brief(prompt, BRIEF))
    }
}

fn metadata(metadata: &ShownMetadata) -> Markup {
    if let Some((problem, raw)) = &metadata.raw {
        return html! {
            section.metadata {
                h2 { "Metadata" }
                p.error { "Not valid (" (line(problem)) "); as stored:" }
                pre.long tabindex="0" { (raw.json_lines()) }
            }
        };
    }
    // A scrollable element must be reachable by keyboard.
    let is_long = metadata.prompt.size() > LONG;
    let about = [("Model", &metadata.model), ("Version", &metadata.version), ("Date", &metadata.date)];
    html! {
        section.metadata {
            h2 { "Prompt" }
            @if metadata.prompt.size() == 0 { p { "None." } } @else {
                div.prompt {
                    p.text dir="auto" tabindex=[is_long.then_some("0")] { (metadata.prompt.lines()) }
                    button.copy type="button" hidden { "Copy" }
                }
            }
            (tags(&metadata.tags))
            h2 { "Settings" }
            dl.pairs {
                @for (name, value) in about { dt { (name) } dd dir="auto" { (value.line()) } }
                @for (name, value) in &metadata.settings { (pair(name, value)) }
            }
            @if !metadata.hardware.is_empty() {
                h2 { "Hardware" }
                dl.pairs { @for (name, value) in &metadata.hardware { (pair(name, value)) } }
            }
            @if !metadata.extra.is_empty() {
                h2 { "More" }
                @for (name, value) in &metadata.extra {
                    details { summary { code { (line(name)) } " " span.muted { (human_size(value.len() as u64)) } }
                        pre.long tabindex="0" { (json_lines(value)) }
                    }
                }
            }
        }
    }
}

fn pair(name: &str, value: &str) -> Markup {
    html! { dt { (line(name)) } dd dir="auto" { (lines(value)) } }
}

fn environment(environment: &ShownEnvironment) -> Markup {
    html! {
        section.environment {
            h2 { "Environment" }
            @match &environment.components {
                None => p { "The file has none." },
                Some(components) => {
                    @match &environment.drift {
                        None => p { "It was not compared with a machine." },
                        Some(found) => (drift(found)),
                    }
                    details {
                        summary { "As stored: " (count(components.len(), "component")) }
                        dl.pairs {
                            @for component in components {
                                dt { (line(component.id())) } dd { (line(without_name(component))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn drift(comparison: &SortedDrift) -> Markup {
    let drift = comparison.drift();
    let text = |side: Option<&str>| line(side.unwrap_or("missing"));
    html! {
        p { "Compared with the machine that made this page: " (comparison.summary()) "." }
        @if !drift.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Differences of the environment" {
                table {
                    thead {
                        tr {
                            @for name in ["Component", "In the file", "This machine", "What it means"] {
                                th scope="col" { (name) }
                            }
                        }
                    }
                    tbody {
                        @for one in drift {
                            tr class=(one.severity()) {
                                th scope="row" { (line(one.id())) }
                                td { (text(one.file())) }
                                td { (text(one.current())) }
                                td { (meaning(one.severity())) }
                            }
                        }
                    }
                }
            }
        }
    }
}
