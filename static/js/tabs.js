// Rows of tabs that are wider than the screen begin where the current one can be seen.
export function startTabs() {
  for (const row of document.querySelectorAll(".tabs, .segments")) {
    const current = row.querySelector("[aria-current]");
    if (!current || row.scrollWidth <= row.clientWidth) continue;
    row.scrollLeft = current.offsetLeft - row.offsetLeft - (row.clientWidth - current.offsetWidth) / 2;
  }
}
