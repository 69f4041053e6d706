// What stands around the lanes: the two worlds, the boundary, processes above, kexts below.

import {circle, count, cross, group, line, path, rect, some, text, tip} from "./marks.js";
import {fit, width} from "./measure.js";
import {boundaryLabel} from "./boundary.js";
import {doing} from "./jobs.js";
import {inside, runs} from "./layout.js";
import {eventOf, fds, nameOf} from "./words.js";

export function ground(c, columns, end, axis) {
  const {g, p, state, room, plain} = c;
  const f = g.f;
  let body = rect(0, 0, room, g.boundary, "user-bg") + rect(0, g.boundary, room, g.height - g.boundary, "kern-bg");
  if (state.panic) {
    const below = g.height - g.boundary;
    body += group(rect(0, g.boundary, room, below, `url(#${p}panic)`), "", 'opacity=".15"');
  }
  const spaced = 'letter-spacing=".06em"';
  const foot = g.height - 10 * f;
  const userEnd = 12 * f + width("USER SPACE", g.small, 700) * 1.09 + 10 * f;
  const kernEnd = 12 * f + width("KERNEL", g.small, 700) * 1.09 + 10 * f;
  body += text(12 * f, g.user, "USER SPACE", g.small, "user", {weight: 700, more: spaced});
  body += text(12 * f, foot, "KERNEL", g.small, "kern", {weight: 700, more: spaced});
  const left = "processes hold descriptors";
  const right = "libSystem \u00b7 system calls";
  if (!plain && room > 330 * f) body += text(userEnd, g.user, left, g.small, "ink2");
  if (!plain && room > 560 * f) body += text(room - 12 * f, g.user, right, g.small, "ink2", {anchor: "end"});
  const alone = !Object.keys(state.ctls).length && columns.some((column) => column.slot && column.slot.local);
  const about = alone ? "a pipe joins two local sockets; each sends into the other's receive buffer" : "kexts register kernel controls; each connection is one unit";
  const clear = c.post ? Math.min(...c.post) - 10 * f : room;
  const caption = [about, alone ? "a pipe joins two local sockets" : "each connection is one unit"].find((words) => kernEnd + width(words, g.small) < Math.min(clear, room - 12 * f));
  if (!plain && caption) body += text(kernEnd, foot, caption, g.small, "ink2");
  const hidden = c.laid.hidden;
  if (hidden && c.laid.kind !== "one") {
    const words = `${count(hidden)} more without a connection`;
    if (width(words, g.small) < room - 12 * f - Math.max(kernEnd + width(caption || "", g.small) + 20, c.post ? Math.max(...c.post) : 0)) body += text(room - 12 * f, foot, words, g.small, "ink2", {anchor: "end"});
  }
  if (!columns.some((column) => column.kind !== "lane" || column.sock || (column.pid && state.procs[column.pid]) || (column.control && controlNamed(state, column.control)))) {
    const middle = (c.mach && c.mach.beside ? c.mach.x : room) / 2;
    if (!Object.keys(state.procs).length) body += text(middle, g.process + 30 * f, "no process is running", g.mid, "ink2", {anchor: "middle"});
    body += text(middle, g.top + 90 * f, "no kext has registered a control", g.mid, "ink2", {anchor: "middle"});
  }
  if (axis) {
    const many = Math.round(g.H / (64 * g.f)) >= 2 ? Math.ceil(g.H / 64 / Math.max(1, Math.round(g.f)) - 0.01) : 2;
    const pitch = nice((g.H * g.perPx) / many);
    for (let b = 0; b <= g.H * g.perPx + 1; b += pitch) {
      const y = g.top + b / g.perPx;
      body += line(g.gutter - 4 * f, y, end, y, "hair");
      body += text(g.gutter - 8 * f, y + g.small * 0.35, count(b), g.small, "ink2", {anchor: "end"});
    }
    body += text(g.gutter - 8 * f, g.top - 12 * f, "bytes", g.small, "ink2", {anchor: "end"});
  }
  const w = Math.min(f, 1.6);
  body += group(
    rect(0, g.boundary, room, g.hatch, `url(#${p}ground)`) + line(0, g.boundary, room, g.boundary, "bound", 2.5 * w) +
      (plain || (c.mach && c.mach.beside) ? "" : boundaryLabel(g, pipes(columns, state, g), 0, room)),
    "The system call boundary between user space and the kernel",
  );
  return body;
}

// From where to where the pipes of sockets cross the boundary.
export function pipes(columns, state, g) {
  return columns.filter((column) => column.kind !== "lane" || state.socks[column.sock]).map((column) => {
    const end = column.kind === "lane" ? inside(column, g, false).wall : column.x + column.width;
    return [column.x - 4 * g.f, end + 4 * g.f];
  });
}

// A power of two: what an axis in bytes counts by.
const nice = (v) => 2 ** Math.round(Math.log2(Math.max(16, v)));

const STATES = [
  [/^in kernel/, (x, y, f) => path(`M${x} ${y - 7 * f}h${6 * f}v${6 * f}h${-6 * f}z`, "ink")],
  [/^asleep/, (x, y, f) => path(`M${x} ${y - 8 * f}h${2.4 * f}v${8 * f}h${-2.4 * f}zM${x + 4 * f} ${y - 8 * f}h${2.4 * f}v${8 * f}h${-2.4 * f}z`, "ink")],
];

export function processes(c, columns) {
  return runs(columns, (column) => (column.kind === "lane" ? column.pid : column)).map(([pid, first, last]) => {
    const within = columns.filter((column) => column.x >= first.x && column.x <= last.x);
    if (first.kind === "lane" && pid.startsWith("job/")) return [`${pid}/${first.x}`, idle(c, pid.slice(4), first.x, last.x + last.width - first.x, within)];
    if (first.kind !== "lane" || !pid || !c.state.procs[pid]) return ["", ""];
    return [`proc/${pid}/${first.x}`, process(c, pid, first.x, last.x + last.width - first.x, within)];
  });
}

function process({g, state, moment}, pid, x, w, columns) {
  const f = g.f;
  const proc = state.procs[pid];
  const socks = columns.map((column) => state.socks[column.sock]).filter(Boolean);
  const top = g.process;
  const height = g.processHeight + (socks.length ? g.row : 0);
  const uid = `uid ${proc.uid}`;
  const room = w - 30 * f - width(uid, g.mid);
  let body = rect(x, top, w, height, "raise", "user", {radius: 4 * f, width: proc.doing ? 1.75 : 1});
  body += text(x + 12 * f, top + 20 * f, fit(proc.name, room, g.large, 600), g.large, "ink", {weight: 600});
  body += text(x + w - 12 * f, top + 20 * f, uid, g.mid, "ink2", {anchor: "end"});
  const y = top + 38 * f;
  const state_ = STATES.find(([pattern]) => pattern.test(proc.doing));
  const listens = socks.length === 1 && socks[0].type === "events";
  if (proc.doing) {
    body += (state_ ? state_[1](x + 12 * f, y, f) : "") + text(x + (state_ ? 24 : 12) * f, y, fit(proc.doing, w - 36 * f, g.mid, 600), g.mid, "ink", {weight: 600});
  } else if (listens) {
    const [vendor, cls, sub] = socks[0].filter;
    const words = `vendor ${vendor} class ${cls} ${w > 230 * f ? "subclass" : "sub"} ${sub}`;
    const from = width("filter", g.mid) + 8 * f;
    const size = Math.min(g.mid, (g.mid * (w - 24 * f - from)) / width(words, g.mid));
    body += text(x + 12 * f, y, "filter", g.mid, "ink2") + text(x + 12 * f + from, y, words, size, "ink");
  } else body += text(x + 12 * f, y, "runnable", g.mid, "ink2");
  return group(body + descriptors(g, state, x, w, columns), `process ${proc.name}, pid ${pid}`);
}

// A job of launchd's none of whose processes has its sockets: launchd holds them.
function idle({g, state}, id, x, w, columns) {
  const f = g.f;
  const job = state.launchd.jobs[id];
  const high = g.processHeight + (columns.some((column) => state.socks[column.sock]) ? g.row : 0);
  const left = w - 30 * f - width(job.label, g.large, 600);
  const kind = ["launchd's job", "job"].find((words) => width(words, g.mid) < left) || "";
  const name = fit(job.label, w - 30 * f - width(kind, g.mid), g.large, 600);
  const held = job.state === "throttled";
  let body = rect(x, g.process, w, high, "raise", "user", {radius: 4 * f, dash: "4 3"});
  body += text(x + 12 * f, g.process + 20 * f, name, g.large, "ink", {weight: 600});
  body += text(x + w - 12 * f, g.process + 20 * f, kind, g.mid, "ink2", {anchor: "end"});
  body += text(x + 12 * f, g.process + 38 * f, fit(doing(job), w - 24 * f, g.mid, held ? 600 : 400), g.mid, held ? "ink" : "ink2", {weight: held ? 600 : 0});
  return group(body + descriptors(g, state, x, w, columns, `${state.procs[state.launchd.pid].name} `), `job ${job.label}, ${doing(job)}`);
}

// The row of a box that names the descriptors, and whose they are if they are another's.
function descriptors(g, state, x, w, columns, whose = "") {
  const f = g.f;
  const row = g.process + g.processHeight;
  let body = columns.some((column) => state.socks[column.sock]) ? line(x, row, x + w, row, "user") : "";
  let nth = 0;
  for (const column of columns) {
    const sock = state.socks[column.sock];
    if (!sock) continue;
    const base = row + g.row / 2 + g.small * 0.36;
    if (nth++) body += line(column.x - 4 * f, row, column.x - 4 * f, row + g.row, "user");
    const kind = sock.type === "events" ? "events" : sock.type;
    const fd = whose + fds(sock);
    body += text(column.x + 12 * f, base, fd, g.small, "user", {weight: 700});
    const rest = column.width - 30 * f - width(fd, g.small, 700);
    const long = sock.type === "events" && width("SOCK_RAW, events", g.small) < rest ? "SOCK_RAW, events" : kind;
    body += text(column.x + column.width - 12 * f, base, long, g.small, "ink2", {anchor: "end"});
  }
  return body;
}

// The control of that name that is registered now, as [serial, control].
export const controlNamed = (state, name) => Object.entries(state.ctls).find(([, ctl]) => ctl.name === name);

// Where the line from a kext to kern_event begins and ends; null without both.
export function postingOf(c, columns) {
  const all = runs(columns, keyOf);
  const hub = all.find(([key]) => key === "events");
  const near = hub && all.filter(([key]) => key && key !== "events" && controlNamed(c.state, key)).pop();
  if (!near) return null;
  const wide = (run) => (run[2].boxEnd || run[2].x + run[2].width) - run[1].x;
  return [near[1].x + wide(near) * 0.6, hub[1].x + Math.min(wide(hub), 188 * c.g.f) * 0.42];
}

export function controls(c, columns) {
  const found = [];
  for (const [key, first, last] of runs(columns, keyOf)) {
    if (key === "") continue;
    const w = (last.boxEnd || last.x + last.width) - first.x;
    if (key === "events") found.push(["kev", events(c, first.x, w)]);
    else {
      const control = controlNamed(c.state, key);
      if (control) found.push([`ctl/${control[0]}`, box(c, first.x, w, control[0], control[1])]);
    }
  }
  if (c.post) found.push(["post", posting(c, ...c.post)]);
  return found;
}

function keyOf(column) {
  if (column.slot && column.slot.events) return "events";
  return column.control || "";
}

function posting({g, moment}, from, to) {
  const f = g.f;
  const y = g.box + g.boxHeight + 13 * f;
  const now = moment && /^kern_event/.test(moment.to || "");
  const words = "kev_post_msg";
  const middle = (from + to) / 2;
  const wide = width(words, g.small) + 10 * f;
  let body = path(`M${from} ${g.box + g.boxHeight}V${y}H${to}V${g.box + g.boxHeight + 6 * f}`, "none", "kern", {width: now ? 2.5 : 1.5});
  body += tip(to, g.box + g.boxHeight, 0, -1, "kern", 5 * f);
  if (Math.abs(to - from) > wide + 20 * f) {
    body += rect(middle - wide / 2, y - 7 * f, wide, 14 * f, "kern-bg") + text(middle, y + g.small * 0.36, words, g.small, now ? "ink" : "ink2", {anchor: "middle", weight: now ? 600 : 0});
  }
  return group(body, "a kext posts a kernel event");
}

function box(c, x, w, serial, ctl) {
  const {g, state} = c;
  const f = g.f;
  const kext = state.kexts[ctl.kext];
  const chosen = c.sel && c.sel.kind === "ctl" && String(c.sel.ctl) === String(serial);
  const ident = w > 300 * f ? `kernel control id ${ctl.id}` : `id ${ctl.id}`;
  const room = w - 30 * f - width(ident, g.mid);
  const large = w > 220 * f ? g.large : Math.min(g.large, Math.max(g.mid, (g.large * room) / width(ctl.name, g.large, 600)));
  let body = rect(x, g.box, w, g.boxHeight, "raise", chosen ? "sel" : "kern", {radius: 4 * f, width: chosen ? 2 : 1});
  body += text(x + 12 * f, g.box + 20 * f, fit(ctl.name, room, large, 600), large, "ink", {weight: 600});
  body += text(x + w - 12 * f, g.box + 20 * f, ident, g.mid, "ink2", {anchor: "end"});
  const sizes = `recv ${count(ctl.recv)} \u00b7 send ${count(ctl.send)}`;
  const kind = String(ctl.kind).replace(" \u00b7 datagram", ctl.flags.length ? "" : " \u00b7 datagram");
  const long = [kind, ...ctl.flags.map(String), sizes].join(" \u00b7 ");
  const middle = [ctl.kind, sizes].join(" \u00b7 ");
  const holds = kext && kext.holds[0] ? `holds ${count(kext.holds[1])} B` : "";
  const holdsWide = holds ? width(holds, g.small, 600) + 26 * f : 0;
  const raised = holds && w < 260 * f; // beside the kind, where the callbacks need their line
  const lineRoom = w - 24 * f - (raised ? holdsWide : 0);
  const kinds = [long, middle, ctl.kind, ctl.kind.replace("dynamic id \u00b7 ", ""), ""];
  const words = kinds.find((one) => width(one, g.small) <= lineRoom);
  body += text(x + 12 * f, g.box + 38 * f, words, g.small, "ink2");
  const base = g.box + 56 * f;
  if (!ctl.loaded || !kext) {
    body += cross(x + 17 * f, base - 4 * f, 3.6 * f) + text(x + 28 * f, base, "its code is gone", g.small, "loss", {weight: 600});
  } else body += callbacks(ctl.callbacks, kext.running, x + 12 * f, base, w - 24 * f - (raised ? 0 : holdsWide), g);
  if (holds) {
    const leak = !kext.running;
    const [hx, hy] = [x + w - 12 * f, raised ? g.box + 38 * f : base];
    body += text(hx, hy, holds, g.small, leak ? "loss" : "ink", {anchor: "end", weight: leak ? 600 : 0});
    body += rect(hx - holdsWide + 12 * f, hy - g.small * 0.86, 8 * f, g.small, leak ? "loss-bg" : "data-bg", leak ? "loss" : "data", {radius: 1.5 * f, dash: leak ? "3 2" : ""});
  }
  const label = `${ctl.name}, kernel control id ${ctl.id}, ${ctl.kind}${kext && kext.running ? ", running " + kext.running : ""}${holds ? ", " + holds : ""}`;
  return group(body, "", `class="box" role="button" tabindex="0" data-key="ctl/${serial}" aria-label="${label}"`);
}

function callbacks(names, running, x, y, room, g) {
  const f = g.f;
  const wide = (name) => width(name + "()", g.small, name === running ? 600 : 400) + (name === running ? 24 : 0) * f;
  const order = running && names.includes(running) ? [running, ...names.filter((n) => n !== running)] : names;
  const kept = [];
  let used = 0;
  for (const name of order) {
    const more = wide(name) + (kept.length ? 14 * f : 0);
    if (used + more > room - (kept.length + 1 < order.length ? 24 * f : 0)) break;
    kept.push(name);
    used += more;
  }
  let body = "";
  for (const name of names.filter((n) => kept.includes(n))) {
    const w = wide(name);
    if (name === running) {
      body += rect(x - 2 * f, y - g.small * 1.05, w + 2 * f, g.small * 1.55, "ink", "", {radius: g.small * 0.78});
      body += path(`M${x + 5 * f} ${y - g.small * 0.76}l${6 * f} ${g.small * 0.38}l${-6 * f} ${g.small * 0.38}z`, "paper");
      body += text(x + 15 * f, y, name + "()", g.small, "paper", {weight: 600});
    } else body += text(x, y, name + "()", g.small, "ink");
    x += w + 14 * f;
  }
  const left = names.length - kept.length;
  return body + (left ? text(x, y, `+${left}`, g.small, "ink2") : "");
}

function events({g, state, sel}, x, w) {
  const f = g.f;
  const {posted, full, id} = state.kev;
  let body = rect(x, g.box, w, g.boxHeight, "raise", "kern", {radius: 4 * f});
  const title = Math.min(g.large, (g.large * (w - 24 * f)) / width("kern_event", g.large, 600));
  body += text(x + 12 * f, g.box + 20 * f, "kern_event", title, "ink", {weight: 600});
  const last = id ? `last id ${count(id)}` : "no event yet";
  if (width(last, g.mid) + width("kern_event", g.large, 600) < w - 32 * f) body += text(x + w - 12 * f, g.box + 20 * f, last, g.mid, "ink2", {anchor: "end"});
  body += text(x + 12 * f, g.box + 38 * f, `kes_posted ${count(posted)}`, g.small, "ink2");
  body += text(x + 12 * f, g.box + 56 * f, `kes_fullsock ${count(full)}`, g.small, full ? "loss" : "ink2", {weight: full ? 600 : 0});
  return group(body, "", `class="box" role="button" tabindex="0" data-key="kev" aria-label="kern_event: ${count(posted)} posted, ${count(full)} times a socket was full"`);
}

export function ports(c, columns) {
  const {g, state} = c;
  const f = g.f;
  let body = "";
  for (const column of columns) {
    const sock = column.kind === "lane" && state.socks[column.sock];
    if (!sock || sock.type === "events" || !sock.unit || sock.state === "disconnected" || sock.state === "new") continue;
    const at = inside(column, g);
    const firm = sock.state === "connected";
    const [x, w, y] = [at.start - 5 * f, at.wall - at.start + 10 * f, g.port];
    body += rect(x, y, w, g.row + 1, "raise", "kern", {radius: 3 * f, dash: firm ? "" : "4 3"});
    if (firm) body += rect(x, y, w, 5 * f, "kern", "", {radius: 2 * f});
    body += text(x + w / 2, y + g.row * 0.5 + g.small * 0.36 + 2.5 * f, `unit ${sock.unit}`, g.small, "kern", {weight: 700, anchor: "middle"});
  }
  return body;
}

// Broadcasts: an arrow an event, from kern_event into the record it became, or the lost chip.
export function broadcasts(c, columns) {
  const {g, state, story, moment} = c;
  const f = g.f;
  let body = "";
  for (const column of columns) {
    const sock = column.kind === "lane" && state.socks[column.sock];
    if (!sock || sock.type !== "events") continue;
    const at = inside(column, g, true);
    const foot = (x, colour) =>
      [4, 7.5].map((r) => path(`M${x - r * f} ${g.box}a${r * f} ${r * f} 0 0 1 ${2 * r * f} 0`, "none", colour, {width: 1.25})).join("");
    const perPx = c.perPxOf(sock);
    const shown = sock.rcv.q.slice(-4);
    const skipped = sock.rcv.q.slice(0, -4).reduce((sum, item) => sum + item[1], 0);
    let y = g.top + skipped / perPx;
    shown.forEach((item, i) => {
      const x = at.start + 11 * f + (i * (at.left - at.start - 26 * f)) / Math.max(1, shown.length - 1);
      const h = item[1] / perPx;
      const middle = y + h / 2;
      y += h;
      const now = moment && moment.queued && c.now === item[3];
      body += path(`M${x} ${g.box - 10 * f}V${middle + 6 * f}q0 ${-6 * f} ${6 * f} ${-6 * f}H${at.left - 6 * f}`, "none", "data", {width: now ? 2.5 : 1.5, more: `data-event="${item[0]}"`});
      body += tip(at.left - 1 * f, middle, 1, 0, "data", 5 * f) + foot(x, "data");
    });
    if (sock.mark) {
      const bottom = g.top + Math.min(g.H, sock.rcv.hiwat / perPx);
      body += line(at.middle, g.box - 10 * f, at.middle, Math.min(g.port, bottom + 12 * f + Math.min(sock.mark[0] / perPx, g.port - bottom - 12 * f)), "loss", 1.75, "5 3") + foot(at.middle, "loss");
    }
  }
  return body;
}

export function panic({g: own, mach, alone, state, room}) {
  if (!state.panic) return "";
  const g = alone ? {...own, boundary: mach.boundary} : own;
  const f = g.f;
  const words = `panic: ${state.panic}`;
  const size = Math.min(g.large, (g.large * (room - 80 * f)) / width(words, g.large, 600));
  const fits = size >= 11 * f;
  const shown = fits ? words : fit(words, room - 80 * f, 11 * f, 600);
  const type = fits ? size : 11 * f;
  const w = width(shown, type, 600) + 60 * f;
  const [x, y] = [(room - w) / 2, g.boundary - 11 * f];
  return group(
    rect(x, y, w, 32 * f, "paper", "loss", {width: 2, radius: 4 * f}) + cross(x + 20 * f, y + 16 * f, 5 * f, "loss", 2.5) +
      text(x + 36 * f, y + 16 * f + type * 0.36, shown, type, "loss", {weight: 600}),
    `The kernel has panicked: ${state.panic}`, 'role="img" class="panic"',
  );
}
