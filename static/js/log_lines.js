// Lines of a log as elements. A line is `TIME STREAM TEXT`, STREAM being O (output), E (error) or T (a note of Tradewind's own);
// anything else is shown as it is.
const LINE = /^(\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d(?:\.\d{1,3})?)\d*Z) ([OET]) /;
const CLASSES = { E: "log-err", T: "log-note" };
const ESCAPE = /\x1b\[([0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)/g;
const LONGEST = 20_000; // characters of one line that are shown

// Fills `chunk` and says how many lines it got.
export function fillChunk(chunk, text) {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) chunk.append(lineElement(line.endsWith("\r") ? line.slice(0, -1) : line));
  return lines.length;
}

function lineElement(line) {
  const element = document.createElement("span");
  element.className = "log-line";
  const head = LINE.exec(line);
  if (head) {
    if (CLASSES[head[3]]) element.classList.add(CLASSES[head[3]]);
    const time = document.createElement("time");
    time.dateTime = head[1];
    time.textContent = head[2];
    element.append(time);
  }
  const text = head ? line.slice(head[0].length) : line;
  appendText(element, text.length > LONGEST ? `${text.slice(0, LONGEST)} … (${text.length - LONGEST} more characters)` : text);
  return element;
}

// Text with the colours of its escape sequences; other sequences are dropped.
function appendText(element, text) {
  if (!text.includes("\x1b")) {
    element.append(text);
    return;
  }
  let codes = [];
  let at = 0;
  const add = (part) => {
    if (!part) return;
    if (codes.length === 0) return element.append(part);
    const span = document.createElement("span");
    span.className = codes.map((code) => `sgr-${code}`).join(" ");
    span.textContent = part;
    element.append(span);
  };
  for (const match of text.matchAll(ESCAPE)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m") codes = applyCodes(codes, match[1]);
  }
  add(text.slice(at));
}

function applyCodes(codes, list) {
  let next = codes;
  for (const code of list.split(";").map(Number)) {
    if (code === 0) next = [];
    else if (code === 39) next = next.filter((old) => old < 30);
    else if (code >= 30) next = [...next.filter((old) => old < 30), code];
    else next = [...next, code];
  }
  return next;
}
