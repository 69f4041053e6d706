// Local sockets: the two ends of a pipe between processes are joined below the boundary; a listening
// socket holds the connections that wait at it.

import {count, group, line, path, rect, some, text, tip} from "./marks.js";
import {fit, width} from "./measure.js";
import {endOf, peerOf} from "./words.js";
import {inside} from "./layout.js";

const TUBE = 9;

const locals = (c, columns) => columns.filter((column) => column.sock && c.state.socks[column.sock] && c.state.socks[column.sock].local);

// Whether bytes joined a socket's queue at this moment.
export function flows({story, now}, id) {
  const queue = story.series.queues.get(String(id));
  return Boolean(queue) && queue.value(now) > (now ? queue.value(now - 1) : 0);
}

// Where each local socket's pipe ends: x and width, by socket. Connections that wait end where they wait.
function endsOf(c, columns) {
  const found = new Map();
  for (const column of locals(c, columns)) {
    const thin = column.kind === "thin";
    const at = thin ? null : inside(column, c.g);
    const end = thin ? {x: column.x + column.width / 2, wide: column.width - 4} : {x: (at.start + at.wall) / 2, wide: at.wall - at.start - 24 * c.g.f};
    end.column = column;
    found.set(String(column.sock), end);
    for (const id of c.state.socks[column.sock].local.waiting) found.set(String(id), end);
  }
  return found;
}

// Who is joined to whom: two ends and whether both send; an end that is not drawn is null.
function pairsOf(c, columns) {
  const ends = endsOf(c, columns);
  const found = new Map();
  for (const [id, end] of ends) {
    const sock = c.state.socks[id];
    const peer = sock && String(sock.local.peer);
    if (!peer || peer === "0" || !c.state.socks[peer]) continue;
    const key = Number(id) < Number(peer) ? `${id}/${peer}` : `${peer}/${id}`;
    if (found.has(key)) continue;
    const both = String(c.state.socks[peer].local.peer) === id;
    found.set(key, {key, from: id, to: peer, both, a: end, b: ends.get(peer) || null});
  }
  return [...found.values()].filter((pair) => pair.b || pair.a.column.kind === "lane");
}

// Pipes that end in one socket stand side by side.
function places(pairs) {
  const at = new Map();
  for (const pair of pairs) for (const end of [pair.a, pair.b]) if (end) at.set(end, [...(at.get(end) || []), pair]);
  for (const [end, here] of at) {
    const pitch = Math.min(14, end.wide / Math.max(1, here.length - 1));
    here.sort((p, q) => other(p, end) - other(q, end));
    here.forEach((pair, i) => (pair[pair.a === end ? "x1" : "x2"] = end.x + (i - (here.length - 1) / 2) * pitch));
  }
}

const other = (pair, end) => {
  const far = pair.a === end ? pair.b : pair.a;
  return far ? far.x : Infinity;
};

// The shorter ones above, and none in another's way.
function levels(pairs) {
  const rows = [];
  const span = (pair) => [Math.min(pair.x1, pair.x2) - 4, Math.max(pair.x1, pair.x2) + 4];
  const sorted = pairs.slice().sort((p, q) => Math.abs(p.x1 - p.x2) - Math.abs(q.x1 - q.x2));
  for (const pair of sorted) {
    const [left, right] = span(pair);
    let row = rows.findIndex((taken) => taken.every(([l, r]) => right < l || r < left));
    if (row < 0) row = rows.push([]) - 1;
    rows[row].push([left, right]);
    pair.row = row;
  }
  return rows.length;
}

export function tubes(c, columns) {
  const {g, state, story} = c;
  const f = g.f;
  const pairs = pairsOf(c, columns);
  places(pairs);
  for (const pair of pairs) if (!pair.b) pair.x2 = pair.a.column.x + pair.a.column.width - 4 * f;
  const many = levels(pairs);
  const top = g.box + 32 * f;
  const pitch = Math.min(16 * f, (g.boxHeight - 26 * f) / Math.max(1, many - 1));
  const wide = Math.min(TUBE * f, Math.max(2.5, pitch - 3 * f));
  return pairs.map((pair) => {
    const y = top + pair.row * pitch;
    const [x1, x2] = [pair.x1, pair.x2];
    const side = x1 < x2 ? 1 : -1;
    const r = Math.min(8 * f, Math.abs(x1 - x2) / 2);
    const up = pair.b ? `H${x2 - side * r}Q${x2} ${y} ${x2} ${y - r}V${g.box}` : `H${x2}`;
    const way = `M${x1} ${g.box}V${y - r}Q${x1} ${y} ${x1 + side * r} ${y}${up}`;
    const on = [pair.from, pair.to].some((id) => c.selected(state.socks[id]));
    let body = path(way, "none", on ? "sel" : "rule", {width: wide + 2.5, cls: "wall"}) + path(way, "none", "pipe", {width: wide});
    const into = [pair.to, pair.from].find((id) => flows(c, id));
    if (into) body += path(way, "none", "data", {width: 2.5 * Math.min(f, 1.6)});
    else if (!pair.both) body += path(way, "none", "hair", {width: 1.5});
    const head = (x, ends, id) => (into === id || (!into && !pair.both && id === pair.to) ? tip(x, ends ? g.box : y, ends ? 0 : side, ends ? -1 : 0, into ? "data" : "rule", 4.5 * f) : "");
    body += head(x1, true, pair.from) + head(x2, Boolean(pair.b), pair.to);
    const words = pair.both ? "and" : "sends to";
    return [`tube/${pair.key}`, group(body, `${endOf(state, story, pair.from)} ${words} ${endOf(state, story, pair.to)}`, `class="tube" data-tube="${pair.key}"`)];
  });
}

// Below each lane, whom the socket speaks to, and by which name.
export function plates(c, columns) {
  const {g, state, story} = c;
  const f = g.f;
  let body = "";
  for (const column of locals(c, columns)) {
    if (column.kind !== "lane") continue;
    const sock = state.socks[column.sock];
    const at = inside(column, g);
    const {path: name, bound, waiting, limit} = sock.local;
    const peer = peerOf(state, story, sock);
    const senders = Object.values(state.socks).filter((one) => one.local && String(one.local.peer) === String(column.sock)).length;
    const firm = Boolean(peer || limit || senders);
    const words = limit ? "listens" : peer ? (state.socks[sock.local.peer].fds.length ? `to ${peer}` : "not accepted") : senders ? `from ${some(senders, "sender")}` : sock.state === "disconnected" ? "its peer is gone" : "no peer";
    const [x, w, y] = [at.start - 5 * f, at.wall - at.start + 10 * f, g.port];
    body += rect(x, y, w, g.row + 1, "raise", "kern", {radius: 3 * f, dash: firm ? "" : "4 3"});
    if (firm) body += rect(x, y, w, 5 * f, "kern", "", {radius: 2 * f});
    body += text(x + w / 2, y + g.row * 0.5 + g.small * 0.36 + 2.5 * f, fit(words, w - 8 * f, g.small, 700), g.small, "kern", {weight: 700, anchor: "middle"});
    const far = state.socks[sock.local.peer];
    const shown = name || (far ? far.local.path : "");
    if (shown) {
      const gone = (limit || (!far && name)) && !bound;
      const half = senders > 1 || waiting.length > 1 ? (at.wall - at.start) / 2 - 8 * f : 8 * f; // what the pipes take
      const left = (at.start + at.wall) / 2 + half + 6 * f;
      const room = column.x + column.width - left - 2 * f;
      body += group(text(left, g.box + 14 * f, fit(shown, room, g.small), g.small, gone ? "ink3" : "ink2", gone ? {more: 'text-decoration="line-through"'} : {}), gone ? `${shown}, a name taken away` : shown);
    }
  }
  return body;
}

// The queue of a listening socket: a place for each connection that may wait, the next one on top.
export function queue(at, sock, c, column) {
  const {g, state, story} = c;
  const f = g.f;
  const {waiting, limit} = sock.local;
  const full = waiting.length >= limit;
  const colour = full ? "loss" : "ink";
  const high = 20 * f;
  const most = Math.max(1, Math.floor(g.H / high));
  const shown = Math.min(limit, most);
  const bottom = g.top + shown * high;
  let body = text(at.middle, g.top - 8 * f, "accept", g.small, "ink2", {weight: 600, anchor: "middle"});
  body += text(at.end, g.top - 24 * f + g.small * 0.4, count(waiting.length), g.large, colour, {weight: 600, anchor: "end"});
  body += text(at.end, g.top - 8 * f, `of ${count(limit)} wait`, g.small, "ink2", {anchor: "end"});
  body += rect(at.left, g.top, at.receive, bottom - g.top, "none", "rule", {dash: "2 2"});
  for (let i = 1; i < shown; i++) body += line(at.left, g.top + i * high, at.right, g.top + i * high, "hair");
  const pieces = [];
  waiting.slice(0, shown).forEach((id, i) => {
    const one = state.socks[id];
    const far = one && state.socks[one.local.peer];
    const who = far ? endOf(state, story, one.local.peer) : "a client that has gone";
    const held = one ? one.rcv.cc : 0;
    const y = g.top + i * high;
    const on = Boolean(one) && c.selected(one);
    let chip = rect(at.left + 2, y + 2, at.receive - 4, high - 4, on ? "sel-bg" : "raise", on ? "sel" : "kern", {radius: 3 * f, width: on ? 2 : 1});
    chip += text(at.middle, y + high / 2 + g.small * 0.36, held ? `${count(held)} B` : "0 B", g.small, held ? "ink" : "ink2", {anchor: "middle"});
    chip += path(`M${at.right + 1} ${y + high / 2}H${at.wall + 4 * f}`, "none", "rule");
    chip += text(at.wall + 7 * f, y + high / 2 + g.small * 0.36, fit(far ? who : "gone", column.x + column.width - at.wall - 9 * f, g.small, 600), g.small, on ? "sel" : "user", {weight: 600});
    const label = `waits, ${i + 1} of ${waiting.length}: ${who}, ${some(held, "byte")} sent already`;
    pieces.push([`wait/${id}`, group(chip, label, `class="chip" role="option" tabindex="-1" aria-selected="${on}" aria-label="${label}" data-key="sock/${id}"`)]);
  });
  const left = waiting.length - shown;
  const foot = left > 0 ? `and ${count(left)} more` : full ? "full" : limit > shown ? `${count(limit - shown)} more may` : "";
  body += line(at.left - 6 * f, bottom, at.right + 6 * f, bottom, full ? "loss" : "ink2", 2.5 * Math.min(f, 1.6));
  if (foot) body += text(at.end, bottom + g.small + 4 * f, foot, g.small, full ? "loss" : "ink2", {anchor: "end", weight: full ? 600 : 0});
  return [["buffer", body], ...pieces];
}

// How many open files travel in a record, as a tag with its left edge at x.
export function tag(x, y, item, g) {
  const many = item[5] ? item[5].length : 0;
  if (!many) return "";
  const words = many > 1 ? `${many} fd` : "fd";
  const w = width(words, g.small, 700) + 7 * g.f;
  return rect(x, y - g.small * 0.66, w, g.small * 1.32, "user-bg", "user", {radius: 3 * g.f}) + text(x + w / 2, y + g.small * 0.36, words, g.small, "user", {weight: 700, anchor: "middle"});
}
