"use strict";

const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const one = (selector, inside = document) => inside.querySelector(selector);

// The HTML hides the controls, since they need scripts.
for (const element of all("#theme, .controls, .control, .copy")) element.hidden = false;

// The colour scheme: light, dark, or the system's.
const themes = { "": "as the system", light: "light", dark: "dark" };
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  one("#theme").textContent = `Theme: ${themes[theme]}`;
}
one("#theme").addEventListener("click", () => {
  const names = Object.keys(themes);
  setTheme(names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % names.length]);
});

// A trajectory shows one step at a time.
for (const trajectory of all(".trajectory")) {
  const slider = one("input", trajectory);
  const steps = all(".steps > li", trajectory);
  const mark = one(".now", trajectory.closest(".latent"));
  const show = () => {
    const now = Number(slider.value);
    const label = steps[now].dataset.label;
    steps.forEach((step, at) => { step.hidden = at !== now; });
    one(".chosen", trajectory).textContent = label;
    slider.setAttribute("aria-valuetext", label);
    if (mark) {
      const [first, last] = [Number(mark.dataset.first), Number(mark.dataset.last)];
      const x = first + (last - first) * now / (steps.length - 1);
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
    }
  };
  slider.addEventListener("input", show);
  show(); // a browser may restore the slider's position after a reload
}

// Copies the prompt as shown. If the clipboard is not available, selects it for manual copying.
for (const button of all(".copy")) {
  const text = one(".text", button.parentElement);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// The gallery: filter and order.
const gallery = one(".gallery");
if (gallery) {
  const list = one(".cards");
  const cards = all(".card").map((element, position) => {
    return { element, position, id: one(".open", element).hash.slice(1) };
  });
  const filter = one("#filter");
  const sort = one("#sort");
  const title = document.title;

  // The filter searches a card's text, and the full path, prompt, settings and latent names of its file.
  const known = ":is(h1, .path, .prompt .text, .tags, .pairs, .latent h3)";
  const textOf = (card) => card.text ??= [card.element, ...all(known, document.getElementById(card.id))]
    .map((element) => element.textContent).join("\n").toLowerCase();

  const narrow = () => {
    const words = filter.value.toLowerCase().match(/"[^"]+"|[^\s"]+/g)?.map((word) => word.replaceAll('"', "")) ?? [];
    for (const card of cards) card.element.hidden = !words.every((word) => textOf(card).includes(word));
    const found = cards.filter((card) => !card.element.hidden).length;
    const files = `${cards.length} file${cards.length === 1 ? "" : "s"}`;
    one("#count").textContent = words.length ? `${found} of ${files}` : files;
  };

  const value = (card) => card.element.dataset[sort.value] ?? "";
  const orders = {
    "": () => 0,
    size: (a, b) => Number(value(b)) - Number(value(a)),
    state: (a, b) => Number(value(a)) - Number(value(b)),
  };
  // Runs of digits are compared as numbers, which also works for 64-bit seeds.
  const byText = new Intl.Collator("en", { numeric: true });
  const order = () => {
    const compare = orders[sort.value] ?? ((a, b) => byText.compare(value(a), value(b)));
    cards.sort((a, b) => compare(a, b) || a.position - b.position);
    list.append(...cards.map((card) => card.element));
  };

  // The address names the open file, so the browser's history works. Previous and next follow the cards' order.
  let last = null;
  const open = () => {
    const shown = cards.filter((card) => !card.element.hidden);
    const at = shown.findIndex((card) => `#${card.id}` === location.hash);
    const article = document.getElementById(location.hash.slice(1));
    const isFile = article?.classList.contains("file") ?? false;
    document.title = isFile ? `${one("h1", article).textContent} · ${title}` : title;
    if (!isFile) {
      // Back in the gallery, focus the card of the last file.
      if (last) one(".open", last.element).focus();
      return;
    }
    last = cards.find((card) => card.id === article.id);
    // A file hidden by the filter has no previous or next file.
    const beside = at < 0 ? [] : [shown[at - 1], shown[at + 1]];
    for (const [position, selector] of [".previous", ".next"].entries()) {
      const link = one(selector, article);
      if (!link) continue;
      link.hidden = !beside[position];
      if (beside[position]) link.hash = beside[position].id;
    }
    article.focus({ preventScroll: true });
    scrollTo(0, 0);
  };

  // Following the skip link would change the address and close the open file.
  one(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    one("main").focus();
  });
  filter.addEventListener("input", narrow);
  sort.addEventListener("change", order);
  addEventListener("hashchange", open);
  narrow();
  order();
  open();
}
