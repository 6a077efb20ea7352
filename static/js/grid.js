// The grid: arrow keys walk over the cells, groups fold, the column under the pointer is marked.
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export function startGrid() {
  document.addEventListener("keydown", walk);
  document.addEventListener("click", (event) => {
    const toggle = event.target.closest?.(".grid-toggle");
    if (toggle) fold(toggle);
  });
  document.addEventListener("pointerover", (event) => mark(event.target.closest?.(".grid td")));
  document.addEventListener("tradewind:refreshed", applyFolds);
  scrollToNewest();
}

function walk(event) {
  const step = STEPS[event.key];
  const cell = event.target.closest?.(".grid td");
  if (!step || !cell) return;
  event.preventDefault();
  if (step[1]) {
    cell.parentElement.cells[cell.cellIndex + step[1]]?.querySelector("a")?.focus();
    return;
  }
  // Rows of groups have no links: go on to the next row that has one.
  const rows = [...cell.closest("table").tBodies[0].rows].filter((row) => !row.hidden);
  for (let at = rows.indexOf(cell.parentElement) + step[0]; at >= 0 && at < rows.length; at += step[0]) {
    const link = rows[at].cells[cell.cellIndex]?.querySelector("a");
    if (link) return link.focus();
  }
}

function fold(toggle) {
  toggle.setAttribute("aria-expanded", toggle.getAttribute("aria-expanded") === "true" ? "false" : "true");
  applyFolds();
}

// A row is hidden when any group around it is folded. The rows come in order, each with its depth.
function applyFolds() {
  for (const table of document.querySelectorAll(".grid")) {
    let foldedBelow = Infinity;
    for (const row of table.tBodies[0]?.rows ?? []) {
      const depth = Number(row.dataset.depth);
      if (depth <= foldedBelow) foldedBelow = Infinity;
      row.hidden = depth > foldedBelow;
      const folded = row.querySelector(".grid-toggle[aria-expanded=false]");
      if (folded && !row.hidden) foldedBelow = depth;
    }
  }
}

let marked = [];
function mark(cell) {
  const table = cell?.closest("table");
  for (const old of marked) old.classList.remove("is-hovered");
  marked = [];
  if (!table) return;
  for (const row of table.tBodies[0].rows) {
    const other = row.cells[cell.cellIndex];
    if (other) marked.push(other);
  }
  for (const other of marked) other.classList.add("is-hovered");
}

function scrollToNewest() {
  for (const frame of document.querySelectorAll(".grid-frame")) frame.scrollLeft = frame.scrollWidth;
}
