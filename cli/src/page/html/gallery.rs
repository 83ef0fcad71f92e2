//! The HTML of several files: a card for each one, followed by its details.

use gen5_picture::text::count;
use maud::{Markup, html};

use super::super::model::{HtmlPage, Integrity, ShownFile, ShownFrames};
use super::super::text::{brief, line};
use super::details::article;
use super::parts::{BRIEF, NAME, badges, id, shown, tags};
use crate::terminal::shown_file_name;

/// Maximum number of tags on a card.
const TAGS: usize = 8;

/// All files as cards, followed by the details of each, which are shown on navigation.
pub(super) fn all_files(page: &HtmlPage) -> Markup {
    html! {
        section.gallery #files tabindex="-1" aria-labelledby="title" {
            h1 #title { (line(&page.title)) }
            div.controls role="search" hidden {
                label {
                    "Filter"
                    input #filter type="search" autocomplete="off" spellcheck="false"
                        placeholder="prompt, model, tag, \"seed 42\", damaged …";
                }
                label { "Sort by"
                    select #sort {
                        option value="" { "order given" }
                        option value="name" { "name" }
                        option value="model" { "model" }
                        option value="seed" { "seed" }
                        option value="date" { "date" }
                        option value="size" { "size, largest first" }
                        option value="state" { "state, damaged first" }
                    }
                }
            }
            p #count role="status" { (count(page.files.len(), "file")) }
            ul.cards {
                @for (position, file) in page.files.iter().enumerate() { (card(file, position)) }
            }
        }
        @for (position, file) in page.files.iter().enumerate() {
            (article(file, Some((position, page.files.len())), &shown_file_name(&file.path)))
        }
    }
}

fn card(file: &ShownFile, position: usize) -> Markup {
    let content = file.content.as_ref();
    let setting = |name: &str| {
        let settings = content.ok().map(|content| &content.metadata.settings);
        settings.into_iter().flatten().find(|(known, _)| known == name).map(|(_, value)| brief(value, 40))
    };
    let (model, date, size) = match content {
        Ok(content) => (content.metadata.model.beginning(), content.metadata.date.beginning(), content.size),
        Err(_) => Default::default(),
    };
    html! {
        li.card data-name=(shown_file_name(&file.path)) data-model=(brief(model, NAME))
            data-date=(brief(date, NAME)) data-size=(size) data-seed=[setting("seed")] data-state=(state(file)) {
            a.open href={ "#" (id(position)) } {
                (thumbnail(file))
                h2 { (shown_file_name(&file.path)) }
            }
            @match content {
                Err(error) => p.error { (line(error)) },
                Ok(content) => {
                    @if content.metadata.prompt.size() > 0 {
                        p.brief dir="auto" { (brief(content.metadata.prompt.beginning(), BRIEF)) }
                    }
                    p.facts {
                        (brief(model, NAME))
                        @for name in ["seed", "sampler", "steps"] {
                            @if let Some(value) = setting(name) { " · " (name) " " (value) }
                        }
                    }
                    (tags(content.metadata.tags.get(..TAGS).unwrap_or(&content.metadata.tags)))
                }
            }
            p.badges { (badges(file, false)) }
        }
    }
}

/// The sort order of states: 0 for damaged, 1 for unchecked, 2 for fine.
fn state(file: &ShownFile) -> u8 {
    match file.content.as_ref().map(|content| &content.integrity) {
        Err(_) | Ok(Integrity::Damaged(_)) => 0,
        Ok(Integrity::Unchecked) => 1,
        Ok(Integrity::Verified) => 2,
    }
}

/// The image, or otherwise the first picture of a latent.
fn thumbnail(file: &ShownFile) -> Markup {
    let content = file.content.as_ref().ok();
    let image =
        content.and_then(|content| content.image.as_ref()?.embedded.as_ref().ok()?.thumbnail.as_ref());
    let of_latents = || {
        let latents = content.into_iter().flat_map(|content| &content.latents);
        latents.filter_map(|latent| latent.values.as_ref().ok()).find_map(|values| {
            let (ShownFrames::Items(frames) | ShownFrames::Steps(frames)) = &values.frames;
            frames.last()?.preview.as_ref().or_else(|| Some(&frames.last()?.channels.first()?.1))
        })
    };
    html! {
        @if let Some(picture) = image {
            (shown(picture, "", "thumbnail", true))
        } @else if let Some(picture) = of_latents() {
            (shown(picture, "", "thumbnail pixels", true))
        } @else {
            span.thumbnail.none aria-hidden="true" { "no picture" }
        }
    }
}
