// Shortcuts. None works while something is being typed, and none hides one of the browser's.
import { switchTheme } from "./theme.js";

const PLACES = { d: "/dags", e: "/import-errors", p: "/pools", v: "/variables", c: "/connections", s: "/platform", a: "/audit" };
const WAIT_FOR_SECOND_KEY = 1200; // milliseconds

let leader = 0;

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    if (handle(event.key)) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-shortcuts]")) showShortcuts();
  });
}

function handle(key) {
  if (Date.now() < leader) {
    leader = 0;
    if (PLACES[key]) location.href = PLACES[key];
    return Boolean(PLACES[key]);
  }
  if (key === "g") {
    leader = Date.now() + WAIT_FOR_SECOND_KEY;
    return true;
  }
  if (key === "/") return focusSearch();
  if (key === "?") return showShortcuts();
  if (key === "t") return switchTheme() ?? true;
  const button = document.querySelector(`[data-shortcut="${CSS.escape(key)}"]`);
  button?.click();
  return Boolean(button);
}

function typing(target) {
  return target.isContentEditable || target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select");
}

function focusSearch() {
  const field = document.querySelector("[data-search]");
  field?.focus();
  field?.select();
  return Boolean(field);
}

function showShortcuts() {
  const dialog = document.querySelector("#shortcuts");
  for (const row of dialog.querySelectorAll("[data-if]")) row.hidden = !document.querySelector(row.dataset.if);
  dialog.showModal();
  return true;
}
