// Bytes queued over time: a line a receive queue, hiwat dotted, losses crossed. Past and future are
// two drawings of the whole story; a step moves only the edge between them.

import {count, crossed, escaped, line, path, text} from "./marks.js";
import {Edge} from "./edge.js";
import {Markup} from "./markup.js";
import {upTo as after} from "./lives.js";
import {fit} from "./measure.js";
import {nameOf} from "./words.js";

const ROW = 32; // px a queue; on narrow screens its names stand above its line
const ROW_NARROW = 48;
const MOST = 6;
const MANY = 4;

export class Queues {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("section");
    this.el.className = "queues";
    this.el.setAttribute("aria-label", "Bytes queued over time");
    this.box = this.el;
    this.edge = new Edge(this.el);
    this.names = document.createElement("div");
    this.names.className = "names";
    this.el.append(this.names);
    this.key = "";
    this.labels = new Markup(this.names);
    this.paths = new Map();
    this.names.addEventListener("click", (event) => {
      const row = event.target.closest("[data-sock]");
      if (row) app.select({kind: "sock", sock: row.dataset.sock});
    });
  }

  get pitch() {
    return this.app.size === "narrow" ? ROW_NARROW : ROW;
  }

  layout() {
    this.key = "";
    this.paths.clear();
  }

  // Every line is drawn anew: what was the whole story is now a part of it.
  grown() {
    this.layout();
  }

  // Which queues have a line of their own: all, or those that matter now and a sum.
  chosen() {
    const {story, now, sel} = this.app;
    const queues = [...story.series.queues.values()].filter((queue) => queue.pid && queue.hiwat);
    if (queues.length <= MOST) return {rows: queues, sum: false};
    const moment = story.moments[now];
    const ids = [sel && sel.sock, moment && moment.socket, ...story.series.latest(now, 3)].filter(Boolean).map(String);
    const busiest = queues.slice().sort((a, b) => b.losses.length - a.losses.length || b.at.length - a.at.length).slice(0, MANY);
    const kept = [...new Set([...ids, ...busiest.map((queue) => queue.id)])].slice(0, MANY);
    // In the order of their numbers, so that rows do not jump when one takes the place of another.
    return {rows: kept.map((id) => story.series.queues.get(id)).filter(Boolean).sort((a, b) => a.id - b.id), sum: true};
  }

  update() {
    const {app} = this;
    const {story, now} = app;
    const {rows, sum} = this.chosen();
    this.el.hidden = !rows.length;
    const key = [app.room, app.axis.x0, app.axis.x1, story.last, app.stories.indexOf(story), app.comparing, sum, ...rows.map((queue) => queue.id)].join("/");
    if (key !== this.key) this.draw(rows, sum, key);
    const x = app.axis.x(now);
    this.edge.move(x, app.room);
    rows.forEach((queue, i) => {
      const cc = queue.value(now);
      const lost = queue.lost(now);
      const cells = this.cells[i];
      put(cells.now, count(cc), queue.hiwat && cc >= queue.hiwat ? "full" : "");
      put(cells.lost, lost ? `${count(lost)} \u2715` : "0", lost ? "full" : "");
      const on = String(app.sel !== null && String(app.sel.sock) === queue.id);
      if (cells.row.getAttribute("aria-pressed") !== on) cells.row.setAttribute("aria-pressed", on);
    });
    if (sum) {
      const total = story.series.total;
      const i = after(total.at, now) - 1;
      put(this.cells[rows.length].now, count(i < 0 ? 0 : total.cc[i]), "");
      put(this.cells[rows.length].lost, count(after(story.series.losses, now)), "");
    }
  }

  draw(rows, sum, key) {
    this.key = key;
    const {app} = this;
    const {story, axis, room} = app;
    const head = 16;
    const pitch = this.pitch;
    const height = head + (rows.length + (sum ? 1 : 0)) * pitch + 6;
    let [past, future] = ["", ""];
    const each = (queue, i) => {
      const y = head + i * pitch + pitch - ROW;
      const drawn = this.curve(queue.id || "sum", queue, y, ROW - 4);
      const top = y + 6;
      const base = line(axis.x0, y + ROW - 4, axis.x1, y + ROW - 4, "hair") + line(axis.x0, top, axis.x1, top, "rule", 1, "1 3");
      const other = this.other(queue.id);
      const beside = other ? path(this.curve(`other ${queue.id}`, other, y, ROW - 4).edge, "none", "ink2", {dash: "4 3"}) : "";
      past += base + path(drawn.area, "data-bg") + path(drawn.edge, "none", "data", {width: 1.5}) + beside + drawn.past;
      future += base + path(drawn.edge, "none", "ink3", {dash: "2 2"}) + beside + drawn.future;
    };
    rows.forEach(each);
    const total = story.series.total;
    if (sum) each({at: total.at, cc: total.cc, hiwat: total.most, losses: []}, rows.length);
    const wrap = (body) => `<svg width="${room}" height="${height}" viewBox="0 0 ${room} ${height}" aria-hidden="true">${body}</svg>`;
    this.edge.draw(wrap(past), wrap(future));
    this.el.style.height = height + "px";
    this.label(rows, sum, head);
  }

  // Side by side: the same queue in the other story, dashed.
  other(id) {
    const {app} = this;
    if (!app.comparing || !id) return null;
    const story = app.stories[app.shown ? 0 : app.paired];
    return story ? story.series.queues.get(id) : null;
  }

  label(rows, sum, head) {
    const {story, axis} = this.app;
    const room = this.app.size === "narrow" ? 90 : axis.x0 - 84;
    const name = (queue) => escaped(fit(nameOf(story.state, story, queue.pid), room, 12, 600));
    const unit = (queue) => (queue.type === "events" ? "events" : queue.unit ? `unit ${queue.unit}` : queue.type.startsWith("AF_UNIX") ? queue.fd : "");
    let body = `<div class="qhead"><span>bytes queued</span><span class="of">now / hiwat</span><span class="lost">lost</span></div>`;
    rows.forEach((queue, i) => {
      const said = `${nameOf(story.state, story, queue.pid)} ${unit(queue)}: select its queue`;
      body += `<button class="qrow" data-sock="${queue.id}" aria-pressed="false" aria-label="${escaped(said)}" style="top:${head + i * this.pitch}px"><b>${name(queue)}</b><span class="unit">${unit(queue)}</span><span class="cell"><em></em> / ${count(queue.hiwat)}</span><span class="lost"></span></button>`;
    });
    if (sum) {
      body += `<div class="qrow" style="top:${head + rows.length * this.pitch}px"><b>all ${count(story.series.queues.size)} queues</b><span class="unit"></span><span class="cell"><em></em> / peak ${count(story.series.total.most)}</span><span class="lost"></span></div>`;
    }
    this.labels.set(body);
    this.names.style.setProperty("--left", axis.x0 - 12 + "px");
    this.names.style.setProperty("--right", this.app.room - axis.x1 - 8 + "px");
    this.cells = [...this.names.querySelectorAll(".qrow")].map((row) => ({row, now: row.querySelector("em"), lost: row.querySelector(".lost")}));
  }

  // One queue over the story, at most a point or two a px: where more happens, its highest wins.
  curve(id, queue, y, height) {
    const {axis, story} = this.app;
    const known = `${id}/${y}`;
    if (this.paths.has(known)) return this.paths.get(known);
    const base = y + height;
    const Y = (v) => Math.round((base - (queue.hiwat ? Math.min(1, v / queue.hiwat) : 0) * (height - 6)) * 10) / 10;
    let d = `M${axis.x0} ${base}`;
    let px = -1;
    let most = 0;
    let held = 0;
    const flush = () => {
      if (px >= 0) d += `H${px}V${Y(most)}${most !== held ? `V${Y(held)}` : ""}`;
    };
    for (let i = 0; i < queue.at.length; i++) {
      const x = Math.round(axis.x(queue.at[i]) * 2) / 2;
      if (x !== px) {
        flush();
        px = x;
        most = queue.cc[i];
      }
      most = Math.max(most, queue.cc[i]);
      held = queue.cc[i];
    }
    flush();
    const end = axis.x(story.last);
    d += `H${end}`;
    let crosses = "";
    let last = -9;
    for (const at of queue.losses) {
      const x = axis.x(at);
      if (x - last < 1) continue; // the same px twice is one cross
      last = x;
      crosses += crossed(x, y + 5.5, 3);
    }
    const marks = (colour, width) => (crosses ? path(crosses, "none", colour, {width, more: 'stroke-linecap="round"'}) : "");
    const drawn = {edge: d, area: `${d}V${base}H${axis.x0}Z`, past: marks("loss", 1.75), future: marks("ink3", 1.25)};
    if (this.paths.size > 60) this.paths.clear();
    this.paths.set(known, drawn);
    return drawn;
  }
}

function put(node, words, name) {
  if (node.textContent !== words) node.textContent = words;
  if (node.dataset.full !== name) node.dataset.full = name;
}
