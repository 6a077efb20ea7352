// Filter forms answer while the reader types: the address changes and the section named in data-search-form is loaded again.
import { refresh } from "./live.js";

const PAUSE = 180; // milliseconds after the last key

export function startSearch() {
  for (const form of document.querySelectorAll("form[data-search-form]")) {
    let timer = 0;
    form.addEventListener("input", (event) => {
      if (!event.target.matches("[data-search]")) return;
      clearTimeout(timer);
      timer = setTimeout(() => apply(form), PAUSE);
    });
  }
}

async function apply(form) {
  const parameters = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...parameters]) if (!value) parameters.delete(name);
  const url = new URL(form.action);
  url.search = parameters.toString();
  history.replaceState(null, "", url);
  try {
    await refresh(url.href, [form.dataset.searchForm]);
  } catch {
    form.requestSubmit();
  }
}
