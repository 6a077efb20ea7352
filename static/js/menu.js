// Menus are <details>; scripts only close them when the reader goes elsewhere, and dismiss notices.
export function startMenus() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open], details.side-menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    event.target.closest?.("[data-dismiss]")?.closest(".note")?.remove();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest?.("details.menu[open], details.side-menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  // A choice in such a form takes effect at once; without scripts its button does it.
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form[data-at-once]");
    if (form) form.requestSubmit();
  });
}
