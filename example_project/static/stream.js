// Fills every element with data-stream with the lines of a run's stream, as they are written.
// EventSource comes back by itself when it was cut off, and says which line it got last. Without this script the page says so.
"use strict";

function follow(element) {
  const source = new EventSource(element.dataset.stream);
  source.addEventListener("message", (event) => {
    const line = document.createElement("p");
    line.textContent = JSON.parse(event.data);
    element.append(line);
  });
  source.addEventListener("end", () => {
    source.close(); // or it would ask again
    element.dataset.finished = "";
  });
}

document.querySelectorAll("[data-stream]").forEach(follow);
