// Search in the part of a log that is loaded. Lines that match are marked; Enter goes to the next one, Shift+Enter to the one before.
const PAUSE = 150; // milliseconds after the last key
const MOST = 5_000; // lines marked at once

export function startFind(log, text) {
  const field = log.querySelector("[data-log-find]");
  const count = log.querySelector("[data-log-found]");
  if (!field) return;
  let hits = [];
  let current = -1;
  let timer = 0;

  const find = () => {
    for (const hit of text.querySelectorAll(".is-hit, .is-hit-now")) hit.classList.remove("is-hit", "is-hit-now");
    const wanted = field.value.trim().toLowerCase();
    hits = wanted ? matching(text, wanted) : [];
    for (const hit of hits) hit.classList.add("is-hit");
    current = -1;
    if (hits.length > 0) go(hits.length - 1);
    else count.textContent = wanted ? "nothing found here" : "";
  };
  const go = (index) => {
    hits[current]?.classList.remove("is-hit-now");
    current = (index + hits.length) % hits.length;
    hits[current].classList.add("is-hit-now");
    hits[current].scrollIntoView({ block: "center" });
    count.textContent = `${current + 1} of ${hits.length}${hits.length === MOST ? "+" : ""}`;
  };

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, PAUSE);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    hits = hits.filter((hit) => hit.isConnected);
    if (hits.length === 0) find();
    else go(current + (event.shiftKey ? -1 : 1));
  });
}

function matching(text, wanted) {
  const hits = [];
  for (const line of text.querySelectorAll(".log-line")) {
    if (line.textContent.toLowerCase().includes(wanted)) hits.push(line);
    if (hits.length === MOST) break;
  }
  return hits;
}
