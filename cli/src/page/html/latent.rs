//! The HTML of one latent: its pictures and statistics.

use gen5_picture::text::{dimensions, four_digits, human_size};
use gen5_picture::{ColorKey, Statistics, encode_png};
use maud::{Markup, html};

use super::super::chart;
use super::super::model::{Picture, ShownFrame, ShownFrames, ShownLatent, ShownValues};
use super::super::text::{brief, line};
use super::parts::{NAME, shown};

pub(super) fn latent_section(latent: &ShownLatent) -> Markup {
    let name = brief(&latent.name, NAME);
    let shape = dimensions(&latent.shape, " × ");
    html! {
        section.latent {
            h3 { (name) }
            p.facts {
                (latent.dtype) " · " (shape) " · " (human_size(latent.payload_size)) " · " (latent.storage)
                @if latent.stored_size < latent.payload_size { " (" (human_size(latent.stored_size)) ")" }
                @if latent.parts > 1 { ", in " (latent.parts) " parts" }
            }
            @match &latent.values {
                Err(why) => p.error { (line(why)) },
                Ok(shown) => (values(shown, &name)),
            }
        }
    }
}

/// The key to the colours of all these latents.
pub(super) fn key(latents: &[ShownLatent]) -> Markup {
    let mut key = ColorKey::default();
    latents.iter().filter_map(|latent| latent.values.as_ref().ok()).for_each(|values| key.merge(values.key));
    let bars = key.bars().filter_map(|(bar, words)| {
        let picture =
            Picture { media_type: "image/png", bytes: encode_png(&bar).ok()?, width: bar.width(), height: 1 };
        Some((picture, words))
    });
    html! {
        @if key != ColorKey::default() {
            div.key {
                @for (bar, words) in bars { p { (shown(&bar, "", "bar", false)) (words) } }
                p { (key.words()) }
            }
        }
    }
}

fn values(values: &ShownValues, name: &str) -> Markup {
    html! {
        div.values {
            div.pictures {
                @match &values.frames {
                    ShownFrames::Steps(steps) => (trajectory(steps, name)),
                    ShownFrames::Items(items) => @for item in items { (frame(item, name)) },
                }
                @for note in &values.notes { p.note { (line(note)) } }
            }
            div.numbers {
                @if let Some(histogram) = &values.histogram { (chart::histogram(histogram, &values.statistics)) }
                (statistics(&values.statistics))
                @if let ShownFrames::Steps(steps) = &values.frames && let Some(chart) = chart::steps(steps) {
                    figure { (chart) figcaption { "Mean ± std of each " (axis(steps).to_lowercase()) } }
                }
            }
        }
    }
}

/// The name of a single step.
fn axis(steps: &[ShownFrame]) -> &'static str {
    if steps.iter().any(|step| step.label.starts_with("frame")) { "Frame" } else { "Step" }
}

/// Steps of a trajectory: one at a time with scripts, otherwise all.
fn trajectory(steps: &[ShownFrame], name: &str) -> Markup {
    let last = steps.len().saturating_sub(1);
    let one = axis(steps);
    html! {
        div.trajectory {
            label.control hidden {
                span { (one) }
                input type="range" min="0" max=(last) value=(last) step="1" aria-label={ (one) " of " (name) };
                span.chosen aria-hidden="true" { }
            }
            ol.steps { @for step in steps { li data-label=(step.label) { (frame(step, name)) } } }
        }
    }
}

fn frame(frame: &ShownFrame, name: &str) -> Markup {
    let of = if frame.label.is_empty() { name.to_owned() } else { format!("{name}, {}", frame.label) };
    let mean_and_std = frame.statistics.as_ref().and_then(|values| values.mean().zip(values.deviation()));
    html! {
        figure.frame {
            @if let Some(preview) = &frame.preview {
                (shown(preview, &format!("{of}, in colours"), "preview pixels", false))
            }
            @if !frame.channels.is_empty() {
                div.channels {
                    @for (at, (scale, channel)) in frame.channels.iter().enumerate() {
                        div {
                            (shown(channel, &format!("{of}, channel {at}"), "pixels", false))
                            (at) " " (scale)
                        }
                    }
                }
            }
            @if !frame.label.is_empty() {
                figcaption {
                    (frame.label)
                    @if let Some((mean, std)) = mean_and_std {
                        ": mean " (four_digits(mean)) ", std " (four_digits(std))
                    }
                }
            }
        }
    }
}

fn statistics(statistics: &Statistics) -> Markup {
    let numbers = [
        ("min", statistics.min().map(f64::from)),
        ("max", statistics.max().map(f64::from)),
        ("mean", statistics.mean()),
        ("std", statistics.deviation()),
    ];
    html! {
        dl.statistics {
            @for (name, value) in numbers {
                div { dt { (name) } dd { @if let Some(value) = value { (four_digits(value)) } @else { "–" } } }
            }
            @for (name, number) in [("NaN", statistics.nan), ("infinite", statistics.infinite)] {
                @if number > 0 { div.odd { dt { (name) } dd { (number) } } }
            }
        }
    }
}
