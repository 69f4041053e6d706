// Thirty-one to hundreds of sockets: one box of processes, one wide pipe, a histogram a kext.

import {count, cross, group, line, rect, some, text} from "./marks.js";
import {fit, width} from "./measure.js";

const COLUMNS = 10;

// As pieces, so that a step that only sets a process running does not draw the histograms again.
export function drawCrowd(column, c) {
  const {g, state} = c;
  const f = g.f;
  const {x, width: w} = column;
  const socks = column.socks.map((id) => [id, state.socks[id]]).filter((pair) => pair[1]);
  const pids = new Set(socks.map((pair) => pair[1].pid));
  const doing = [...pids].map((pid) => (state.procs[pid] || {doing: ""}).doing);
  const asleep = doing.filter((words) => words.startsWith("asleep")).length;
  const inside = doing.filter((words) => words.startsWith("in kernel")).length;
  const rest = [`${count(pids.size - asleep - inside)} runnable`];
  if (inside) rest.push(`${count(inside)} in kernel`);
  if (asleep) rest.push(`${count(asleep)} asleep`);
  let body = rect(x, g.process, w, g.processHeight + g.row, "raise", "user", {radius: 4 * f});
  for (const shift of [4, 2]) body += line(x + shift * f + 4, g.process - shift * f, x + w - shift * f - 4, g.process - shift * f, "user");
  body += text(x + 12 * f, g.process + 20 * f, some(pids.size, "client"), g.large, "ink", {weight: 600});
  body += text(x + 12 * f, g.process + 38 * f, rest.join(" \u00b7 "), g.mid, "ink2");
  body += line(x, g.process + g.processHeight, x + w, g.process + g.processHeight, "user");
  body += text(x + 12 * f, g.process + g.processHeight + g.row / 2 + g.small * 0.36, some(socks.length, "descriptor"), g.small, "user", {weight: 700});
  const above = group(body, `${some(pids.size, "client")} with ${some(socks.length, "connection")}`);
  const [left, right] = [x + 20 * f, x + w - 20 * f];
  body = rect(left, g.collar + 5 * f, right - left, g.box - g.collar - 5 * f, "pipe");
  for (const wall of [left, right]) body += line(wall, g.collar + 5 * f, wall, g.box, "rule", 1.25);
  body += rect(left - 5 * f, g.collar, right - left + 10 * f, 5 * f, "user");
  body += text((left + right) / 2, g.boundary + 24 * f, some(socks.length, "connection"), g.mid, "ink", {weight: 600, anchor: "middle"});
  if (column.control) body += rect(left - 5 * f, g.box - 5 * f, right - left + 10 * f, 5 * f, "kern", "", {radius: 2 * f});
  const kexts = new Map();
  for (const pair of socks) {
    const ctl = state.ctls[pair[1].ctl];
    const name = ctl ? ctl.name : pair[1].type === "events" ? "kern_event" : pair[1].local ? "local sockets" : "not connected";
    if (!kexts.has(name)) kexts.set(name, []);
    kexts.get(name).push(pair);
  }
  const names = [...kexts.keys()].sort((a, b) => kexts.get(b).length - kexts.get(a).length);
  const top = g.boundary + 34 * f;
  const room = g.box - top - 8 * f;
  const shown = names.slice(0, Math.max(1, Math.floor(room / (96 * f))));
  const pitch = Math.min(330 * f, room / shown.length);
  const pieces = [["crowd/pipe", body], ["crowd/above", above]];
  shown.forEach((name, i) => {
    pieces.push([`crowd/${name}`, histogram(name, kexts.get(name), left + 14 * f, top + i * pitch, right - left - 28 * f, pitch - 12 * f, c)]);
  });
  if (!column.control) pieces.push(["crowd/controls", controls(column, names, kexts, c)]);
  return pieces;
}

function histogram(name, pairs, x, y, w, h, {g}) {
  const f = g.f;
  const bins = new Array(COLUMNS).fill(0);
  let full = 0;
  let lost = 0;
  for (const [id, sock] of pairs) {
    const part = sock.rcv.hiwat ? sock.rcv.cc / sock.rcv.hiwat : 0;
    if (part >= 1) full++;
    bins[Math.min(COLUMNS - 1, Math.floor(part * COLUMNS))]++;
    lost += sock.lost;
  }
  const most = Math.max(...bins, 1);
  const words = [];
  if (full) words.push(`full ${count(full)}`);
  if (lost) words.push(`lost ${count(lost)}`);
  const bad = words.join(" \u00b7 ");
  let body = text(x, y + g.mid, fit(name, w - width(bad, g.mid, 600) - 12 * f, g.mid, 600), g.mid, "ink", {weight: 600});
  if (bad) body += text(x + w, y + g.mid, bad, g.mid, "loss", {weight: 600, anchor: "end"});
  const [top, bottom] = [y + g.mid + g.small + 12 * f, y + h - g.small - 6 * f];
  const pitch = w / COLUMNS;
  bins.forEach((n, i) => {
    const bh = n ? Math.max(2, ((bottom - top) * n) / most) : 0;
    const last = i === COLUMNS - 1;
    if (n) {
      body += rect(x + i * pitch + 2, bottom - bh, pitch - 4, bh, last && full ? "loss-bg" : "data-bg", last && full ? "loss" : "data", {radius: 1.5});
      body += text(x + (i + 0.5) * pitch, bottom - bh - 4 * f, count(n), g.small, "ink", {anchor: "middle"});
    }
  });
  body += line(x, bottom, x + w, bottom, "rule") + line(x + w, top - 4 * f, x + w, bottom, full ? "loss" : "ink2", 2.5);
  body += text(x, bottom + g.small + 3 * f, "empty", g.small, "ink2") + text(x + w, bottom + g.small + 3 * f, "full", g.small, "ink2", {anchor: "end"});
  body += text(x + w / 2, bottom + g.small + 3 * f, "receive buffers by fullness", g.small, "ink2", {anchor: "middle"});
  return group(body, `${name}: ${some(pairs.length, "queue")}, ${full} full, ${lost} lost`);
}

function controls(column, names, kexts, {g, state}) {
  const f = g.f;
  const {x, width: w} = column;
  const [left, right] = [x + 15 * f, x + w - 15 * f];
  let body = rect(x, g.box, w, g.boxHeight, "raise", "kern", {radius: 4 * f});
  body += rect(left, g.box - 5 * f, right - left, 5 * f, "kern", "", {radius: 2 * f});
  const title = names.length === 1 ? names[0] : some(names.length, "kernel control");
  body += text(x + 12 * f, g.box + 22 * f, fit(title, w - 24 * f, g.large, 600), g.large, "ink", {weight: 600});
  const each = names.map((name) => `${name} ${count(kexts.get(name).length)}`).join(" \u00b7 ");
  const words = names.length === 1 ? some(kexts.get(names[0]).length, names[0] === "local sockets" ? "socket" : "unit") : each;
  body += text(x + 12 * f, g.box + 40 * f, fit(words, w - 24 * f, g.small), g.small, "ink2");
  const running = Object.entries(state.kexts).filter(([, kext]) => kext.running).map(([name, kext]) => `${name} runs ${kext.running}()`);
  if (running.length) body += text(x + 12 * f, g.box + 57 * f, fit(running.join(" \u00b7 "), w - 24 * f, g.small, 600), g.small, "ink", {weight: 600});
  return body;
}
