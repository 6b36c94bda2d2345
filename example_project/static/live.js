// Keeps every element with data-live fresh: asks its address each second and replaces what has changed.
// The server answers with an ETag, so an unchanged fragment costs a 304. Without this script the pages work; they just stand still.
"use strict";

const SECOND = 1000;

async function refresh(element, last) {
  const response = await fetch(element.dataset.live, { headers: { "X-Requested-With": "fetch" }, cache: "no-cache" });
  if (!response.ok) throw new Error(`${response.status}`);
  const html = await response.text();
  if (html !== last && !element.contains(document.activeElement)) {
    element.innerHTML = html;
    last = html;
  }
  return last;
}

async function keepFresh(element) {
  let last = null;
  let pause = SECOND;
  while (!element.querySelector("[data-finished]")) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (document.hidden) continue;
    try {
      last = await refresh(element, last);
      pause = SECOND;
    } catch {
      pause = Math.min(pause * 2, 15 * SECOND); // the server is away; it may come back
    }
  }
}

document.querySelectorAll("[data-live]").forEach(keepFresh);
