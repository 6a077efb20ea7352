// The log of a try, read by byte range: whatever its size, only a window of it is in the page. The server answers GET
// `data-log-url?from=BYTE&max=BYTES` with text and the headers X-Log-Start (its first byte: later than asked when a running task's
// older output is not kept any more), X-Log-Size (bytes so far, as far as is known) and X-Log-End ("true" when the answer reaches the end
// of a log to which nothing will be added). The window grows at the end that is looked at and shrinks at the other.
import { fillChunk } from "./log_lines.js";
import { startFind } from "./log_find.js";

const CHUNK = 131_072; // bytes asked for at once
const WINDOW = 2_097_152; // bytes kept in the page
const POLL = 1_000; // milliseconds between looks at a growing log
const LINE_HEIGHT = 20; // pixels, as in log.css
const NEAR = 600; // pixels from an edge at which more is loaded
const ROUNDS = 8; // answers in a row that a reader who follows may need to catch up

export function startLogs() {
  for (const element of document.querySelectorAll("[data-log-url]")) new Log(element).start();
  reloadForNewTry();
}

// A page that shows the newest try goes on to the next one when there is one.
function reloadForNewTry() {
  const newest = () => document.querySelector("[data-newest-try]")?.dataset.newestTry;
  const shown = newest();
  if (shown === undefined || new URL(location.href).searchParams.has("try")) return;
  document.addEventListener("tradewind:refreshed", () => newest() !== shown && location.reload());
}

class Log {
  constructor(element) {
    this.element = element;
    this.text = element.querySelector(".log-text");
    this.place = element.querySelector("[data-log-place]");
    this.url = new URL(element.dataset.logUrl, location.href);
    this.size = Number(element.dataset.logSize);
    this.ended = element.dataset.logEnd === "true";
    this.following = !this.ended;
    this.chunks = []; // {from, to, element}, neighbours in the log and in the page
    this.first = 0; // nothing before this byte is kept
    this.busy = false;
  }

  start() {
    this.text.tabIndex = 0;
    this.element.addEventListener("click", (event) => this.press(event.target.closest("[data-log-tool]")));
    this.text.addEventListener("scroll", () => this.scrolled(), { passive: true });
    // Whoever scrolls up wants to read, not to follow.
    this.text.addEventListener("wheel", (event) => event.deltaY < 0 && this.follow(false), { passive: true });
    this.text.addEventListener("keydown", (event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && this.follow(false));
    startFind(this.element, this.text);
    this.follow(this.following);
    this.toEnd();
    setInterval(() => this.poll(), POLL);
  }

  press(button) {
    const act = {
      start: () => this.toStart(),
      end: () => this.toEnd(),
      follow: () => this.follow(!this.following),
      wrap: () => this.toggle(button, "log-wrap"),
      times: () => this.toggle(button, "log-no-time", true),
    }[button?.dataset.logTool];
    act?.();
  }

  toggle(button, name, inverted = false) {
    const on = this.element.classList.toggle(name);
    button.setAttribute("aria-pressed", String(on !== inverted));
  }

  follow(on) {
    this.following = on && !this.ended;
    this.element.querySelector("[data-log-tool=follow]")?.setAttribute("aria-pressed", String(this.following));
    if (this.following) this.toEnd();
  }

  async toStart() {
    this.follow(false);
    await this.jump(0);
    this.text.scrollTop = 0;
  }

  async toEnd() {
    if (this.bottom() < this.size || this.chunks.length === 0) await this.jump(Math.max(0, this.size - CHUNK));
    this.text.scrollTop = this.text.scrollHeight;
  }

  // Forgets the window and opens a new one at a byte.
  jump(from) {
    return this.exclusively(async () => {
      const chunk = await this.load(from, CHUNK, from > 0);
      if (!chunk) return;
      this.text.replaceChildren();
      this.chunks = [];
      this.append(chunk);
    });
  }

  async poll() {
    if (document.hidden || this.ended || (this.bottom() < this.size && !this.following)) return;
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = this.bottom();
      await this.more();
      if (this.bottom() === before) return;
      if (this.following) this.text.scrollTop = this.text.scrollHeight;
      if (!this.following || this.bottom() >= this.size) return;
    }
  }

  async scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.text;
    if (scrollTop < NEAR && this.top() > this.first) await this.less();
    else if (scrollHeight - scrollTop - clientHeight < NEAR && this.bottom() < this.size) await this.more();
  }

  // One chunk after the window.
  more() {
    return this.exclusively(async () => {
      const chunk = await this.load(this.bottom(), CHUNK, false);
      if (!chunk) return;
      // What was written in between is not kept any more: begin anew behind the gap.
      if (this.chunks.length === 0 || chunk.from !== this.bottom()) {
        this.text.replaceChildren();
        this.chunks = [];
      }
      this.append(chunk);
      this.shrink(() => this.chunks.shift(), true);
    });
  }

  // One chunk before the window; what is being read stays where it is on the screen.
  less() {
    return this.exclusively(async () => {
      const top = this.top();
      const from = Math.max(0, top - CHUNK);
      const chunk = await this.load(from, top - from, from > 0);
      if (chunk?.to !== top) {
        this.first = top;
        return;
      }
      const height = this.text.scrollHeight;
      this.chunks.unshift(chunk);
      this.text.prepend(chunk.element);
      this.text.scrollTop += this.text.scrollHeight - height;
      this.shrink(() => this.chunks.pop(), false);
    });
  }

  append(chunk) {
    this.chunks.push(chunk);
    this.text.append(chunk.element);
  }

  shrink(take, above) {
    while (this.chunks.length > 1 && this.bottom() - this.top() > WINDOW) {
      const height = this.text.scrollHeight;
      take().element.remove();
      if (above) this.text.scrollTop -= height - this.text.scrollHeight;
    }
    this.show();
  }

  // Loads whole lines: a line cut at the end of the answer is left for the next time, unless the log has ended or the line is longer than
  // the answer; one cut at the beginning is skipped when `aligned` asks for it.
  async load(from, max, aligned) {
    const url = new URL(this.url);
    url.searchParams.set("from", from);
    url.searchParams.set("max", max);
    const answer = await fetch(url, { credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) return null;
    const size = Number(answer.headers.get("X-Log-Size"));
    this.size = Math.max(this.size, Number.isFinite(size) ? size : 0);
    const start = Number(answer.headers.get("X-Log-Start") ?? from);
    let bytes = new Uint8Array(await answer.arrayBuffer());
    const next = start + bytes.length;
    if (answer.headers.get("X-Log-End") === "true") this.end();
    const lineEnd = aligned || start > from ? bytes.indexOf(10) + 1 : 0;
    const first = lineEnd < bytes.length ? lineEnd : 0;
    const cut = next < this.size || !this.ended ? bytes.lastIndexOf(10) + 1 : bytes.length;
    const last = cut > first || (bytes.length < max && next >= this.size) ? cut : bytes.length;
    if (last <= first) return null;
    bytes = bytes.subarray(first, last);
    const element = document.createElement("div");
    element.className = "log-chunk";
    const lines = fillChunk(element, new TextDecoder().decode(bytes));
    element.style.containIntrinsicBlockSize = `auto ${lines * LINE_HEIGHT}px`;
    return { from: start + first, to: start + last, element };
  }

  end() {
    if (this.ended) return;
    this.ended = true;
    this.follow(false);
    for (const sign of this.element.querySelectorAll(".log-live, [data-log-tool=follow]")) sign.hidden = true;
  }

  top() {
    return this.chunks[0]?.from ?? 0;
  }

  bottom() {
    return this.chunks.at(-1)?.to ?? 0;
  }

  show() {
    if (this.chunks.length === 0) return;
    const part = this.top() > 0 || this.bottom() < this.size;
    const shown = part ? `${bytes(this.top())} – ${bytes(this.bottom())} of ${bytes(this.size)}` : bytes(this.size);
    if (this.place) this.place.textContent = shown;
  }

  // One load at a time: a second wish while one is under way is dropped, the next scroll or poll repeats it.
  async exclusively(work) {
    if (this.busy) return;
    this.busy = true;
    try {
      await work();
      this.show();
    } catch {
      if (this.place) this.place.textContent = "The log cannot be reached just now; trying again.";
    } finally {
      this.busy = false;
    }
  }
}

function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(1)} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}
