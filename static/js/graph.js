// Pan and zoom for the server's SVG, by pointer, wheel, two fingers and keys; tracing of what a box depends on and what depends on it.
const SMALLEST = 0.08;
const LARGEST = 3;
const STEP = 1.25;
const PAN = 60; // pixels for one press of an arrow key

export function startGraphs() {
  for (const frame of document.querySelectorAll("[data-graph]")) start(frame);
}

function start(frame) {
  const view = { x: 0, y: 0, scale: 1, touched: false };
  const svg = () => frame.querySelector(".graph");
  const size = readSize(svg());
  if (!size) return;
  frame.setAttribute("data-graph-live", "");

  const show = () => {
    const picture = svg();
    if (!picture) return;
    // The server's picture fills its view box; here the frame is the view and the transformation does the rest.
    const fresh = readSize(picture);
    if (fresh) Object.assign(size, fresh);
    picture.removeAttribute("viewBox");
    picture.querySelector(".graph-view").setAttribute("transform", `translate(${view.x.toFixed(1)} ${view.y.toFixed(1)}) scale(${view.scale.toFixed(4)})`);
  };
  const fit = () => {
    setHeight(frame, size);
    const { clientWidth: width, clientHeight: height } = frame;
    view.scale = clamp(Math.min(width / size.width, height / size.height, 1.15));
    view.x = (width - size.width * view.scale) / 2;
    view.y = (height - size.height * view.scale) / 2;
    // A large graph would be too small to read: begin at its left end instead. A phone comes to that earlier.
    if (view.scale < (width < 640 ? 0.55 : 0.38) && !view.touched) {
      view.scale = Math.max(view.scale, Math.min(0.85, (height / size.height) * 1.6));
      view.x = 8;
      view.y = (height - size.height * view.scale) / 2;
    }
    show();
  };
  const zoom = (factor, x = frame.clientWidth / 2, y = frame.clientHeight / 2) => {
    const scale = clamp(view.scale * factor);
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    view.touched = true;
    show();
  };
  const pan = (x, y) => {
    view.x += x;
    view.y += y;
    view.touched = true;
    show();
  };

  usePointers(frame, zoom, pan);
  useKeys(frame, zoom, pan, () => fitWhole(view, fit));
  useTools(frame, zoom, () => fitWhole(view, fit));
  useTracing(frame);
  new ResizeObserver(() => (view.touched ? show() : fit())).observe(frame);
  document.addEventListener("tradewind:refreshed", show);
  fit();
}

// As high as the graph needs at the width that there is, and never more than most of the screen.
function setHeight(frame, size) {
  const scale = Math.min(1.15, frame.clientWidth / size.width);
  const needed = size.height * Math.max(scale, 0.6) + 110;
  frame.style.height = `${Math.round(Math.min(Math.max(needed, 300), window.innerHeight * 0.72))}px`;
}

function fitWhole(view, fit) {
  view.touched = true;
  fit();
  view.touched = false;
}

function readSize(svg) {
  const box = svg?.getAttribute("viewBox")?.split(" ");
  return box ? { width: Number(box[2]), height: Number(box[3]) } : null;
}

function clamp(scale) {
  return Math.min(LARGEST, Math.max(SMALLEST, scale));
}

function usePointers(frame, zoom, pan) {
  const pointers = new Map();
  let moved = 0;
  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left, top } = frame.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX - left, event.clientY - top);
  }, { passive: false });
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest(".graph-tools")) return;
    pointers.set(event.pointerId, event);
    moved = 0;
  });
  frame.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved > 4 && !frame.hasPointerCapture(event.pointerId)) frame.setPointerCapture(event.pointerId);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const { left, top } = frame.getBoundingClientRect();
      const apart = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY) || 1;
      zoom(apart(event) / apart(before), (event.clientX + other.clientX) / 2 - left, (event.clientY + other.clientY) / 2 - top);
    }
    pan(other ? dx / 2 : dx, other ? dy / 2 : dy);
    frame.classList.toggle("is-dragged", moved > 4);
    pointers.set(event.pointerId, event);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    frame.addEventListener(kind, (event) => {
      pointers.delete(event.pointerId);
      frame.classList.remove("is-dragged");
    });
  }
  // A drag that ends on a box is not a click on it.
  frame.addEventListener("click", (event) => {
    if (moved > 4) event.preventDefault();
    moved = 0;
  }, true);
  frame.addEventListener("dragstart", (event) => event.preventDefault());
}

function useKeys(frame, zoom, pan, fit) {
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => pan(PAN, 0),
      ArrowRight: () => pan(-PAN, 0),
      ArrowUp: () => pan(0, PAN),
      ArrowDown: () => pan(0, -PAN),
      "+": () => zoom(STEP),
      "=": () => zoom(STEP),
      "-": () => zoom(1 / STEP),
      0: fit,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  // A box that gets the focus is brought into view.
  frame.addEventListener("focusin", (event) => {
    const box = event.target.closest?.(".g-node")?.getBoundingClientRect();
    if (!box) return;
    const around = frame.getBoundingClientRect();
    const x = outside(box.left, box.right, around.left + 20, around.right - 20);
    const y = outside(box.top, box.bottom, around.top + 20, around.bottom - 20);
    frame.scrollTo(0, 0);
    if (x || y) pan(x, y);
  });
}

function outside(low, high, least, most) {
  if (low < least) return least - low;
  return high > most ? most - high : 0;
}

function useTools(frame, zoom, fit) {
  const tools = frame.parentElement.querySelector(".graph-tools");
  tools?.addEventListener("click", (event) => {
    const tool = event.target.closest("[data-graph-tool]")?.dataset.graphTool;
    if (tool === "in") zoom(STEP);
    if (tool === "out") zoom(1 / STEP);
    if (tool === "fit") fit();
  });
}

function useTracing(frame) {
  let traced = null;
  const trace = (node) => {
    traced = node;
    if (node) mark(frame, node);
    else clear(frame);
  };
  const traceTarget = (event) => trace(event.target.closest?.(".g-node")?.dataset.node);
  frame.addEventListener("pointerover", traceTarget);
  frame.addEventListener("pointerleave", () => trace(null));
  frame.addEventListener("focusin", traceTarget);
  frame.addEventListener("focusout", () => trace(null));
  document.addEventListener("tradewind:refreshed", () => traced && trace(traced));
}

function mark(frame, start) {
  const svg = frame.querySelector(".graph");
  if (svg.querySelector(".g-node.is-start")?.dataset.node === start) return;
  clear(frame);
  const edges = [...svg.querySelectorAll(".g-edge")];
  const nodes = new Set([start]);
  for (const [from, to] of [["from", "to"], ["to", "from"]]) {
    const next = Map.groupBy ? Map.groupBy(edges, (edge) => edge.dataset[from]) : group(edges, from);
    const queue = [start];
    while (queue.length > 0) {
      for (const edge of next.get(queue.pop()) ?? []) {
        edge.classList.add("is-traced");
        const other = edge.dataset[to];
        if (nodes.has(other) && other !== start) continue;
        nodes.add(other);
        queue.push(other);
      }
    }
  }
  for (const node of svg.querySelectorAll(".g-node")) {
    node.classList.toggle("is-traced", nodes.has(node.dataset.node));
    node.classList.toggle("is-start", node.dataset.node === start);
  }
  svg.classList.add("is-tracing");
}

function group(edges, end) {
  const groups = new Map();
  for (const edge of edges) groups.set(edge.dataset[end], [...(groups.get(edge.dataset[end]) ?? []), edge]);
  return groups;
}

function clear(frame) {
  const svg = frame.querySelector(".graph");
  svg?.classList.remove("is-tracing");
  for (const traced of frame.querySelectorAll(".is-traced")) traced.classList.remove("is-traced", "is-start");
}
