// Where everything of the scene stands, in px: measures, slots, and which lanes are open.
//
// A slot is a place for one socket at a time: a later socket of the same process and control takes
// over the place of the one that closed. Slots do not move while one steps, whoever comes or goes.

import {count} from "./marks.js";
import {width as measured} from "./measure.js";

export const LANE = 188;
export const GAP = 8;
const THIN = 36;
const MOST_THIN = 30;
const MOST_OPEN = 4;

// The measures of the scene; f scales type and marks, height is that of the tallest buffer.
export function measures(f, hiwat, height, extra = 0) {
  let scale = 32;
  while (hiwat / scale > 512) scale *= 2;
  const H = height || Math.max(128, Math.min(512, hiwat / scale || 256));
  const perPx = height && hiwat ? Math.max(hiwat, 4096) / height : scale;
  const g = {f, H, perPx, scale, hiwat};
  g.small = 11 * f;
  g.mid = 12 * f;
  g.large = 15 * f;
  g.user = 18 * f; // base line of USER SPACE
  g.process = 30 * f + extra;
  g.processHeight = 46 * f;
  g.row = 20 * f;
  g.collar = g.process + g.processHeight + g.row;
  g.boundary = g.collar + 12 * f;
  g.hatch = 14 * f;
  g.top = g.boundary + 68 * f;
  g.inlet = (f > 1.3 ? 74 : 80) * f;
  g.port = g.top + H + g.inlet;
  g.box = g.port + g.row;
  g.boxHeight = 70 * f;
  g.height = g.box + g.boxHeight + 32 * f;
  const largest = count(Math.ceil(H * perPx / 64) * 64);
  g.gutter = Math.max(48 * f, measured(largest, g.small) + 14 * f);
  return g;
}

// The slots of a story, in the order in which they stand.
export function slotsOf(story) {
  const queues = [...story.series.queues.values()].filter((queue) => queue.pid).sort((a, b) => a.born - b.born || a.id - b.id);
  const places = [];
  for (const queue of queues) {
    const place = places.find((p) => p.pid === queue.pid && p.control === queue.control && p.until <= queue.born);
    if (place) {
      place.socks.push(queue.id);
      place.until = queue.died;
    } else {
      places.push({pid: queue.pid, control: queue.control, until: queue.died, socks: [queue.id], born: queue.born, events: queue.type === "events"});
    }
  }
  const runs = places.filter((p, i) => !i || places[i - 1].control !== p.control).map((p) => p.control);
  if (new Set(runs).size !== runs.length) {
    const first = new Map();
    places.forEach((p, i) => first.has(p.control) || first.set(p.control, i));
    const rank = (p) => (p.control ? first.get(p.control) : p.events ? 1e9 : 1e8);
    places.sort((a, b) => rank(a) - rank(b) || a.pid - b.pid || a.born - b.born);
  }
  return places;
}

// What stands in the slots now: the socket alive in each, or none.
const alive = (slot, state) => slot.socks.find((id) => state.socks[id]) || null;

// Processes and controls that never have a socket get a place of their own behind the slots.
function lonely(story, slots) {
  const pids = new Set(slots.map((slot) => String(slot.pid)));
  const names = new Set(slots.map((slot) => slot.control));
  const idle = [...story.series.procs.keys()].filter((pid) => !pids.has(String(pid)));
  const free = [...new Set([...story.series.controls.values()].map((c) => c.name))].filter((name) => !names.has(name));
  const found = [];
  for (let i = 0; i < Math.max(idle.length, free.length); i++) {
    found.push({pid: idle[i], control: free[i] || "", socks: [], events: false, lonely: true});
  }
  return found;
}

// The scene's columns at one moment. `wanted`: sockets to be kept open, the most important first.
export function columnsOf(story, state, g, room, wanted, mode) {
  const all = slotsOf(story);
  const extra = lonely(story, all);
  const fixed = all.length <= 8;
  const slots = fixed ? all : all.filter((slot) => alive(slot, state));
  const full = LANE * g.f + GAP * g.f;
  const wide = g.f > 1 ? Math.min(230 * g.f, (room - g.gutter) / Math.max(1, slots.length + extra.length) - GAP * g.f) : 0;
  const lane = Math.max(LANE * g.f, wide);
  const columns = [];
  let x = g.gutter;
  const add = (kind, width, more) => {
    columns.push({kind, x, width, ...more});
    x += width + GAP * g.f;
  };
  const open = (slot, width = lane) =>
    add("lane", width, {slot, sock: alive(slot, state), pid: String(slot.pid || ""), control: slot.control});
  const fits = Math.floor((room - g.gutter + GAP * g.f) / full);
  const shown = slots.length + extra.length;
  if (mode === "one") {
    const id = wanted.find((w) => state.socks[w]) || Object.keys(state.socks)[0];
    const slot = slots.find((s) => alive(s, state) === id) || slots[0] || extra[0];
    if (slot) open(slot, room - g.gutter - 12 * g.f);
    return {columns, end: x, kind: "one", hidden: Math.max(0, shown - 1)};
  }
  if (shown <= Math.max(1, fits) && shown <= 8) {
    for (const slot of [...slots, ...extra]) open(slot);
    return {columns, end: x, kind: "full", hidden: 0};
  }
  const busy = slots.filter((slot) => alive(slot, state));
  if (slots.length <= MOST_THIN) {
    const most = Math.max(0, Math.min(MOST_OPEN, Math.floor((room - g.gutter - 56 * g.f - slots.length * 22 * g.f) / full)));
    const kept = new Set(wanted.filter((id) => state.socks[id]).slice(0, most));
    const rest = slots.length - [...kept].length;
    const pitch = Math.min(THIN * g.f, (room - g.gutter - 56 * g.f - kept.size * full) / Math.max(1, rest));
    for (const slot of slots) {
      const id = alive(slot, state);
      if (id && kept.has(id)) open(slot);
      else {
        columns.push({kind: "thin", x, width: Math.max(8, pitch - GAP * g.f), slot, sock: id, pid: String(slot.pid), control: slot.control});
        x += pitch;
      }
    }
    const left = Math.floor((room - x) / full);
    for (const slot of extra.slice(0, left)) open(slot);
    return {columns, end: x, kind: "thin", hidden: Math.max(0, extra.length - left)};
  }
  const most = Math.max(0, Math.min(MOST_OPEN, Math.floor((room - g.gutter - 340 * g.f) / full)));
  const kept = wanted.filter((id) => state.socks[id]).slice(0, most);
  const set = new Set(kept);
  const lanes = busy.filter((slot) => set.has(alive(slot, state)));
  const others = busy.filter((slot) => !set.has(alive(slot, state)));
  add("crowd", Math.max(200 * g.f, room - g.gutter - lanes.length * full - GAP * g.f - 4 * g.f), {
    socks: others.map((slot) => alive(slot, state)), pid: "", control: "",
  });
  for (const slot of lanes) open(slot);
  return {columns, end: x, kind: "crowd", hidden: 0};
}

// How many times larger than the axis says a small buffer is drawn.
export function zoom(hiwat, g) {
  let factor = 1;
  if (hiwat > 0 && hiwat / g.perPx < 64 * g.f) while ((hiwat * factor * 2) / g.perPx <= g.H * 0.51) factor *= 2;
  return factor;
}

// Neighbouring columns for which `key` says the same, as [key, first, last].
export function runs(columns, key) {
  const found = [];
  for (const column of columns) {
    const name = key(column);
    const last = found[found.length - 1];
    if (last && last[0] === name) last[2] = column;
    else found.push([name, column, column]);
  }
  return found;
}
