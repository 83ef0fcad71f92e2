//! The page as HTML, self-contained and safe whatever the files say.
//!
//! From the bottom up: `parts`, `latent`, `details` (one file), `gallery` (several files).
//! `style.css` and `script.js` are embedded in the page unchanged.

mod details;
mod gallery;
mod latent;
mod parts;

use data_encoding::BASE64;
use maud::{DOCTYPE, PreEscaped, html};
use sha2::{Digest, Sha256};

use self::details::article;
use self::gallery::all_files;
use super::model::HtmlPage;
use super::text::line;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The whole page. It loads nothing from elsewhere, and its policy forbids it.
pub(crate) fn render(page: &HtmlPage) -> String {
    let policy = format!(
        "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    let only = if let [only] = &*page.files { Some(only) } else { None };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "gen5 " (env!("CARGO_PKG_VERSION")) };
                title { (line(&page.title)) " · gen5 report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    p.brand { "gen5 report" }
                    button #theme type="button" hidden { "Theme: as the system" }
                }
                main #main tabindex="-1" {
                    @match only {
                        Some(file) => (article(file, None, &page.title)),
                        None => (all_files(page)),
                    }
                }
                footer.bottom {
                    p { "Made by gen5 " (env!("CARGO_PKG_VERSION")) ". " (how_checked(page)) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

/// The policy's source expression for a text in the page.
fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)))
}

fn how_checked(page: &HtmlPage) -> &'static str {
    if page.is_verified {
        "The SHA-256 of every chunk was compared with its record when this page was made."
    } else {
        "No hashes were compared when this page was made (--no-verify)."
    }
}
