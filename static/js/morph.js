// Turns one piece of the page into another with as few changes as possible, so that focus, scroll positions, selections and running
// animations survive. Elements are matched by position and by `id` or `data-key`; attributes named in `data-keep` belong to the page.

export function morph(target, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  children(target, template.content);
}

function children(target, source) {
  const keyed = new Map();
  for (const child of target.children) {
    if (key(child)) keyed.set(key(child), child);
  }
  let place = target.firstChild;
  for (const wanted of [...source.childNodes]) {
    const known = wanted.nodeType === Node.ELEMENT_NODE ? keyed.get(key(wanted)) : undefined;
    if (known && known.parentNode === target && known !== place) target.insertBefore(known, place);
    const current = known ?? place;
    if (current && alike(current, wanted)) {
      place = current.nextSibling;
      patch(current, wanted);
    } else {
      target.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function key(element) {
  return element.id || element.dataset?.key || "";
}

function alike(current, wanted) {
  return current.nodeType === wanted.nodeType && current.nodeName === wanted.nodeName && (current.nodeType !== Node.ELEMENT_NODE || key(current) === key(wanted));
}

function patch(current, wanted) {
  if (current.nodeType !== Node.ELEMENT_NODE) {
    if (current.nodeValue !== wanted.nodeValue) current.nodeValue = wanted.nodeValue;
    return;
  }
  const keep = new Set((current.dataset?.keep ?? "").split(" "));
  for (const { name, value } of wanted.attributes) {
    if (!keep.has(name) && current.getAttribute(name) !== value) current.setAttribute(name, value);
  }
  for (const { name } of [...current.attributes]) {
    if (!keep.has(name) && !wanted.hasAttribute(name)) current.removeAttribute(name);
  }
  if (!keep.has("children") && !current.isEqualNode(wanted)) children(current, wanted);
}
