// One lane: a pipe across the boundary with its two socket buffers, to scale.
//
// The receive buffer hangs from the reader's end: the top chip is read next, data come in below.

import {circle, count, cross, group, line, path, pill, rect, some, text, tip} from "./marks.js";
import {fit, width} from "./measure.js";
import {eventOf, isStream, said} from "./words.js";
import {inside, zoom} from "./layout.js";
import {flows, queue, tag} from "./local.js";

const MANY = 60; // more records than this are one bar
const PITCH = 15;

// Places near `wanted`, at least a pitch apart, inside the buffer.
function spread(wanted, top, bottom, pitch) {
  const places = [];
  wanted.forEach((place, i) => places.push(Math.max(place, i ? places[i - 1] + pitch : top + pitch * 0.45)));
  let floor = bottom - pitch * 0.45;
  for (let i = places.length - 1; i >= 0; i--) {
    places[i] = Math.min(places[i], floor);
    floor = places[i] - pitch;
  }
  return places;
}

export function drawLane(column, sock, c) {
  const {g, state, story, p} = c;
  const events = sock.type === "events";
  const at = inside(column, g, events);
  const piped = events || hasPipe(sock);
  if (!piped) return unconnected(at, sock, g);
  const pieces = [["pipe", pipe(at, sock, events, c)]];
  const listens = sock.state === "listening";
  if (listens) pieces.push(...queue(at, sock, c, column));
  else if (!events) pieces.push(["send", sendSide(at, sock, c)]);
  const options = listens ? sock.local.waiting.length > 0 : receiveSide(at, sock, events, c, pieces);
  return {
    pieces,
    attributes: {
      class: `lane${c.selected(sock) ? " chosen" : ""}`, role: options ? "listbox" : "group", tabindex: 0,
      "data-key": `sock/${column.sock}`, "aria-label": said(sock, state, story),
    },
  };
}

// Anybody may send to a local datagram socket, connected or not.
export const hasPipe = (sock) => /^(connected|disconnected|listening)$/.test(sock.state) || sock.type === "AF_UNIX datagram";

function unconnected(at, sock, g) {
  const words = {bound: "bound, not connected", connecting: "connecting \u2026", new: "not connected"}[sock.state] || sock.state;
  return group(
    line(at.middle, g.boundary + g.hatch, at.middle, g.port, "hair", 1.5, "2 4") +
      text(at.x + 12 * g.f, g.boundary + 44 * g.f, words, g.mid, "ink2"),
    "",
    `class="lane" role="group" tabindex="0" data-key="sock/${at.id}" aria-label="${words}"`,
  );
}

function pipe(at, sock, events, {g, state}) {
  const f = g.f;
  const cut = state.panic;
  const start = cut ? g.boundary + 24 * f : g.collar + 5 * f;
  const w = 1.25 * Math.min(f, 1.6);
  let body;
  if (events) {
    const mouth = g.port - 4 * f;
    const flare = `V${mouth}l${-6 * f} ${14 * f}`;
    body =
      path(`M${at.start} ${start}${flare}H${at.wall + 6 * f}l${-6 * f} ${-14 * f}V${start}Z`, "pipe") +
      path(`M${at.start} ${start}${flare}M${at.wall} ${start}V${mouth}l${6 * f} ${14 * f}`, "none", "rule", {width: w, cls: "wall"});
  } else {
    const over = sock.state === "disconnected";
    const end = over ? g.port - 18 * f : g.port + 1;
    body =
      rect(at.start, start, at.wall - at.start, end - start + 1, "pipe") +
      [at.start, at.wall].map((x) => line(x, start, x, end, "rule", w, over ? "4 3" : "", {cls: "wall"})).join("") +
      (over ? text(at.x + 10 * f, g.port - 3 * f, "disconnected", g.small, "ink2", {weight: 600}) : "");
  }
  if (cut) {
    const step = (at.wall - at.start) / 8;
    let teeth = `M${at.start} ${start}`;
    for (let i = 0; i < 8; i++) teeth += `l${step} ${i % 2 ? 6 * f : -6 * f}`;
    body += path(teeth, "none", "rule", {width: w}) + cross((at.start + at.wall) / 2, start - 12 * f, 4 * f);
  }
  return body + rect(at.start - 5 * f, g.collar, at.wall - at.start + 10 * f, 5 * f, "user");
}

function sendSide(at, sock, {g, moment, state}) {
  const f = g.f;
  const buffer = sock.snd;
  const factor = buffer.hiwat / g.perPx < 26 * f ? 2 : 1;
  const height = Math.min(g.H, Math.max(26 * f, buffer.hiwat / g.perPx));
  const doing = (state.procs[sock.pid] || {doing: ""}).doing;
  const moving = moment && String(moment.socket) === at.id && /send/.test(doing);
  const m = at.sendMiddle;
  let body = text(m, g.top - 8 * f, "\u2193 snd", g.small, "ink2", {weight: 600, anchor: "middle"});
  body += rect(at.sendLeft, g.top, at.send, height, "none", "rule", {dash: "2 2"});
  body += line(at.sendLeft - 4 * f, g.top, at.sendLeft + at.send + 4 * f, g.top, "rule", 2);
  if (buffer.cc) {
    const used = Math.min(height, (buffer.cc / buffer.hiwat) * height);
    body += rect(at.sendLeft + 0.5, g.top + height - used, at.send - 1, used, "data-bg", "data", {radius: 2});
  }
  const size = fitting(count(buffer.cc), at.send, g.mid);
  body += text(m, g.top + height / 2 + g.small * 0.36, count(buffer.cc), size, buffer.cc ? "ink" : "ink2", {anchor: "middle"});
  body += text(m, g.top + height + g.small + 3 * f, "of", g.small, "ink2", {anchor: "middle"});
  const limit = count(buffer.hiwat);
  body += text(m, g.top + height + 2.15 * g.small + 3 * f, limit, fitting(limit, at.send + 16 * f, g.small), "ink2", {anchor: "middle"});
  const from = g.top + height + 2.15 * g.small + 10 * f;
  if (moving) body += line(m, from, m, g.port - 6 * f, "data", 2.5 * Math.min(f, 1.6)) + tip(m, g.port, 0, 1, "data", 6 * f);
  else body += line(m, from, m, g.port - 8 * f, "hair", 1.5) + tip(m, g.port - 2 * f, 0, 1, "hair", 5 * f);
  return group(body, `send buffer: ${count(buffer.cc)} of ${count(buffer.hiwat)} bytes`);
}

// The largest size, at most `size`, at which the words fit.
function fitting(words, room, size) {
  const wide = width(words, size);
  return wide > room ? Math.max(size * 0.7, (size * room) / wide) : size;
}

function receiveSide(at, sock, events, c, pieces) {
  const {g, moment} = c;
  const f = g.f;
  const buffer = sock.rcv;
  const factor = zoom(buffer.hiwat, g);
  const perPx = g.perPx / factor;
  const top = g.top;
  const bottom = top + Math.min(g.H, buffer.hiwat / perPx);
  const free = Math.max(0, buffer.hiwat - buffer.cc);
  const full = buffer.hiwat > 0 && !free;
  const colour = full ? "loss" : "ink";
  const mark = sock.mark;
  const parts = [];
  parts.push(text(at.middle, top - 8 * f, "\u2191 rcv", g.small, "ink2", {weight: 600, anchor: "middle"}));
  parts.push(text(at.end, top - 24 * f + g.small * 0.4, count(buffer.cc), g.large, colour, {weight: 600, anchor: "end"}));
  parts.push(text(at.end, top - 8 * f, `of ${count(buffer.hiwat)} B`, g.small, "ink2", {anchor: "end"}));
  if (factor !== 1) parts.push(text(at.start + 5 * f, top - 23 * f, `scale \u00d7${factor > 1 ? factor : "1/" + 1 / factor}`, g.small, "ink", {weight: 600}));
  parts.push(rect(at.left, top, at.receive, bottom - top, "none", "rule", {dash: "2 2"}));
  let lowest = top;
  let options = false;
  if (isStream(sock)) {
    if (buffer.cc) parts.push(stream(at, sock, perPx, c));
    lowest = buffer.cc ? top + 2.6 * g.small : top;
  } else if (buffer.q.length) {
    const drawn = chips(at, sock, events, perPx, bottom, c);
    pieces.push(...drawn.pieces);
    lowest = drawn.lowest;
    options = drawn.options;
  }
  const used = top + Math.min(buffer.cc / perPx, bottom - top);
  parts.push(line(at.left - 6 * f, bottom, at.right + 6 * f, bottom, full ? "loss" : "ink2", 2.5 * Math.min(f, 1.6)));
  if (bottom - used > 44 * f && lowest < bottom - 26 * f) {
    const y = Math.max((used + bottom) / 2, lowest + PITCH * f);
    parts.push(line(at.middle, used + 7 * f, at.middle, bottom - 7 * f, "rule"));
    parts.push(tip(at.middle, used + 4 * f, 0, -1, "rule", 4 * f), tip(at.middle, bottom - 4 * f, 0, 1, "rule", 4 * f));
    const words = `${count(free)} free`;
    parts.push(rect(at.end - width(words, g.mid) - 3 * f, y - 8 * f, width(words, g.mid) + 5 * f, 16 * f, "kern-bg"));
    parts.push(text(at.end, y + g.mid * 0.36, words, g.mid, "ink2", {anchor: "end"}));
    parts.push(text(at.end, bottom + g.small + 4 * f, "hiwat", g.small, "ink2", {anchor: "end"}));
  } else {
    const both = `hiwat \u00b7 ${count(free)} free`;
    const words = width(both, g.small, full ? 600 : 400) < at.end - at.wall - 8 * f ? both : `${count(free)} free`;
    parts.push(text(at.end, bottom + g.small + 4 * f, words, g.small, full ? "loss" : "ink2", {anchor: "end", weight: full ? 600 : 0}));
  }
  if (mark) parts.push(refused(at, mark, perPx, bottom, c));
  else if (events) parts.push(text(at.end, g.port - 2 * f, "broadcast", g.small, "ink2", {anchor: "end"}));
  else parts.push(inflow(at, sock, bottom, c));
  if (moment && String(moment.socket) === at.id && moment.kind === "return" && moment.world === "data" && !events) {
    const x = at.middle;
    parts.push(line(x, top - 26 * f, x, g.collar + 16 * f, "data", 2.5 * Math.min(f, 1.6)) + tip(x, g.collar + 7 * f, 0, -1, "data", 6 * f));
  }
  // Beneath the chips, which stand over its frame.
  pieces.splice(events ? 1 : 2, 0, ["buffer", parts.join("")]);
  return options;
}

function inflow(at, sock, bottom, c) {
  const {g, moment} = c;
  const f = g.f;
  if (sock.local ? flows(c, at.id) : moment && String(moment.socket) === at.id && moment.world === "data" && moment.kind !== "return") {
    const x = at.middle;
    return line(x, g.port, x, bottom + 14 * f, "data", 2.5 * Math.min(f, 1.6)) + tip(x, bottom + 5 * f, 0, -1, "data", 6 * f);
  }
  return line(at.middle, g.port - 2 * f, at.middle, bottom + 14 * f, "hair", 1.5) + tip(at.middle, bottom + 6 * f, 0, -1, "hair", 5 * f);
}

function refused(at, mark, perPx, bottom, {g, story, p, moment}) {
  const f = g.f;
  const [bytes, name, when] = mark;
  const lost = name === "lost";
  const room = g.port - bottom - 12 * f;
  const height = Math.max(1.5, Math.min(bytes / perPx, room));
  const y = bottom + 8 * f;
  const centre = y + Math.max(height / 2, 10 * f);
  const box = height > 6
    ? rect(at.left + 1, y, at.receive - 2, height, `url(#${p}loss)`, "loss", {width: 1.75, dash: "5 3", radius: 2 * f})
    : rect(at.left + 1, centre - height / 2, at.receive - 2, height, "loss");
  const badge = circle(at.middle, centre, 9 * f, "paper", "loss", 1.75 * Math.min(f, 1.6)) + cross(at.middle, centre, 3.6 * f, "loss", 2 * Math.min(f, 1.6));
  const low = Math.max(y + height, centre + 9 * f) + 2;
  const stem = low < g.port - 3 ? line(at.middle, g.port, at.middle, low, "loss", 2.5 * Math.min(f, 1.6), "5 3") : "";
  const first = bottom + g.small + 4 * f + 17 * f;
  let words = text(at.end, first, lost ? "lost" : name, g.mid, "loss", {weight: 600, anchor: "end"});
  words += text(at.end, first + 15 * f, `${count(bytes)} B`, g.mid, "loss", {weight: 600, anchor: "end"});
  words += g.tight
    ? pill(at.end - width(`${count(bytes)} B`, g.mid, 600) - 8 * f, first + 11 * f, count(story.stepOf(when)), g.small, {anchor: "end"})
    : pill(at.end, first + 30 * f, count(story.stepOf(when)), g.small, {anchor: "end"});
  const label = `${lost ? "lost" : "refused"}: ${count(bytes)} bytes${lost ? "" : ", " + name}, at step ${story.stepOf(when)}`;
  return stem + group(box + badge + words, label, `class="mark" data-mark="${at.id}" data-at="${when}"`);
}

function stream(at, sock, perPx, {g, p, selected}) {
  const f = g.f;
  const {cc, read} = sock.rcv;
  const h = Math.max(cc / perPx, 1.5);
  let tags = "";
  let from = 0;
  for (const item of sock.rcv.q) {
    const y = g.top + from / perPx;
    const ly = Math.max(y, g.top + 44 * g.f);
    const label = tag(at.label + 4 * g.f, ly, item, g);
    if (label) tags += line(at.left, y, at.right, y, "user", 1.5) + path(`M${at.right + 1} ${y}H${at.wall + 1 * g.f}L${at.label + 3 * g.f} ${ly}`, "none", "rule") + group(label, passing(item).slice(2));
    from += item[1];
  }
  const words = `${count(cc)} bytes of a stream; the next byte to be read is byte ${count(read)}`;
  const bar = rect(at.left + 0.5, g.top + 0.5, at.receive - 1, h - 0.5, `url(#${p}stream)`, "data", {cls: "chip"});
  const wide = Math.max(width("read cursor", g.small), width("byte " + count(read), g.small));
  return (
    group(bar, words, `data-chip="bar"`) +
    line(at.left - 6 * f, g.top, at.right + 6 * f, g.top, "data", 2.5 * Math.min(f, 1.6)) +
    path(`M${at.right + 2 * f} ${g.top}l${8 * f} ${-5 * f}v${10 * f}z`, "data") +
    path(`M${at.right + 10 * f} ${g.top}H${at.wall + 2 * f}L${at.end - wide - 5 * f} ${g.top + 12 * f}`, "none", "rule") +
    text(at.end, g.top + 16 * f, "read cursor", g.small, "ink", {anchor: "end"}) +
    text(at.end, g.top + 29 * f, "byte " + count(read), g.small, "ink2", {anchor: "end"}) + tags
  );
}

const passing = (item) => (item[5] && item[5].length ? `, ${some(item[5].length, "descriptor")} with it` : "");

function chips(at, sock, events, perPx, bottom, c) {
  const {g, story} = c;
  const f = g.f;
  const items = sock.rcv.q;
  const noun = events ? "event" : "datagram";
  if (items.length > MANY) {
    const h = Math.min(sock.rcv.cc / perPx, bottom - g.top);
    let rules = "";
    for (let y = g.top + 4; y < g.top + h; y += 4) rules += line(at.left + 1, y, at.right - 1, y, "data", 0.75);
    const words = `${count(items.length)} ${noun}s`;
    return {
      pieces: [["all", group(rect(at.left + 0.5, g.top + 0.75, at.receive - 1, h - 1.5, "data-bg", "data", {radius: 2}) + rules + text(at.end, g.top + 14 * f, words, g.mid, "ink", {anchor: "end"}), words, `data-chip="all"`)]],
      lowest: g.top + 20 * f, options: false,
    };
  }
  const pitch = PITCH * f;
  const middles = [];
  let y = g.top;
  const shapes = items.map((item, i) => {
    const [id, size] = item;
    const h = size / perPx;
    const on = c.chosen(at.id, id);
    const shape = rect(at.left + 0.5, y + 0.75, at.receive - 1, Math.max(h - 1.5, 1.5), on ? "sel-bg" : "data-bg", on ? "sel" : "data", {radius: Math.min(2 * f, h / 3), width: on ? 2 : 1});
    middles.push(y + h / 2);
    const told = events && eventOf(story.bytes([item[2], size]));
    y += h;
    return {id, size, shape, on, h, told, label: told ? `event ${told.id}, ${told.what}, ${count(size)} bytes` : `${noun} ${i + 1} of ${items.length}: ${count(size)} bytes${passing(item)}`, item};
  });
  const room = Math.max(2, Math.floor((bottom - g.top) / pitch));
  const roomy = events && shapes.every((s) => s.h >= 34 * f);
  const named = roomy || shapes.length <= room ? shapes.length : room - 1;
  const places = spread(middles.slice(0, named), g.top, bottom, roomy ? 30 * f : pitch);
  const pieces = [];
  shapes.forEach((s, i) => {
    let label = "";
    if (i < named) {
      const ly = places[i];
      const [ink, quiet, weight] = s.on ? ["sel", "sel", 600] : ["ink", "ink2", 0];
      if (roomy && s.told) {
        label += text(at.middle, middles[i] - 2 * f, `id ${s.told.id}`, g.mid, ink, {weight: 600, anchor: "middle"});
        label += text(at.middle, middles[i] + g.small + 2 * f, `${count(s.size)} B`, g.small, ink, {anchor: "middle"});
        label += text(at.end, ly - 2 * f, s.told.what, g.small, ink, {anchor: "end", weight});
        label += text(at.end, ly + g.small + 2 * f, s.told.of, g.small, quiet, {anchor: "end", weight});
      } else {
        if (s.on) label += rect(at.label - 1 * f, ly - pitch / 2, at.end - at.label + 5 * f, pitch, "sel-bg", "sel", {width: 1.5, radius: 3 * f});
        label += path(`M${at.right + 1} ${middles[i]}H${at.wall + 1 * f}L${at.label - (s.on ? 1 * f : 0)} ${ly}`, "none", s.on ? "sel" : "rule", {width: s.on ? 1.5 : 1});
        label += tag(at.label + 16 * f, ly, s.item, g);
        label += text(at.label + 4 * f, ly + g.mid * 0.36, s.told ? `id ${s.told.id}` : i + 1, g.small, quiet, {weight});
        label += text(at.end, ly + g.mid * 0.36, count(s.size), g.mid, ink, {anchor: "end", weight});
      }
    }
    pieces.push([`chip/${s.id}`, group(s.shape + label, s.label, `class="chip" role="option" tabindex="-1" aria-selected="${s.on}" aria-label="${s.label}" data-key="chip/${at.id}/${s.id}" data-chip="${s.id}"`)]);
  });
  let lowest = places.length ? places[places.length - 1] : g.top;
  if (named < shapes.length) {
    lowest += pitch;
    pieces.push(["more", text(at.end, lowest + g.mid * 0.36, `and ${shapes.length - named} more`, g.small, "ink2", {anchor: "end"})]);
  }
  return {pieces, lowest, options: true};
}
