// The theme button: auto, light, dark. The server reads the same cookie, so the next page comes in the right colours at once.
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const YEAR = 31_536_000;

export function startTheme() {
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-theme-form]")) return;
    event.preventDefault();
    switchTheme();
  });
}

export function switchTheme() {
  const root = document.documentElement;
  const theme = NEXT[root.dataset.theme] ?? "light";
  root.dataset.theme = theme;
  document.cookie = `tradewind_theme=${theme}; Path=/; Max-Age=${YEAR}; SameSite=Lax`;
}
