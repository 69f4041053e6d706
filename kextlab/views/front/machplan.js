// Where Mach and memory stand in the scene, in px: processes with cells for their names and windows
// above the boundary, ports and memory objects in one row below it, and between them a channel that
// only arrows cross.

import {upTo} from "./lives.js";

const MOST = {ports: 8, objects: 4, names: 6, windows: 3};
const GAP = 14;

// The measures of this part; f scales type and marks, x and y are its corner, boundary is given
// where something else stands on it too.
export function planOf(story, state, c, x, y, room, boundary = 0, low = 0) {
  const {f, small, mid, large} = c.g;
  const m = {f, small, mid, large, x, y, room};
  m.user = y + 18 * f;
  const airy = !c.plain && !c.presenter && room > 700 * f;
  m.strip = (airy ? 40 : 38) * f;
  m.head = 46 * f;
  m.process = y + 30 * f;
  m.collar = m.process + m.head + m.strip;
  m.boundary = Math.max(boundary, m.collar + 12 * f);
  m.process += m.boundary - 12 * f - m.collar;
  m.collar = m.boundary - 12 * f;
  m.hatch = 14 * f;
  m.row = m.boundary + (airy ? 180 : 104) * f;
  m.slot = (airy ? 20 : 17) * f;
  m.box = 46 * f + 5 * m.slot + 30 * f;
  if (low) m.row = Math.max(m.row, Math.min(m.boundary + 200 * f, low - m.box - 72 * f));
  m.wires = m.row + m.box;
  m.height = m.wires + (airy ? 64 : 50) * f - y;
  const pad = 12 * f;
  const free = room - 2 * pad;
  Object.assign(m, above(story, state, c, x + pad, free, m), below(story, state, c, x + pad, free, m));
  return m;
}

// What lives in a place now.
function alive({keys, born}, has, now) {
  const key = keys[upTo(born, now) - 1];
  return key && has(key) ? key : "";
}

// The things of a kind, each in its place; where there are more than `most`, those that matter.
function chosen(places, has, most, weight, now) {
  const all = places.map((place) => alive(place, has, now));
  if (places.length <= most) return {shown: all, left: 0};
  const here = all.filter(Boolean);
  if (here.length <= most) return {shown: here, left: 0};
  const ranked = here.map((key, i) => [weight(key), i, key]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  const kept = new Set(ranked.slice(0, most).map((one) => one[2]));
  return {shown: here.filter((key) => kept.has(key)), left: here.length - most};
}

export const nameAt = (state, key) => {
  const [, pid, name] = key.split("/");
  const names = state.mach && state.mach.names[pid];
  return names && names[name];
};
export const windowAt = (state, key) => state.mem && state.mem.windows[key.slice(4)];
export const portAt = (state, key) => state.mach && state.mach.ports[key.slice(5)];
export const setAt = (state, key) => state.mach && state.mach.sets[key.slice(4)];
export const objectAt = (state, key) => state.mem && state.mem.objects[key.slice(4)];

// The object whose page a window shows: its own, or the one behind it as long as that is missing.
export function seenBy(state, id) {
  const objects = state.mem ? state.mem.objects : {};
  let at = id;
  while (objects[at] && objects[at].shadow && !Object.keys(objects[at].pages).length) at = objects[at].shadow;
  return objects[at] ? at : "";
}

function above(story, state, c, x, free, m) {
  const {f} = m;
  const {lives} = story.series;
  const had = new Set(lives.pids);
  const all = [...story.series.procs.keys()].filter((pid) => c.alone || had.has(pid));
  const pids = all.filter((pid) => state.procs[pid]);
  const name = 54 * f;
  const windows = 116 * f;
  const least = 132 * f;
  const weight = (key) => (c.sel && c.sel.key === key ? 1e9 : lives.last(key, c.now));
  let found = null;
  // Fewer cells, then narrower ones, then fewer processes, until they fit.
  const tries = [[6, 3, 1], [4, 2, 1], [3, 2, 1], [3, 1, 0.9], [2, 1, 0.9], [2, 1, 0.74], ...(c.plain ? [[2, 1, 0.68], [1, 1, 0.68]] : [])];
  // Whoever comes later has a place from the beginning, if there is room for all.
  for (const list of all.length > pids.length ? [all, ...fewer(pids, story, c)] : fewer(pids, story, c)) {
    if (found) break;
    const many = list.length;
    const extra = pids.length > many && !c.plain ? (84 + GAP) * f : 0;
    for (const [names, wins, ease] of many >= pids.length || many < 3 ? tries : tries.slice(2)) {
      const boxes = list.map((pid) => {
        const own = chosen(lives.placesOf("name", pid), (key) => Boolean(nameAt(state, key)), Math.min(names, MOST.names), weight, c.now);
        const seen = chosen(lives.placesOf("win", pid), (key) => Boolean(windowAt(state, key)), Math.min(wins, MOST.windows), weight, c.now);
        const cells = own.shown.length * name * ease + seen.shown.length * windows * ease + (own.left || seen.left ? 30 * f * ease : 0);
        return {pid, own, seen, ease, width: Math.max(least * ease, cells + 16 * f * ease)};
      });
      const total = boxes.reduce((sum, one) => sum + one.width + GAP * f, -GAP * f) + extra;
      if (total <= free || (many === 1 && names <= 2)) {
        found = {boxes, extra, hidden: Math.max(0, pids.length - many), total};
        break;
      }
    }
  }
  if (!found) return {boxes: [], cells: new Map(), hidden: 0};
  // Free room goes between the boxes, up to a measure.
  const spare = Math.min(64 * f, Math.max(0, (free - found.total) / Math.max(1, found.boxes.length)));
  const cells = new Map();
  let at = x;
  for (const one of found.boxes) {
    one.x = at;
    one.width = Math.min(one.width, free);
    let left = at + 8 * f * one.ease;
    for (const key of one.own.shown) {
      if (key) cells.set(key, {x: left, width: name * one.ease, pid: one.pid});
      left += name * one.ease;
    }
    if (one.own.left || one.seen.left) {
      one.more = {x: left, many: one.own.left + one.seen.left};
      left += 30 * f * one.ease;
    }
    // Windows stand at the right, behind free room.
    left = Math.max(left, at + one.width - 8 * f * one.ease - one.seen.shown.length * windows * one.ease);
    for (const key of one.seen.shown) {
      if (key) cells.set(key, {x: left + 4 * f, width: windows * one.ease - 4 * f, pid: one.pid});
      left += windows * one.ease;
    }
    at += one.width + GAP * f + spare;
  }
  return {boxes: found.boxes, cells, hidden: found.hidden, rest: found.hidden && found.extra ? {x: at, width: 84 * f} : null};
}

// All of them, then fewer and fewer.
function* fewer(pids, story, c) {
  for (let many = pids.length; many > 0; many--) yield many < pids.length ? ranked(pids, story, c, many) : pids;
}

// The processes that did something last, in their order.
function ranked(pids, story, c, many) {
  const {moments} = story;
  const last = new Map();
  for (let at = c.now; at >= 0 && last.size < many; at--) {
    for (const end of [moments[at].from, moments[at].to]) if (end.startsWith("proc:") && pids.includes(end.slice(5))) last.set(end.slice(5), at);
  }
  for (const pid of pids) if (last.size < many) last.set(pid, -1);
  return pids.filter((pid) => last.has(pid)).slice(0, many);
}

// An object behind which another stands is nothing to look at until it has a page.
const drawnObject = (object) => object && (!object.shadow || Object.keys(object.pages).length > 0);

function below(story, state, c, x, free, m) {
  const {f} = m;
  const {lives} = story.series;
  const ports = lives.placesOf("port");
  const sets = lives.placesOf("set");
  const objects = lives.placesOf("obj");
  const has = (key) => Boolean(key.startsWith("port/") ? portAt(state, key) : key.startsWith("set/") ? setAt(state, key) : drawnObject(objectAt(state, key)));
  const weight = (key) => {
    const port = portAt(state, key);
    return (c.sel && c.sel.key === key ? 1e9 : 0) + (port && port.count ? 1e6 : 0) + lives.last(key, c.now);
  };
  const rest = (c.plain ? 54 : 70) * f;
  const most = [Math.min(MOST.ports, ports.length + sets.length), Math.min(MOST.objects, objects.length)];
  let best = null;
  for (const [wide, memory, gap] of [[124, 156, GAP], [108, 140, GAP], [94, 112, 10], [84, 96, 8]]) {
    for (let wanted = most[1]; wanted >= Math.min(1, most[1]); wanted--) {
      for (let many = most[0]; many >= Math.min(1, most[0]); many--) {
        const over = ports.length + sets.length > many || objects.length > wanted;
        const all = (many * (wide + gap) + wanted * (memory + gap) - gap) * f + (over ? rest + gap * f : 0);
        const worth = many + wanted - (many < Math.min(2, most[0]) ? 3 : 0);
        if (all <= free && (!best || worth > best.worth)) best = {many, wanted, wide: wide * f, memory: memory * f, gap: gap * f, all, worth};
      }
    }
    if (best && best.worth === most[0] + most[1]) break;
  }
  best = best || {many: 1, wanted: 0, wide: free - rest - GAP * f, memory: 0, gap: GAP * f, all: free};
  const own = chosen([...ports, ...sets], has, best.many, weight, c.now);
  const seen = chosen(objects, has, best.wanted, weight, c.now);
  const things = new Map();
  const gap = best.gap + Math.min(48 * f, Math.max(0, (free - best.all) / Math.max(1, own.shown.length + seen.shown.length)));
  let at = x;
  for (const key of own.shown) {
    if (key) things.set(key, {x: at, width: best.wide});
    at += best.wide + gap;
  }
  for (const key of seen.shown) {
    if (key) things.set(key, {x: at, width: best.memory});
    at += best.memory + gap;
  }
  const left = own.left + seen.left;
  return {things, left: {ports: own.left, objects: seen.left}, others: left ? {x: at, width: rest - 8 * f} : null, end: at};
}
