// Keeps the page up to date. The server only says "something changed" (server-sent events at the address in <body data-live-url>); the page
// then asks again for its own address, once for each <section data-live="name">, and gets that section alone.
import { morph } from "./morph.js";

const SHORTEST_PAUSE = 250; // milliseconds between two refreshes: four a second at most
const LONGEST_SILENCE = 60_000; // without any word from the server the page asks by itself
const TICK = 4_000; // milliseconds between refreshes while something runs, so that its duration grows
const RUNNING = "main .state-running:not(.legend *)";

let source = null;
let running = false;
let wanted = false;
let last = 0;
let timer = 0;

export function startLive() {
  const url = document.body.dataset.liveUrl;
  if (!url || sections().length === 0) return;
  connect(url);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return disconnect();
    connect(url);
    requestRefresh();
  });
  setInterval(() => {
    if (!document.hidden && Date.now() - last > LONGEST_SILENCE) requestRefresh();
  }, LONGEST_SILENCE / 4);
  setInterval(() => {
    if (!document.hidden && Date.now() - last > TICK && document.querySelector(RUNNING)) requestRefresh();
  }, TICK);
}

// Asks for a refresh; many calls in a short time lead to one.
export function requestRefresh() {
  wanted = true;
  if (running || timer) return;
  timer = setTimeout(run, Math.max(0, last + SHORTEST_PAUSE - Date.now()));
}

// Loads sections `names` (all when none are named) as they are at `url`.
export async function refresh(url = location.href, names = []) {
  const chosen = sections().filter((section) => names.length === 0 || names.includes(section.dataset.live));
  await Promise.all(chosen.map((section) => refreshSection(url, section)));
  document.dispatchEvent(new CustomEvent("tradewind:refreshed"));
}

function sections() {
  return [...document.querySelectorAll("section[data-live]")];
}

async function run() {
  timer = 0;
  wanted = false;
  if (document.hidden) return;
  running = true;
  try {
    await refresh();
  } catch {
    status("offline");
  } finally {
    running = false;
    last = Date.now();
    if (wanted) requestRefresh();
  }
}

async function refreshSection(url, section) {
  const answer = await fetch(url, { headers: { "X-Fragment": section.dataset.live }, redirect: "manual", credentials: "same-origin", cache: "no-store" });
  if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
  if (!answer.ok) return;
  morph(section, await answer.text());
}

function connect(url) {
  if (source) return;
  source = new EventSource(url);
  source.addEventListener("open", () => status("live"));
  source.addEventListener("error", () => status("offline"));
  for (const kind of ["message", "change"]) source.addEventListener(kind, requestRefresh);
}

function disconnect() {
  source?.close();
  source = null;
}

function status(value) {
  document.documentElement.dataset.link = value;
}
