// Mach in the scene: processes with their names, ports with their queues, rights as arrows.
//
// A name is a cell at the bottom of its process, as a descriptor is a row. From it an arrow goes to
// the port: thick for the receive right, thin for send, dashed for send-once. A right that travels is
// drawn from the message that carries it.

import {circle, count, cross, escaped, group, line, path, rect, some, text, tip} from "./marks.js";
import {fit, width} from "./measure.js";
import {crossed} from "./boundary.js";
import {nameAt, portAt, setAt} from "./machplan.js";

const MORE = 5; // messages drawn one by one

export const short = {SEND: "S", RECEIVE: "R", SEND_ONCE: "O", PORT_SET: "set", DEAD_NAME: "dead"};

// The kinds of right under a name, in the order R, S, O.
export function kindOf(name, state) {
  if (name.type.includes("DEAD_NAME") || (name.to.startsWith("port/") && !portAt(state, name.to))) return "dead";
  if (name.type.includes("RECEIVE")) return name.type.includes("SEND") ? "R+S" : "R";
  return short[name.type[0]] || "";
}

const procName = (c, pid) => (c.state.procs[pid] ? c.state.procs[pid].name : pid === "kernel" ? "the kernel" : "a process");

// What the ports of a machine are called: by what they stand for, by number.
export function portName(state, id) {
  const port = state.mach.ports[id];
  if (!port) return `port ${id}`;
  const entry = Object.entries(state.mem ? state.mem.entries : {}).find(([, one]) => String(one.port) === String(id));
  return entry ? `memory entry ${entry[0]}` : `port ${id}`;
}

const entryOf = (state, id) => Object.values(state.mem ? state.mem.entries : {}).find((one) => String(one.port) === String(id));

const chosenKey = (c, key) => Boolean(c.sel && c.sel.key === key);

// -- above the boundary --------------------------------------------------------------------

export function spaces(c, m, windowCell) {
  const pieces = m.boxes.filter((box) => c.state.procs[box.pid]).map((box) => [`space/${box.pid}`, space(c, m, box, windowCell)]);
  if (m.rest) pieces.push(["space/rest", restOf(m)]);
  return pieces;
}

function restOf(m) {
  const {f} = m;
  const {x, width: w} = m.rest;
  let body = rect(x, m.process, w, m.head + m.strip, "raise", "user", {radius: 4 * f});
  for (const shift of [4, 2]) body += line(x + shift * f + 4, m.process - shift * f, x + w - shift * f - 4, m.process - shift * f, "user");
  body += text(x + w / 2, m.process + 26 * f, `+${count(m.hidden)}`, m.large, "ink", {weight: 600, anchor: "middle"});
  body += text(x + w / 2, m.process + 44 * f, m.hidden === 1 ? "process" : "processes", m.small, "ink2", {anchor: "middle"});
  return group(body, `${some(m.hidden, "process", "processes")} more`);
}

function space(c, m, box, windowCell) {
  const {f} = m;
  const {x, width: w, pid} = box;
  const proc = c.state.procs[pid];
  const uid = `uid ${proc.uid}`;
  const top = m.process;
  const row = top + m.head;
  const both = width(proc.name, m.large, 600) + width(uid, m.mid) < w - 30 * f;
  let body = rect(x, top, w, m.head + m.strip, "raise", "user", {radius: 4 * f, width: proc.doing ? 1.75 : 1});
  body += text(x + 10 * f, top + 20 * f, fit(proc.name, w - 20 * f - (both ? width(uid, m.mid) + 8 * f : 0), m.large, 600), m.large, "ink", {weight: 600});
  if (both) body += text(x + w - 10 * f, top + 20 * f, uid, m.mid, "ink2", {anchor: "end"});
  body += doing(c, m, box, proc, top + 37 * f);
  body += line(x, row, x + w, row, "user");
  const pieces = [["box", group(body, `process ${proc.name}, pid ${pid}`)]];
  for (const key of [...box.own.shown, ...box.seen.shown]) {
    const at = key && m.cells.get(key);
    if (!at) continue;
    pieces.push([key, key.startsWith("win/") ? windowCell(c, m, key, at) : nameCell(c, m, key, at)]);
  }
  if (box.more) pieces.push(["more", group(text(box.more.x + 15 * f * box.ease, row + 23 * f, `+${box.more.many}`, m.small, "ink2", {anchor: "middle"}), `${some(box.more.many, "more name or window", "more names and windows")}`)]);
  const many = Object.keys((c.state.mach && c.state.mach.names[pid]) || {}).length;
  const label = `process ${proc.name}: ${some(many, "name")}`;
  const options = pieces.length > 1 + (box.more ? 1 : 0);
  return {pieces, attributes: {class: "lane space", role: options ? "listbox" : "group", tabindex: 0, "data-key": `space/${pid}`, "aria-label": label}};
}

function doing(c, m, box, proc, y) {
  const {f} = m;
  const {x, width: w} = box;
  const touch = c.state.mem && c.state.mem.touch;
  if (touch && String(touch[0]) === box.pid && !touch[3] && c.now - touch[5] <= 1) {
    const words = `cannot ${touch[1]} ${address(touch[2])}`;
    return cross(x + 14 * f, y - 4 * f, 3.6 * f) + text(x + 24 * f, y, fit(words, w - 34 * f, m.small, 600), m.small, "loss", {weight: 600});
  }
  if (!proc.doing) return text(x + 10 * f, y, "runnable", m.mid, "ink2");
  const asleep = proc.doing.startsWith("asleep");
  const mark = asleep
    ? path(`M${x + 10 * f} ${y - 8 * f}h${2.4 * f}v${8 * f}h${-2.4 * f}zM${x + 14 * f} ${y - 8 * f}h${2.4 * f}v${8 * f}h${-2.4 * f}z`, "ink")
    : path(`M${x + 10 * f} ${y - 7 * f}h${6 * f}v${6 * f}h${-6 * f}z`, "ink");
  const words = width(proc.doing, m.mid, 600) < w - 30 * f ? proc.doing : proc.doing.replace("in kernel: ", "in ");
  return mark + text(x + 21 * f, y, fit(words, w - 30 * f, m.mid, 600), m.mid, "ink", {weight: 600});
}

export const address = (value) => "0x" + value.toString(16);

function nameCell(c, m, key, at) {
  const {f} = m;
  const name = nameAt(c.state, key);
  const text_ = key.split("/")[2];
  const kind = kindOf(name, c.state);
  const refs = name.refs > 1 && kind !== "R" ? ` \u00d7${count(name.refs)}` : "";
  const on = chosenKey(c, key);
  const top = m.process + m.head;
  const dead = kind === "dead";
  const w = at.width;
  const middle = at.x + w / 2;
  let body = rect(at.x + 1.5 * f, top + 2.5 * f, w - 3 * f, m.strip - 4 * f, on ? "sel-bg" : "raise", on ? "sel" : "", {radius: 3 * f, width: on ? 2 : 1});
  body += text(middle, top + 16 * f, fit(text_, w - 5 * f, m.small), m.small, on ? "sel" : "ink", {anchor: "middle", weight: on ? 600 : 0});
  const words = kind + refs;
  if (dead) body += cross(middle - width("dead", m.small, 700) / 2 - 8 * f, top + 26 * f, 3 * f, "loss", 1.75);
  body += text(middle + (dead ? 2 * f : 0), top + 30 * f, fit(words, w - 5 * f, m.small, 700), m.small, dead ? "loss" : on ? "sel" : "user", {weight: 700, anchor: "middle"});
  if (name.to || dead) body += rect(middle - 12 * f, m.collar, 24 * f, 4 * f, dead ? "loss" : "user");
  const label = `name ${text_}: ${dead ? "dead name" : name.type.join(" and ") || "nothing"}${name.to && !dead ? " of " + thing(c.state, name.to) : ""}, ${some(name.refs, "reference")}`;
  return group(body, label, `class="chip" role="option" tabindex="-1" aria-selected="${on}" aria-label="${escaped(label)}" data-key="${key}"`);
}

const thing = (state, to) => (to.startsWith("port/") ? portName(state, to.slice(5)) : `port set ${to.slice(5)}`);

// -- arrows --------------------------------------------------------------------------------

const curve = (x1, y1, x2, y2) => {
  const half = (y2 - y1) * 0.55;
  return `M${r(x1)} ${r(y1)}C${r(x1)} ${r(y1 + half)} ${r(x2)} ${r(y2 - half)} ${r(x2)} ${r(y2)}`;
};
export const r = (v) => Math.round(v * 10) / 10;

// Where the arrows of one port end: side by side along its top, in the order of where they begin.
function landings(m, arrows) {
  const ends = new Map();
  for (const [to, list] of arrows) {
    const at = m.things.get(to);
    if (!at) continue;
    list.sort((a, b) => a.x - b.x);
    const pitch = Math.min(22 * m.f, (at.width - 24 * m.f) / Math.max(1, list.length - 1 || 1));
    const first = at.x + at.width / 2 - (pitch * (list.length - 1)) / 2;
    list.forEach((one, i) => ends.set(one.key, first + i * pitch));
  }
  return ends;
}

// `crossing` is told from where to where each crosses the boundary.
export function rights(c, m, crossing) {
  const {f} = m;
  const arrows = new Map();
  const stubs = [];
  for (const [key, at] of m.cells) {
    if (!key.startsWith("name/")) continue;
    const name = nameAt(c.state, key);
    const kind = kindOf(name, c.state);
    const to = name.to.replace("pset/", "set/");
    const one = {key, x: at.x + at.width / 2, kind, to};
    if (kind === "dead" || !to) stubs.push(one);
    else if (m.things.has(to)) {
      if (!arrows.has(to)) arrows.set(to, []);
      arrows.get(to).push(one);
    } else stubs.push({...one, far: true});
  }
  const ends = landings(m, arrows);
  const from = m.collar + 4 * f;
  const w = Math.min(f, 1.6);
  const pieces = [];
  for (const list of arrows.values()) {
    for (const {key, x, kind, to} of list) {
      const end = ends.get(key);
      const on = chosenKey(c, key) || chosenKey(c, to);
      const fresh = c.touchedNow.has(key);
      const colour = on ? "sel" : fresh ? "ink" : "user";
      const receive = kind.startsWith("R") || kind === "set";
      const wide = (receive ? 3 : 1.4) * w * (fresh && !receive ? 1.5 : 1);
      const stop = m.row - (receive ? 7 : 5) * f;
      crossing.push(crossed(m, x, from, end, stop));
      let body = path(curve(x, from, end, stop), "none", colour, {width: wide, dash: kind === "O" ? "5 4" : "", more: `data-right="${key}"`});
      body += kind === "O" ? tip(end, m.row - 1 * f, 0, 1, colour, 5 * f, true) : tip(end, m.row - 0.5 * f, 0, 1, colour, (receive ? 6.5 : 5) * f);
      pieces.push([`right/${key}`, body]);
    }
  }
  for (const {key, x, kind, far} of stubs) {
    crossing.push([x - 4 * f, x + 4 * f]);
    if (kind === "dead") pieces.push([`right/${key}`, line(x, from, x, m.boundary + 26 * f, "loss", 1.4 * w, "2 3") + cross(x, m.boundary + 32 * f, 4 * f)]);
    else if (far) pieces.push([`right/${key}`, line(x, from, x, m.boundary + 28 * f, "user", 1.4 * w, "2 3")]);
  }
  return pieces;
}

// -- below the boundary --------------------------------------------------------------------

export function boxes(c, m) {
  const pieces = [];
  for (const [key, at] of m.things) {
    if (key.startsWith("port/")) pieces.push([key, portBox(c, m, key, at)]);
    else if (key.startsWith("set/")) pieces.push([key, setBox(c, m, key, at)]);
  }
  if (m.others) pieces.push(["others", others(c, m)]);
  return pieces;
}

function others(c, m) {
  const {f} = m;
  const {x, width: w} = m.others;
  let body = rect(x, m.row, w, m.box, "raise", "kern", {radius: 4 * f, dash: "4 3"});
  const hidden = Object.entries((c.state.mach || {ports: {}}).ports).filter(([id]) => !m.things.has(`port/${id}`));
  const queued = hidden.reduce((sum, [, port]) => sum + port.count, 0);
  const full = hidden.filter(([, port]) => port.count >= port.limit && port.limit).length;
  const rows = [];
  if (m.left.ports) rows.push([`+${count(m.left.ports)}`, m.left.ports === 1 ? "port" : "ports"]);
  if (m.left.objects) rows.push([`+${count(m.left.objects)}`, "memory"]);
  rows.forEach(([many, what], i) => {
    body += text(x + w / 2, m.row + (26 + 44 * i) * f, many, m.large, "ink", {weight: 600, anchor: "middle"});
    body += text(x + w / 2, m.row + (42 + 44 * i) * f, what, m.small, "ink2", {anchor: "middle"});
  });
  if (queued) body += text(x + w / 2, m.row + m.box - 24 * f, `${count(queued)} queued`, m.small, "ink2", {anchor: "middle"});
  if (full) body += text(x + w / 2, m.row + m.box - 9 * f, `${count(full)} full`, m.small, "loss", {anchor: "middle", weight: 600});
  return group(body, `${some(m.left.ports, "port")} and ${some(m.left.objects, "memory object")} more`);
}

function portBox(c, m, key, at) {
  const {f} = m;
  const id = key.slice(5);
  const port = portAt(c.state, key);
  const {x, width: w} = at;
  const on = chosenKey(c, key);
  const entry = entryOf(c.state, id);
  const long = portName(c.state, id);
  const title = width(long, m.mid, 600) < w - 18 * f ? long : long.replace("memory ", "");
  const full = port.limit > 0 && port.count >= port.limit;
  let body = rect(x, m.row, w, m.box, "raise", on ? "sel" : "kern", {radius: 4 * f, width: on ? 2 : 1});
  body += text(x + 9 * f, m.row + 18 * f, fit(title, w - 18 * f, m.mid, 600), m.mid, "ink", {weight: 600});
  const who = !port.receiver ? (port.goes ? "right in a message" : "nobody receives") : entry ? `${count(entry.size / 1024)} KB${w > 100 * f ? " of memory" : ""}` : `${procName(c, port.receiver)} receives`;
  const brief = port.receiver && !entry ? [who, `R ${procName(c, port.receiver)}`].find((words) => width(words, m.small) < w - 18 * f) || who : who;
  const second = port.service && port.receiver ? port.service : brief;
  body += text(x + 9 * f, m.row + 33 * f, fit(second, w - 18 * f, m.small), m.small, port.receiver || port.goes ? "ink2" : "loss");
  const of = entry || port.receiver === "kernel" ? "" : `${count(port.count)} of ${count(port.limit)}`;
  const counts = [port.send ? `${count(port.send)} S` : "", port.once ? `${count(port.once)} O` : ""].filter(Boolean).join(" \u00b7 ") || ["no senders", "none"].find((words) => width(words, m.small, 600) < w - 26 * f - width(of, m.small)) || "";
  const foot = m.row + m.box - 8 * f;
  const pieces = [];
  let options = false;
  if (entry) {
    body += pageMark(x + w / 2 - 13 * f, m.row + 58 * f, 26 * f);
    body += text(x + w / 2, m.row + 108 * f, fit(`${w > 120 * f ? "stands for memory" : "memory"} ${entry.object || "\u2026"}`, w - 12 * f, m.small), m.small, "ink2", {anchor: "middle"});
  } else if (port.receiver === "kernel") {
    body += text(x + w / 2, m.row + 78 * f, fit("a kernel object", w - 12 * f, m.small), m.small, "ink2", {anchor: "middle"});
  } else {
    body += text(x + w - 9 * f, foot, of, m.small, full ? "loss" : "ink2", {anchor: "end", weight: full ? 600 : 0});
    const drawn = queue(c, m, id, port, x, w, full);
    body += drawn.body;
    pieces.push(...drawn.pieces);
    options = drawn.pieces.length > 0;
  }
  body += text(x + 9 * f, foot, fit(counts, w - 22 * f - width(of, m.small), m.small, 600), m.small, "user", {weight: 600});
  pieces.unshift(["box", body]);
  const label = `${long}${long.startsWith("port") ? "" : ", port " + id}${port.service ? ", " + port.service : ""}: ${who}, ${some(port.count, "message")} queued of at most ${count(port.limit)}${full ? ", full" : ""}${port.mark ? `, ${count(port.mark[0])} bytes refused with ${port.mark[1]}` : ""}, ${some(port.send, "send right")}, ${some(port.once, "send-once right")}`;
  return {pieces, attributes: {class: `lane box${on ? " chosen" : ""}`, role: options ? "listbox" : "button", tabindex: 0, "data-key": key, "aria-label": label}};
}

// A page of memory: what a descriptor or a memory entry stands for.
export function pageMark(x, y, s) {
  const h = s * 1.15;
  return path(`M${r(x)} ${r(y)}h${r(s * 0.66)}l${r(s * 0.34)} ${r(s * 0.34)}v${r(h - s * 0.34)}h${r(-s)}z`, "data-bg", "data", {width: Math.max(1, s / 14)}) +
    path(`M${r(x + s * 0.66)} ${r(y)}v${r(s * 0.34)}h${r(s * 0.34)}`, "none", "data", {width: Math.max(1, s / 14)});
}

// The queue: a slot a message up to the limit, the bar of the limit below; next on top.
function queue(c, m, id, port, x, w, full) {
  const {f} = m;
  const top = m.row + 42 * f;
  const left = x + 9 * f;
  const wide = w - 18 * f;
  const slots = Math.max(1, Math.min(MORE, port.limit));
  let body = rect(left, top, wide, slots * m.slot, "none", "rule", {dash: "2 2"});
  const bar = top + slots * m.slot;
  body += line(left - 4 * f, bar, left + wide + 4 * f, bar, full ? "loss" : "ink2", 2.5 * Math.min(f, 1.6));
  if (port.mark) {
    const [bytes, code, when] = port.mark;
    const words = `refused: ${count(bytes)} bytes, ${code}, at step ${c.story.stepOf(when)}`;
    body += group(rect(left + 0.5, bar + 4 * f, wide - 1, 7 * f, `url(#${c.p}loss)`, "loss", {width: 1.5, dash: "5 3", radius: 2 * f}) + circle(left + wide / 2, bar + 7.5 * f, 6 * f, "paper", "loss", 1.5) + cross(left + wide / 2, bar + 7.5 * f, 2.6 * f, "loss", 1.75), words);
  }
  const many = port.q.length > MORE ? MORE - 1 : port.q.length;
  const pieces = port.q.slice(0, many).map((item, i) => [`msg/${item[0]}`, chip(c, m, id, item, i, left, top, wide)]);
  if (port.q.length > many) {
    const y = top + many * m.slot;
    body += rect(left + 0.5, y + 1, wide - 1, m.slot - 2, "data-bg", "data", {radius: 2 * f, dash: "3 2"});
    body += text(left + wide / 2, y + m.slot / 2 + m.small * 0.36, `+${count(port.q.length - many)}`, m.small, "ink", {anchor: "middle"});
  }
  return {body, pieces};
}

function chip(c, m, id, item, i, left, top, wide) {
  const {f} = m;
  const [number, size, , , ident, sender, reply, carried] = item;
  const key = `msg/${id}/${number}`;
  const on = chosenKey(c, key);
  const y = top + i * m.slot;
  const base = y + m.slot / 2 + m.small * 0.36;
  let body = rect(left + 0.5, y + 1, wide - 1, m.slot - 2, on ? "sel-bg" : "data-bg", on ? "sel" : "data", {radius: 2 * f, width: on ? 2 : 1});
  const marks = [];
  if (carried.length) marks.push(...carried.slice(0, 2).map(([to, right]) => (right === "MEMORY" || entryOf(c.state, to) ? "page" : "right")));
  let at = left + wide - 4 * f;
  for (const mark of marks) {
    if (mark === "page") body += pageMark(at - 9 * f, y + 3.2 * f, 8.5 * f);
    else body += line(at - 11 * f, y + m.slot / 2, at - 4 * f, y + m.slot / 2, "user", 1.75 * f) + tip(at, y + m.slot / 2, 1, 0, "user", 3.6 * f);
    at -= 13 * f;
  }
  const words = `id ${ident}`;
  const bytes = `${count(size)} B`;
  const free = at - left - 6 * f;
  const both = width(words, m.small, 600) + width(bytes, m.small) + 8 * f < free;
  body += text(left + 5 * f, base, fit(words, free, m.small, 600), m.small, on ? "sel" : "ink", {weight: 600});
  if (both) body += text(at - 1 * f, base, bytes, m.small, on ? "sel" : "ink2", {anchor: "end"});
  const from = sender ? procName(c, String(sender)) : "the kernel";
  const label = `message ${i + 1}: id ${ident}, ${some(size, "byte")}, from ${from}${reply ? ", with a right to reply" : ""}${carried.length ? ", carrying " + some(carried.length, "right") : ""}`;
  return group(body, label, `class="chip" role="option" tabindex="-1" aria-selected="${on}" aria-label="${escaped(label)}" data-key="${key}"`);
}

function setBox(c, m, key, at) {
  const {f} = m;
  const set = setAt(c.state, key);
  const {x, width: w} = at;
  const on = chosenKey(c, key);
  let body = rect(x, m.row, w, m.box, "raise", on ? "sel" : "kern", {radius: 4 * f, width: on ? 2 : 1, dash: "6 3"});
  body += text(x + 9 * f, m.row + 18 * f, fit(`port set ${key.slice(4)}`, w - 18 * f, m.mid, 600), m.mid, "ink", {weight: 600});
  body += text(x + 9 * f, m.row + 33 * f, some(set.members.length, "member"), m.small, "ink2");
  set.members.slice(0, 5).forEach((id, i) => (body += text(x + 9 * f, m.row + (52 + 16 * i) * f, fit(portName(c.state, id), w - 18 * f, m.small), m.small, "ink")));
  if (set.members.length > 5) body += text(x + 9 * f, m.row + (52 + 80) * f, `+${set.members.length - 5}`, m.small, "ink2");
  const label = `port set ${key.slice(4)}: ${some(set.members.length, "member")}`;
  return group(body, label, `class="box" role="button" tabindex="0" data-key="${key}" aria-label="${label}"`);
}

// -- rights on their way -------------------------------------------------------------------

// From a message to the port whose right it carries: out at its side, along below the row, up.
export function wires(c, m) {
  const {f} = m;
  const found = [];
  for (const [key, at] of m.things) {
    const port = key.startsWith("port/") && portAt(c.state, key);
    if (port) port.q.slice(0, port.q.length > MORE ? MORE - 1 : MORE).forEach((item, i) => {
      const y = m.row + 42 * f + (i + 0.5) * m.slot;
      const all = [...item[7].map(([to, right]) => [to, right]), ...(item[6] ? [item[6]] : [])];
      for (const [to, right] of all) if (to && m.things.has(`port/${to}`)) found.push({at, y, to: `port/${to}`, right, message: item[0], own: `port/${to}` === key});
    });
    const set = key.startsWith("set/") && setAt(c.state, key);
    if (set) for (const id of set.members) if (m.things.has(`port/${id}`)) found.push({at, to: `port/${id}`, member: true});
  }
  const landed = new Map();
  const track = Math.min(7 * f, (36 * f) / Math.max(1, found.length));
  return found.slice(0, 12).map((one, i) => {
    const {at, y, to, right, member} = one;
    const end = m.things.get(to);
    const nth = landed.get(to) || 0;
    landed.set(to, nth + 1);
    const x2 = end.x + end.width / 2 + (nth % 2 ? 1 : -1) * Math.ceil(nth / 2) * 12 * f;
    const low = m.wires + 12 * f + i * track;
    const side = at.x + at.width + (4 + (i % 3) * 3) * f;
    const start = member ? `M${r(at.x + at.width / 2)} ${r(m.wires)}` : `M${r(at.x + at.width - 9 * f)} ${r(y)}H${r(side)}`;
    const once = right === "SEND_ONCE";
    const colour = member ? "kern" : "user";
    const wide = (right === "RECEIVE" ? 2.75 : 1.4) * Math.min(f, 1.6);
    let body = path(`${start}V${r(low)}H${r(x2)}V${r(m.wires + 6 * f)}`, "none", colour, {width: wide, dash: once ? "5 4" : member ? "2 3" : "", more: 'stroke-linejoin="round"'});
    if (!member) body += circle(at.x + at.width - 9 * f, y, 2.4 * f, "user") + tip(x2, m.wires + 1 * f, 0, -1, "user", 5 * f, once);
    const what = member ? "a member of the port set" : `a ${right.toLowerCase().replace("_", "-")} right in a message, on its way`;
    return [`wire/${one.message || "set"}/${i}`, group(body, what)];
  });
}
