// Where everything of the scene stands, in px: measures, slots, and which lanes are open.
//
// A slot is a place for one socket at a time: a later socket of the same process and control takes
// over the place of the one that closed. Slots do not move while one steps, whoever comes or goes.
// The processes of one job of launchd's share their places, and stand where its listening socket is.

import {count} from "./marks.js";
import {waitsFor} from "./jobs.js";
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
  const tight = f > 1.15; // a projector has more px, but not more lines
  g.tight = tight;
  g.user = (tight ? 16 : 18) * f; // base line of USER SPACE
  g.process = (tight ? 24 : 30) * f + extra;
  g.processHeight = (tight ? 44 : 46) * f;
  g.row = 20 * f;
  g.collar = g.process + g.processHeight + g.row;
  g.boundary = g.collar + (tight ? 7 : 12) * f;
  g.hatch = 14 * f;
  g.top = g.boundary + (tight ? 56 : 68) * f;
  g.inlet = (tight ? 57 : 80) * f;
  g.port = g.top + H + g.inlet;
  g.box = g.port + g.row;
  g.boxHeight = (tight ? 64 : 70) * f;
  g.height = g.box + g.boxHeight + (tight ? 24 : 32) * f;
  const largest = count(Math.ceil(H * perPx / 64) * 64);
  g.gutter = Math.max(48 * f, measured(largest, g.small) + 14 * f);
  return g;
}

const known = new WeakMap();

// The slots of a story, found once; again when the story has grown.
export function slotsOf(story) {
  const found = known.get(story);
  if (found && found.many === story.moments.length) return found.places;
  const places = arranged(story);
  known.set(story, {many: story.moments.length, places});
  return places;
}

// The slots of a story, in the order in which they stand. A socket takes over a place whose socket
// has closed: one of the same process and control, or, if it never connects, any.
function arranged(story) {
  const queues = [...story.series.queues.values()].filter((queue) => queue.pid).sort((a, b) => a.born - b.born || a.id - b.id);
  const events = (queue) => queue.type === "events";
  const local = (queue) => queue.type.startsWith("AF_UNIX");
  const passing = (queue) => !queue.control && !events(queue) && !local(queue);
  const places = [];
  const free = (place, queue) => place.lives.every(([born, died]) => queue.died <= born || died <= queue.born);
  const {series} = story;
  const put = (queue) => {
    const job = series.jobOf(queue);
    const home = series.first.get(job) || queue.pid;
    const same = places.find((p) => p.home === home && p.control === queue.control && p.events === events(queue) && p.local === local(queue) && free(p, queue));
    const place = same || (passing(queue) && places.find((p) => !p.local && free(p, queue)));
    if (place) {
      place.socks.push(queue.id);
      place.lives.push([queue.born, queue.died]);
      place.pids.add(queue.pid);
    } else {
      places.push({pid: queue.pid, home, job, pids: new Set([queue.pid]), control: queue.control, socks: [queue.id], lives: [[queue.born, queue.died]], born: queue.born, events: events(queue), local: local(queue)});
    }
  };
  queues.filter((queue) => !passing(queue)).forEach(put);
  queues.filter(passing).forEach(put);
  places.sort((a, b) => a.born - b.born);
  const runs_ = places.filter((p, i) => !i || places[i - 1].control !== p.control).map((p) => p.control);
  const pids = places.filter((p, i) => !i || places[i - 1].home !== p.home).map((p) => p.home);
  const last = places.findIndex((p) => p.events);
  // Pipes between local sockets run below their lanes: no control stands among these.
  const mixed = places.some((p) => p.local) && places.some((p) => !p.local);
  const split = mixed || (last >= 0 && places.slice(last).some((p) => !p.events));
  if (split || new Set(runs_).size !== runs_.length || new Set(pids).size !== pids.length) {
    const first = new Map();
    places.forEach((p, i) => first.has(p.control) || first.set(p.control, i));
    const rank = (p) => (p.control ? first.get(p.control) : p.events ? 1e9 : p.local ? 2e9 : 1e8);
    places.sort((a, b) => rank(a) - rank(b) || a.home - b.home || a.born - b.born);
  }
  return places;
}

// What stands in the slots now: the socket alive in each, or none; and whose place it is.
const alive = (slot, state) => slot.socks.find((id) => state.socks[id] && state.socks[id].pid) || null;

const owner = (slot, state) => {
  const id = alive(slot, state);
  const waits = id && waitsFor(state, id);
  if (waits) return `job/${waits[0]}`;
  const job = !id && state.launchd && state.launchd.jobs[slot.job];
  if (job) return job.pid ? String(job.pid) : `job/${slot.job}`;
  return String(id ? state.socks[id].pid : slot.pid || "");
};

// Processes and controls that never have a socket get a place of their own behind the slots.
function lonely(story, state, slots) {
  const pids = new Set([...slots.flatMap((slot) => [...slot.pids].map(String)), ...story.series.lives.pids]);
  const names = new Set(slots.map((slot) => slot.control));
  const registered = new Set(Object.values(state.ctls).map((ctl) => ctl.name));
  const idle = [...story.series.procs.keys()].filter((pid) => !pids.has(String(pid)) && state.procs[pid]);
  const free = [...new Set([...story.series.controls.values()].map((c) => c.name))].filter((name) => !names.has(name) && registered.has(name));
  const found = [];
  for (let i = 0; i < Math.max(idle.length, free.length); i++) {
    found.push({pid: idle[i], control: free[i] || "", socks: [], events: false, lonely: true});
  }
  return found;
}

// The scene's columns at one moment. `wanted`: sockets to be kept open, the most important first.
export function columnsOf(story, state, g, room, wanted, mode) {
  const all = slotsOf(story);
  const extra = lonely(story, state, all);
  const fixed = all.length <= 8;
  const slots = fixed ? all : all.filter((slot) => alive(slot, state));
  const full = LANE * g.f + GAP * g.f;
  const many = Math.max(1, slots.length + extra.length);
  const wide = g.f > 1 ? Math.min(230 * g.f, (room - g.gutter) / many - GAP * g.f) : 0;
  const lane = Math.max(LANE * g.f, wide);
  const columns = [];
  let x = g.gutter;
  const add = (kind, width, more) => {
    columns.push({kind, x, width, ...more});
    x += width + GAP * g.f;
  };
  const open = (slot, width = lane) =>
    add("lane", width, {slot, sock: alive(slot, state), pid: owner(slot, state), control: slot.control});
  const fits = Math.floor((room - g.gutter + GAP * g.f) / full);
  const shown = slots.length + extra.length;
  if (mode === "one") {
    const id = wanted.find((w) => state.socks[w]) || Object.keys(state.socks)[0];
    const slot = slots.find((s) => alive(s, state) === id) || slots[0] || extra[0];
    if (slot) open(slot, room - g.gutter - 12 * g.f);
    return {columns, end: x, kind: "one", hidden: Math.max(0, shown - 1)};
  }
  if (slots.length <= Math.max(1, fits) && slots.length <= 8) {
    const room_ = Math.max(slots.length ? 0 : 1, Math.min(fits, 8) - slots.length);
    for (const slot of [...slots, ...extra.slice(0, room_)]) open(slot);
    return {columns, end: x, kind: "full", hidden: Math.max(0, extra.length - room_)};
  }
  const busy = slots.filter((slot) => alive(slot, state));
  if (slots.length <= MOST_THIN) {
    // As many open lanes as fit, the most important first; the selected one always.
    const here = wanted.filter((id) => state.socks[id]);
    let laid = null;
    for (let many = Math.min(MOST_OPEN, here.length); many >= 0; many--) {
      const kept = new Set(here.slice(0, many));
      for (const ease of many <= 1 ? [1, 0.88, 0.76] : [1]) {
        laid = bars(slots, state, g, room, kept, lane, ease);
        if (laid.end <= room - 4) break;
      }
      // More than one only where the bars keep their full width.
      if (many > 1 && slots.length > 4 && laid.pitch < THIN * g.f) continue;
      if (laid.end <= room - 4 || (many === 1 && laid.end < room + 8)) break;
    }
    const left = Math.min(extra.length, Math.max(0, Math.floor((room - laid.end) / full)));
    columns.push(...laid.columns);
    x = laid.end;
    for (const slot of extra.slice(0, left)) open(slot);
    return {columns, end: x, kind: "thin", hidden: extra.length - left};
  }
  const most = Math.max(0, Math.min(MOST_OPEN, Math.floor((room - g.gutter - 340 * g.f) / full)));
  const kept = wanted.filter((id) => state.socks[id]).slice(0, most);
  const set = new Set(kept);
  const lanes = busy.filter((slot) => set.has(alive(slot, state)));
  const others = busy.filter((slot) => !set.has(alive(slot, state)));
  add("crowd", Math.max(200 * g.f, room - g.gutter - lanes.length * full - GAP * g.f - 4 * g.f), {
    socks: others.map((slot) => alive(slot, state)), pid: "",
    control: new Set(busy.map((slot) => slot.control)).size === 1 ? busy[0].control : "",
  });
  for (const slot of lanes) open(slot);
  return {columns, end: x, kind: "crowd", hidden: 0};
}

// Narrow bars, grouped by kext, and among them the lanes that are open.
function bars(slots, state, g, room, kept, lane, ease) {
  const f = g.f;
  const columns = [];
  const runs_ = runs(slots, (slot) => (slot.events ? "kern_event" : slot.control));
  const free = room - g.gutter - 108 * f - kept.size * (lane + (GAP + 34) * f);
  const pitch = Math.max(14 * f, Math.min(THIN * f, free / Math.max(1, slots.length - kept.size)));
  let x = g.gutter;
  for (const [name, first, last] of runs_) {
    const from = x;
    for (const slot of slots.slice(slots.indexOf(first), slots.indexOf(last) + 1)) {
      const id = alive(slot, state);
      const base = {slot, sock: id, pid: owner(slot, state), control: slot.control};
      if (id && kept.has(id)) {
        // Names at 45 degrees lean to the right: an open lane keeps clear of them.
        if (columns.length && columns[columns.length - 1].kind === "thin") x += 34 * f;
        columns.push({kind: "lane", x, width: lane, ...base});
        x += lane + GAP * f;
      } else {
        columns.push({kind: "thin", x, width: Math.max(8, pitch - GAP * f), ...base});
        x += pitch;
      }
    }
    // A kext's box needs room for its name, however few bars stand on it.
    const least = name ? Math.min(LANE, Math.max(100, measured(name, 12, 600) + 66)) * f * ease : 0;
    columns[columns.length - 1].boxEnd = Math.max(x - GAP * f, from + least);
    x = Math.max(x, from + least + GAP * f);
  }
  return {columns, end: x, pitch};
}

// The x of a lane's parts.
export function inside(column, g, events) {
  const f = g.f;
  const roomy = column.width >= 250 * f;
  const x = column.x;
  const send = roomy ? 32 * f : 26 * f;
  const receive = roomy ? 60 * f : 46 * f;
  const sendLeft = x + 12 * f;
  const left = sendLeft + send + 10 * f;
  const right = left + receive;
  const wall = right + 8 * f;
  return {
    id: String(column.sock), x, send, receive, sendLeft, left, right, middle: left + receive / 2, sendMiddle: sendLeft + send / 2,
    start: events ? x + 4 * f : x + 4 * f, wall, label: wall + 8 * f, end: Math.min(x + column.width - 6 * f, wall + (column.width >= 214 * f ? 100 : 80) * f),
  };
}

// How many times larger, or smaller, than the axis says a buffer of another size is drawn.
export function zoom(hiwat, g) {
  let factor = 1;
  if (hiwat > 0 && hiwat / g.perPx < 64 * g.f) while ((hiwat * factor * 2) / g.perPx <= g.H * 0.51) factor *= 2;
  while ((hiwat * factor) / g.perPx > g.H * 1.01) factor /= 2;
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
