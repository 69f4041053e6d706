// Memory in the scene: one box an object with its pages, and on it the windows of processes. A window
// stands in its process, at its address; a ribbon leads from it to what it shows.

import {count, cross, escaped, group, line, path, rect, some, text} from "./marks.js";
import {fit, width} from "./measure.js";
import {crossed} from "./boundary.js";
import {objectAt, seenBy, windowAt} from "./machplan.js";
import {address, r} from "./mach.js";

const PAGES = 2; // drawn one by one
export const LINE = 32; // bytes of a page that a document tells

const PAGE = 16384;

export const prot = (bits) => (bits & 1 ? "r" : "-") + (bits & 2 ? "w" : "-") + (bits & 4 ? "x" : "");
export const sized = (bytes) => (bytes >= 1 << 20 && bytes % (1 << 20) === 0 ? `${count(bytes >> 20)} MB` : bytes % 1024 ? `${count(bytes)} B` : `${count(bytes / 1024)} KB`);

// Bytes as a reader knows them: words where they are letters, numbers where not.
export function glimpse(bytes, room, size) {
  if (!bytes) return "";
  let end = bytes.length;
  while (end > 0 && !bytes[end - 1]) end--;
  const used = bytes.subarray(0, end);
  if (!end) return "zeros";
  if (used[0] && used.every((b) => b === 0 || (b >= 32 && b < 127))) return fit(String.fromCharCode(...used.map((b) => b || 183)), room, size);
  const first = used.findIndex((b) => b);
  return (first > 3 ? "\u2026 " : "") + numbers(first > 3 ? used.subarray(first) : used, room - (first > 3 ? width("\u2026 ", size) : 0), size);
}

function numbers(bytes, room, size) {
  const words = [...bytes].map((b) => b.toString(16).padStart(2, "0"));
  let found = "";
  for (const word of words) {
    if (width(found + word + " \u2026", size) > room) return found + "\u2026";
    found += word + " ";
  }
  return found.trim();
}

const pageBytes = (c, page) => c.story.bytes([page[1], LINE]);

// The pages of an object that are there, the one that changed last first.
const pagesOf = (object) => Object.entries(object.pages).sort((a, b) => b[1][2] - a[1][2] || a[0] - b[0]);

// The page a window shows first: of what it sees, the one that changed last.
function pageOf(c, window) {
  const object = c.state.mem.objects[seenBy(c.state, window.object)];
  return object ? (pagesOf(object)[0] || [null, null])[1] : null;
}

const touches = (c, window) => {
  const touch = c.state.mem.touch;
  return touch && touch[5] === c.now && touch[0] === window.pid && touch[2] >= window.start && touch[2] < window.start + window.size ? touch : null;
};

export function windowCell(c, m, key, at) {
  const {f} = m;
  const window = windowAt(c.state, key);
  const top = m.process + m.head;
  const {x, width: w} = at;
  const on = Boolean(c.sel && c.sel.key === key);
  const page = pageOf(c, window);
  const touch = touches(c, window);
  const bad = touch && !touch[3];
  const ground = on ? "sel-bg" : page ? "data-bg" : "raise";
  let body = rect(x, top + 3 * f, w - 2 * f, m.strip - 3 * f, ground, on ? "sel" : bad ? "loss" : "data", {radius: 2 * f, width: on || touch ? 2 : 1, dash: bad ? "5 3" : window.object ? "" : "2 2"});
  const rights = prot(window.prot);
  const where = address(window.start);
  const room = w - 12 * f - width(rights, m.small) - 6 * f;
  const both = width(where, m.small) <= room;
  body += text(x + 5 * f, top + 16 * f, both ? where : fit(where, w - 12 * f, m.small), m.small, on ? "sel" : "ink", {weight: on ? 600 : 0});
  if (both) body += text(x + w - 7 * f, top + 16 * f, rights, m.small, "ink2", {anchor: "end"});
  const bytes = page ? glimpse(pageBytes(c, page), w - (touch && touch[3] ? 26 : 12) * f, m.small) : "zeros";
  body += text(x + 5 * f, top + 30 * f, bytes, m.small, page ? "ink" : "ink2", {weight: page ? 600 : 0});
  if (touch && touch[3]) body += rect(x + w - 16 * f, top + 21 * f, 10 * f, 10 * f, "ink", "", {radius: 5 * f}) + path(`M${r(x + w - 13.5 * f)} ${r(top + 28 * f)}l${3 * f} ${-3.6 * f}l${1.8 * f} ${1.5 * f}l${-3 * f} ${3.6 * f}l${-2.2 * f} ${0.6 * f}z`, "paper");
  body += rect(x, m.collar, w - 2 * f, 4 * f, "data");
  const label = `window at ${where}: ${sized(window.size)}, ${window.prot & 2 ? "read and write" : window.prot & 1 ? "read only" : "no access"}${window.copied ? ", copied on the first write" : ""}${page ? ", " + bytes : ", zeros"}`;
  return group(body, label, `class="chip" role="option" tabindex="-1" aria-selected="${on}" aria-label="${escaped(label)}" data-key="${key}"`);
}

// From each window to its object: side by side on the object's top, in the order of the windows.
// `crossing` is told from where to where each crosses the boundary.
export function ribbons(c, m, crossing) {
  const {f} = m;
  const on = new Map();
  for (const [key, at] of m.cells) {
    if (!key.startsWith("win/")) continue;
    const window = windowAt(c.state, key);
    const to = `obj/${seenBy(c.state, window.object)}`;
    if (!m.things.has(to)) continue;
    if (!on.has(to)) on.set(to, []);
    on.get(to).push({key, window, at});
  }
  const pieces = [];
  for (const [to, list] of on) {
    const end = m.things.get(to);
    list.sort((a, b) => a.at.x - b.at.x);
    const part = (end.width - 8 * f) / list.length;
    list.forEach(({key, window, at}, i) => {
      const [a, b] = [at.x, at.x + at.width - 2 * f];
      const [left, right] = [end.x + 4 * f + i * part + 1.5 * f, end.x + 4 * f + (i + 1) * part - 1.5 * f];
      const [y1, y2] = [m.collar + 4 * f, m.row];
      crossing.push([crossed(m, a, y1, left, y2)[0], crossed(m, b, y1, right, y2)[1]]);
      const half = (y2 - y1) * 0.55;
      const edge = (x1, x2) => `C${r(x1)} ${r(y1 + half)} ${r(x2)} ${r(y2 - half)} ${r(x2)} ${r(y2)}`;
      const back = (x1, x2) => `C${r(x2)} ${r(y2 - half)} ${r(x1)} ${r(y1 + half)} ${r(x1)} ${r(y1)}`;
      const lazy = seenBy(c.state, window.object) !== window.object || window.copied;
      const chosen = c.sel && (c.sel.key === key || c.sel.key === to);
      const stroke = chosen ? "sel" : "data";
      const now = touches(c, window);
      const shape = `M${r(a)} ${r(y1)}${edge(a, left)}H${r(right)}${back(b, right)}Z`;
      let body = lazy ? "" : path(shape, "data-bg", "", {more: 'opacity=".55"'});
      body += path(`M${r(a)} ${r(y1)}${edge(a, left)}M${r(b)} ${r(y1)}${edge(b, right)}`, "none", stroke, {width: (now ? 2.25 : 1.25) * Math.min(f, 1.6), dash: lazy ? "5 4" : "", more: `data-ribbon="${key}"`});
      pieces.push([`ribbon/${key}`, group(body, lazy ? "a private copy: it is made by the first write" : "a window on this memory")]);
    });
  }
  return pieces;
}

export function objects(c, m) {
  const pieces = [];
  for (const [key, at] of m.things) if (key.startsWith("obj/")) pieces.push([key, objectBox(c, m, key, at)]);
  return pieces;
}

function objectBox(c, m, key, at) {
  const {f} = m;
  const id = key.slice(4);
  const object = objectAt(c.state, key);
  const {x, width: w} = at;
  const on = Boolean(c.sel && c.sel.key === key);
  const windows = Object.values(c.state.mem.windows).filter((one) => seenBy(c.state, one.object) === id);
  const pages = pagesOf(object);
  const fresh = c.touchedNow.has(key);
  let body = rect(x, m.row, w, m.box, "raise", on ? "sel" : "data", {radius: 4 * f, width: on ? 2 : fresh ? 1.75 : 1});
  const size = sized(object.size);
  const title = id.startsWith("io") ? `IOKit memory ${id.slice(2)}` : `memory ${id}`;
  const room = w - 26 * f - width(size, m.small);
  const both = width(title, m.mid, 600) <= room;
  body += text(x + 9 * f, m.row + 18 * f, fit(title, w - 18 * f, m.mid, 600), m.mid, "ink", {weight: 600});
  if (both) body += text(x + w - 9 * f, m.row + 18 * f, size, m.small, "ink2", {anchor: "end"});
  const seen = object.shadow && pages.length ? `${w > 130 * f ? "copied from memory" : "copy of"} ${bottomOf(c.state, object.shadow)}` : some(windows.length, "window");
  body += text(x + 9 * f, m.row + 33 * f, fit(seen, w - 18 * f, m.small), m.small, "ink2");
  const top = m.row + 42 * f;
  const high = 43 * f;
  if (!pages.length) {
    body += rect(x + 9 * f, top, w - 18 * f, high, "none", "rule", {dash: "2 2"});
    body += text(x + w / 2, top + high / 2 + m.small * 0.36, id.startsWith("io") ? "not recorded" : "zeros", m.small, "ink2", {anchor: "middle"});
  }
  const touch = c.state.mem.touch;
  pages.slice(0, PAGES).forEach(([index, page], i) => (body += pageBox(c, m, id, index, page, x + 9 * f, top + i * (high + 3 * f), w - 18 * f, high, touch)));
  const rest = pages.length - PAGES;
  const foot = m.row + m.box - 8 * f;
  if (rest > 0) body += text(x + 9 * f, foot, `and ${some(rest, "page")} more`, m.small, "ink2");
  else body += text(x + 9 * f, foot, `${some(pages.length, "page")} of ${count(Math.max(1, Math.ceil(object.size / PAGE)))}`, m.small, "ink2");
  const label = `${title}: ${size}, ${some(windows.length, "window")}, ${some(pages.length, "page")}`;
  return group(body, label, `class="box" role="button" tabindex="0" data-key="${key}" aria-label="${label}"`);
}

const bottomOf = (state, id) => seenBy(state, id) || id;

function pageBox(c, m, id, index, page, x, y, w, h, touch) {
  const {f} = m;
  const [at, , when] = page;
  const now = when === c.now;
  let body = rect(x, y, w, h, "data-bg", now ? "ink" : "data", {radius: 2 * f, width: now ? 2 : 1});
  body += text(x + 6 * f, y + 14 * f, `page ${index}`, m.small, "ink2");
  if (at) {
    const words = `from byte ${count(at)}`;
    if (width(words, m.small) + width(`page ${index}`, m.small) < w - 18 * f) body += text(x + w - 6 * f, y + 14 * f, words, m.small, "ink2", {anchor: "end"});
  }
  const edge = tornAt(c, id, index, page, touch);
  const bytes = pageBytes(c, page);
  const words = edge === null || !bytes ? glimpse(bytes, w - 12 * f, m.small) : "\u2026" + numbers(bytes.subarray(Math.max(0, edge - 2), edge), w, m.small) + " | " + numbers(bytes.subarray(edge, edge + 2), w, m.small) + "\u2026";
  body += text(x + 6 * f, y + 28 * f, words, m.small, "ink", {weight: 600});
  return body + scale(c, m, page, edge, touch, x + 6 * f, y + 33 * f, w - 12 * f);
}

// Where in the line of a page a longer write stands now: what lies behind is old; null: nowhere.
function tornAt(c, id, index, page, touch) {
  const window = touch && touch[4] && Object.values(c.state.mem.windows).find((one) => one.pid === touch[0] && touch[2] >= one.start && touch[2] < one.start + one.size);
  if (!window || seenBy(c.state, window.object) !== id) return null;
  const at = touch[2] + touch[3] - window.start + window.offset - index * PAGE - page[0];
  return at >= 0 && at < LINE ? at : null;
}

// The bytes of the line as a scale, and on it what of a longer write is still old.
function scale(c, m, page, edge, touch, x, y, w) {
  const {f} = m;
  const h = 6 * f;
  const body = rect(x, y, w, h, "raise", "data", {radius: 1 * f});
  if (edge === null) return body + written(page, x, y, w, h, c);
  const to = Math.min(LINE, edge + touch[4]);
  return group(body + rect(x, y, (edge / LINE) * w, h, "data", "", {radius: 1 * f}) + rect(x + (edge / LINE) * w, y, ((to - edge) / LINE) * w, h, `url(#${c.p}loss)`, "loss", {radius: 1 * f}), `torn: ${count(touch[4])} bytes of this write are still old`);
}

function written(page, x, y, w, h, c) {
  const bytes = pageBytes(c, page);
  let end = bytes ? bytes.length : 0;
  while (end > 0 && !bytes[end - 1]) end--;
  return end ? rect(x, y, Math.max(2, (end / LINE) * w), h, "data") : "";
}
