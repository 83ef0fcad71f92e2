//! Pages of `gen5 report` in Chromium, used with keyboard and mouse. These tests need a browser, so
//! plain `cargo test` leaves them out:
//!
//! ```sh
//! cargo test --test browser
//! ```
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod chromium;
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;

use std::fs;
use std::path::PathBuf;

use gen5::environment::Component;
use gen5::metadata::{Extra, GenerationSettings};
use gen5::{Environment, Metadata, WriteOptions};
use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::support::{Folder, PNG};

/// A prompt with markup that would run scripts, and with control and invisible characters.
const HOSTILE: &str = "</script><script>window.pwned = 1</script><img src=x onerror=\"window.pwned = 1\">\
    \" onfocus=\"window.pwned = 1\" autofocus x=\"<svg onload=window.pwned=1>\u{202e}gpj\u{1b}[31m\u{0}\u{2066}🏳️‍🌈";

/// The number of steps in the trajectory.
const STEPS: usize = 12;

/// Writes a file with an image, noise and a trajectory.
fn write(folder: &Folder, name: &str, seed: u64, prompt: &str) {
    let mut extra = Extra::new();
    extra.insert("workflow", &json!({"nodes": [{"text": prompt}]})).unwrap();
    let model = if seed.is_multiple_of(2) { "SDXL base" } else { "Flux.1 dev" };
    let metadata = Metadata::builder(model, "1.0")
        .prompt(prompt)
        .date(format!("2026-11-{:02}", seed + 1))
        .tag("sea")
        .tag(format!("<b>tag {seed}</b>"))
        .settings(GenerationSettings::new(seed, 30, "ddim"))
        .extra(extra)
        .build()
        .unwrap();
    let wave =
        |count: usize| (0..count).map(|n| (n as f32 * 0.37 + seed as f32).sin() * 2.0).collect::<Vec<f32>>();
    let mut writer = WriteOptions::new().sync(false).create(folder.path(name)).unwrap();
    writer.latent("noise", &[1, 4, 16, 16], &wave(4 * 16 * 16)).unwrap();
    writer.latent("trajectory", &[STEPS, 4, 16, 16], &wave(STEPS * 4 * 16 * 16)).unwrap();
    writer.image(PNG).unwrap();
    let component = |id, version: &str| Component::new(id, format!("name={id};version={version}"));
    writer.environment(&Environment::new([component("os", "Old 1.0"), component("torch", "0.1")])).unwrap();
    writer.finish(&metadata).unwrap();
}

/// The page of one file whose texts are hostile.
fn single(folder: &Folder) -> PathBuf {
    write(folder, "a.gen5", 42, HOSTILE);
    folder.ok(&["report", "@/a.gen5", "-o", "@/a.html"]);
    folder.path("a.html")
}

/// The page of ten files, one damaged and one not in the format.
fn gallery(folder: &Folder) -> PathBuf {
    let names: Vec<String> = (0..9).map(|at| format!("run-{at}.gen5")).collect();
    for (seed, name) in (0..).zip(&names) {
        let prompt = if seed == 5 { HOSTILE.to_owned() } else { format!("a lighthouse, take {seed}") };
        write(folder, name, seed, &prompt);
    }
    let mut bytes = fs::read(folder.path("run-3.gen5")).unwrap();
    bytes[100] ^= 1;
    fs::write(folder.path("run-3.gen5"), bytes).unwrap();
    fs::write(folder.path("run-9.gen5"), "no").unwrap();
    let mut words = vec!["report".to_owned(), "-o".into(), "@/all.html".into(), "@/run-9.gen5".into()];
    words.extend(names.iter().map(|name| format!("@/{name}")));
    assert_eq!(folder.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).code, 3);
    folder.path("all.html")
}

/// Checks that the page caused no errors and requested only itself.
fn assert_quiet(browser: &mut Browser) {
    assert_eq!(browser.eval("typeof window.pwned"), "undefined");
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
    let requests: Vec<&str> = browser
        .happened("Network.requestWillBeSent")
        .filter_map(|one| one["request"]["url"].as_str())
        .collect();
    assert!(requests.iter().any(|url| url.starts_with("file://")), "{requests:?}");
    let elsewhere = requests.iter().filter(|url| !url.starts_with("data:image/")).count();
    assert_eq!(elsewhere, 1, "{requests:?}");
}

/// Finds visible text with too little contrast.
const PALE: &str = r#"(() => {
  const channels = (color) => {
    const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
    return { rgb: [red, green, blue], alpha };
  };
  const light = ({ rgb }) => {
    const [red, green, blue] = rgb.map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.alpha === 1) return color;
    }
    return { rgb: [255, 255, 255] };
  };
  const pale = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, option")) continue;
    const style = getComputedStyle(element);
    const front = channels(element.closest("svg") ? style.fill : style.color);
    const [low, high] = [light(front), light(behind(element))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    seen += 1;
    if (ratio < 4.5) pale.push(`${ratio.toFixed(2)}: ${element.outerHTML.slice(0, 80)}`);
  }
  return { seen, pale };
})()"#;

fn assert_readable(browser: &mut Browser) {
    let found = browser.eval(PALE);
    assert!(found["seen"].as_u64().unwrap() > 10, "{found}");
    assert_eq!(found["pale"], json!([]));
}

/// Checks the accessibility tree: controls and images have names, headings are in order, and
/// landmarks exist.
fn assert_accessible(browser: &mut Browser) {
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let shown = || nodes.iter().filter(|node| node["ignored"] != true);
    let role = |node: &Value| node["role"]["value"].as_str().unwrap_or_default().to_owned();
    let named = [
        "button",
        "link",
        "slider",
        "searchbox",
        "combobox",
        "image",
        "img",
        "heading",
        "region",
        "navigation",
    ];
    for node in shown().filter(|node| named.contains(&&*role(node))) {
        assert!(!node["name"]["value"].as_str().unwrap_or_default().trim().is_empty(), "{node}");
    }
    for landmark in ["banner", "main", "contentinfo"] {
        assert_eq!(shown().filter(|node| role(node) == landmark).count(), 1, "{landmark}");
    }
    let levels = browser.eval(
        "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].filter(one => one.checkVisibility())
            .map(one => Number(one.localName[1]))",
    );
    let levels: Vec<u64> = levels.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    let steps = levels.windows(2).all(|pair| pair[1] <= pair[0] + 1);
    assert!(steps && levels.iter().filter(|level| **level == 1).count() == 1, "{levels:?}");
    // At most one element announces changes: the count of cards.
    let told =
        browser.eval("document.querySelectorAll('output, [role=status], [role=alert], [aria-live]').length");
    assert!(told.as_u64().unwrap() <= 1, "{told}");
    let twice = "[...document.querySelectorAll('[id]')].map(one => one.id)
        .filter((id, at, all) => all.indexOf(id) !== at)";
    assert_eq!(browser.eval(twice), json!([]));
    assert_eq!(browser.eval("document.querySelectorAll('img:not([alt])').length"), 0);
}

#[test]
fn a_page_opens_without_complaints_and_hostile_text_is_text() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    browser.open(&single(&folder));
    assert_eq!(browser.eval("document.title"), "a.gen5 · gen5 report");
    let prompt = browser.eval("document.querySelector('.prompt .text').textContent");
    let shown = HOSTILE.replace('\u{202e}', "\\u{202e}").replace('\u{1b}', "\\u{1b}").replace('\0', "\\u{0}");
    assert_eq!(prompt, shown.replace('\u{2066}', "\\u{2066}"));
    assert_eq!(browser.eval("document.querySelectorAll('script').length"), 1);
    assert_eq!(browser.eval("document.querySelectorAll('b, iframe, svg:not(.chart), img[src=x]').length"), 0);
    assert_eq!(browser.eval("document.querySelector('.tags li + li').textContent"), "<b>tag 42</b>");
    let broken = "[...document.images].filter(image => !(image.complete && image.naturalWidth > 0)).length";
    browser.wait(&format!("{broken} === 0"));
    let drift = browser.eval("document.querySelector('.environment table').innerText");
    assert!(drift.as_str().unwrap().contains("name=torch;version=0.1"), "{drift}");
    assert_accessible(&mut browser);
    assert_quiet(&mut browser);
}

#[test]
fn the_policy_stops_what_the_template_would_let_through() {
    let folder = Folder::new();
    let page = fs::read_to_string(single(&folder)).unwrap();
    let attack =
        "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'><p style='color: red'>";
    fs::write(folder.path("b.html"), page.replace("<h1", &format!("{attack}<h1"))).unwrap();
    let mut browser = Browser::start();
    browser.open(&folder.path("b.html"));
    assert_eq!(browser.eval("typeof window.pwned"), "undefined");
    assert!(browser.complaints().len() >= 3, "{:?}", browser.complaints());
}

#[test]
fn the_slider_moves_by_keyboard_through_the_steps() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    browser.open(&single(&folder));
    let state = "(() => {
      const trajectory = document.querySelector('.trajectory');
      const shown = [...trajectory.querySelectorAll('.steps > li')].filter(step => step.checkVisibility());
      return {
        steps: shown.map(step => step.dataset.label),
        label: trajectory.querySelector('.chosen').textContent,
        spoken: trajectory.querySelector('input').getAttribute('aria-valuetext'),
        picture: shown[0].querySelector('img').src,
        words: shown[0].querySelector('img').alt,
        mark: Number(document.querySelector('.now').getAttribute('x1')),
      };
    })()";
    let last = browser.eval(state);
    assert_eq!((&last["steps"], &last["label"]), (&json!(["step 11"]), &json!("step 11")));
    browser.eval("document.querySelector('.trajectory input').focus()");
    browser.press("ArrowLeft");
    let before = browser.eval(state);
    assert_eq!(before["steps"], json!(["step 10"]));
    assert_eq!((&before["label"], &before["spoken"]), (&json!("step 10"), &json!("step 10")));
    assert_eq!(before["words"], "trajectory, step 10, in colours");
    assert_ne!(before["picture"], last["picture"]);
    assert!(before["mark"].as_f64() < last["mark"].as_f64());
    browser.press("Home");
    assert_eq!(browser.eval(state)["label"], "step 0");
    browser.press("ArrowRight");
    browser.press("ArrowRight");
    assert_eq!(browser.eval(state)["label"], "step 2");
    browser.press("End");
    assert_eq!(browser.eval(state), last);
    assert_quiet(&mut browser);
}

/// The names of the visible cards, and the text of the count.
const CARDS: &str = "(() => ({
  names: [...document.querySelectorAll('.card')].filter(card => card.checkVisibility())
    .map(card => card.querySelector('h2').textContent.replace(/run-|.gen5/g, '')).join(' '),
  count: document.querySelector('#count').textContent,
}))()";

fn choose(browser: &mut Browser, order: &str) {
    let sort = "document.querySelector('#sort')";
    browser.eval(&format!("{sort}.value = '{order}'"));
    browser.eval(&format!("{sort}.dispatchEvent(new Event('change'))"));
}

#[test]
fn the_filter_narrows_the_cards() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    browser.open(&gallery(&folder));
    let all = json!({"names": "9 0 1 2 3 4 5 6 7 8", "count": "10 files"});
    assert_eq!(browser.eval(CARDS), all);
    assert_eq!(browser.eval("document.querySelector('#count').getAttribute('role')"), "status");
    browser.eval("document.querySelector('#filter').focus()");
    let table = [
        ("LIGHTHOUSE \"take 4\"", "4", "1 of 10 files"),
        ("\"seed 6\"", "6", "1 of 10 files"),
        ("flux", "1 3 5 7", "4 of 10 files"),
        ("damaged", "3", "1 of 10 files"),
        ("cannot be read", "9", "1 of 10 files"),
        ("</script>", "5", "1 of 10 files"),
        ("steps 30", "0 1 2 3 4 5 6 7 8", "9 of 10 files"),
        ("sea <b>tag", "0 1 2 3 4 5 6 7 8", "9 of 10 files"),
        ("nothing has this", "", "0 of 10 files"),
    ];
    for (text, names, count) in table {
        browser.eval("document.querySelector('#filter').select()");
        browser.type_text(text);
        assert_eq!(browser.eval(CARDS), json!({"names": names, "count": count}), "{text}");
    }
    browser.eval("document.querySelector('#filter').select()");
    browser.type_text(" ");
    assert_eq!(browser.eval(CARDS), all);

    for (order, names) in [
        ("name", "0 1 2 3 4 5 6 7 8 9"),
        ("state", "9 3 0 1 2 4 5 6 7 8"),
        ("model", "9 1 3 5 7 0 2 4 6 8"),
        ("", "9 0 1 2 3 4 5 6 7 8"),
    ] {
        choose(&mut browser, order);
        assert_eq!(browser.eval(CARDS)["names"], names, "{order}");
    }
    assert_accessible(&mut browser);
    assert_quiet(&mut browser);
}

#[test]
fn a_card_opens_and_the_way_back_leads_to_it() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    browser.open(&gallery(&folder));
    let open = "[...document.querySelectorAll('.file')].filter(file => file.checkVisibility())
        .map(file => file.id).join()";
    let cards = "document.querySelector('.gallery').checkVisibility()";
    assert_eq!((browser.eval(open), browser.eval(cards)), (json!(""), json!(true)));
    browser.eval("document.querySelector('#filter').focus()");
    browser.type_text("flux");
    browser.press("Tab");
    browser.press("Tab");
    assert_eq!(browser.eval("document.activeElement.hash"), "#file-3");
    browser.press("Enter");
    // The browser moves the focus before the page handles the new address and changes its title.
    let arrived = |name: &str, id: &str| {
        format!(
            "document.title === '{name} · 10 files · gen5 report' && document.activeElement.id === '{id}'"
        )
    };
    browser.wait(&arrived("run-1.gen5", "file-3"));
    assert_eq!((browser.eval(open), browser.eval(cards)), (json!("file-3"), json!(false)));
    assert_accessible(&mut browser);

    // The skip link does not close the open file.
    browser.eval("document.querySelector('.skip').click()");
    assert_eq!(browser.eval("[document.activeElement.id, location.hash]"), json!(["main", "#file-3"]));
    assert_eq!(browser.eval(open), "file-3");

    // The next file among those that match the filter.
    browser.eval("[...document.querySelectorAll('.next')].find(link => link.checkVisibility()).click()");
    browser.wait(&arrived("run-3.gen5", "file-5"));
    browser.eval("history.back()");
    browser.wait(&arrived("run-1.gen5", "file-3"));
    browser.eval("history.back()");
    browser.wait("location.hash === '' && document.activeElement.hash === '#file-3'");
    assert_eq!(browser.eval("document.title"), "10 files · gen5 report");
    assert_eq!(browser.eval(cards), true);
    assert_eq!(browser.eval(CARDS), json!({"names": "1 3 5 7", "count": "4 of 10 files"}));

    // A file hidden by the filter has no previous or next file.
    browser.eval("location.hash = '#file-4'");
    browser.wait("document.activeElement.id === 'file-4'");
    let beside = "[...document.querySelectorAll('#file-4 :is(.previous, .next)')].map(link => link.hidden)";
    assert_eq!(browser.eval(beside), json!([true, true]));
    assert_quiet(&mut browser);
}

#[test]
fn light_and_dark_can_be_read_and_chosen() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    let pages = [single(&folder), gallery(&folder)];
    let paper = "getComputedStyle(document.body).backgroundColor";
    let mut papers = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for page in &pages {
            browser.open(page);
            browser.eval("document.querySelectorAll('details').forEach(details => { details.open = true; })");
            assert_readable(&mut browser);
        }
        papers.push(browser.eval(paper));
    }
    assert_ne!(papers[0], papers[1]);
    // The system is dark. The button cycles through light, dark, and the system's scheme.
    for (words, expected) in [("light", 0), ("dark", 1), ("as the system", 1)] {
        browser.eval("document.querySelector('#theme').click()");
        assert_eq!(browser.eval("document.querySelector('#theme').textContent"), format!("Theme: {words}"));
        assert_eq!(browser.eval(paper), papers[expected]);
    }
    assert_quiet(&mut browser);
}

#[test]
fn a_phone_shows_all_of_it() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    browser.resize(360, 740);
    let all = gallery(&folder);
    let pages = [(single(&folder), ""), (all.clone(), ""), (all, "file-7")];
    for (page, part) in pages {
        browser.open(&page);
        browser.eval(&format!("location.hash = '{part}'"));
        browser.eval("document.querySelectorAll('details').forEach(details => { details.open = true; })");
        let wide = "[...document.body.querySelectorAll('*')]
            .filter(one => one.checkVisibility() && !one.closest('.scroll, .skip'))
            .filter(one => one.getBoundingClientRect().right > 360.5).map(one => one.outerHTML.slice(0, 80))";
        assert_eq!(browser.eval(wide), json!([]), "{part}");
        assert_eq!(browser.eval("document.documentElement.scrollWidth"), 360, "{part}");
    }
}

#[test]
fn without_scripts_all_is_there() {
    let folder = Folder::new();
    let mut browser = Browser::start();
    browser.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    browser.open(&single(&folder));
    let steps = "[...document.querySelectorAll('.steps > li')].filter(step => step.checkVisibility()).length";
    assert_eq!(browser.eval(steps), STEPS);
    let of_scripts = "[...document.querySelectorAll('#theme, .control, .copy')]
        .filter(one => one.checkVisibility()).length";
    assert_eq!(browser.eval(of_scripts), 0);

    browser.open(&gallery(&folder));
    assert_eq!(browser.eval(CARDS)["count"], "10 files");
    assert_eq!(browser.eval("document.querySelector('.controls').checkVisibility()"), false);
    browser.eval("document.querySelectorAll('.card .open')[2].focus()");
    browser.press("Enter");
    browser.wait("document.querySelector('#file-3').checkVisibility()");
    assert_eq!(browser.eval("document.querySelector('.gallery').checkVisibility()"), false);
    assert_quiet(&mut browser);
}
