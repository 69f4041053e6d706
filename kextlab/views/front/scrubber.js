// The scrubber: every moment a tick, refusals and losses never binned, branches forking off below.

import {circle, count, cross, escaped, line, path, rect, text} from "./marks.js";
import {Edge} from "./edge.js";
import {Markup, written} from "./markup.js";
import {fit, width} from "./measure.js";

const LEAST = 2.5; // px a moment from which each has a tick of its own
const BIN = 4;

export class Scrubber {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("div");
    this.el.className = "scrubber";
    this.el.tabIndex = 0;
    this.el.setAttribute("role", "slider");
    this.el.setAttribute("aria-label", "Moment of the story");
    // JupyterLab swallows arrow keys unless this stands on the element itself.
    this.el.setAttribute("data-lm-suppress-shortcuts", "true");
    this.edge = new Edge(this.el);
    this.el.insertAdjacentHTML("beforeend", '<div class="axis"></div><div class="forks"></div><div class="here"></div>');
    [this.axis, this.forks, this.here] = [".axis", ".forks", ".here"].map((name) => this.el.querySelector(name));
    this.numbered = new Markup(this.axis);
    this.forked = new Markup(this.forks);
    this.key = "";
    this.el.addEventListener("pointerdown", (event) => this.down(event));
    this.el.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) this.el.addEventListener(kind, () => this.up());
    this.forks.addEventListener("pointerdown", (event) => {
      const fork = event.target.closest("[data-story]");
      if (!fork) return;
      event.stopPropagation();
      app.show(Number(fork.dataset.story));
    });
  }

  layout() {
    this.key = "";
  }

  get scale() {
    return this.app.presenter ? this.app.type : 1;
  }

  update() {
    const {app} = this;
    const {story, now} = app;
    const key = [app.room, app.axis.x0, app.axis.x1, story.last, app.stories.length, app.shown, app.size, app.veil, this.scale].join("/");
    if (key !== this.key) this.draw(key);
    const x = app.axis.x(now);
    this.edge.move(x + 1, app.room);
    const step = count(story.stepOf(now));
    written(this.here, step);
    const half = (width(step, 12 * this.scale, 600) + 20) / 2;
    const middle = Math.round(Math.max(half, Math.min(app.room - half, x)) * 4) / 4;
    if (this.middle !== middle) {
      this.middle = middle;
      this.here.style.transform = `translateX(${middle}px) translateX(-50%)`;
    }
    for (const mark of this.marks) {
      const hidden = Math.abs(mark.x - x) < half + mark.half + 4;
      if (mark.hidden !== hidden) mark.node.style.visibility = (mark.hidden = hidden) ? "hidden" : "visible";
    }
    this.el.setAttribute("aria-valuenow", Math.max(0, now));
    this.el.setAttribute("aria-valuetext", app.caption.words());
  }

  draw(key) {
    this.key = key;
    const {app} = this;
    const {story, room, axis} = app;
    const f = this.scale;
    const others = app.stories.map((one, i) => [one, i]).filter(([one, i]) => i !== app.shown);
    const base = 26 * f;
    const tall = 9 * f;
    const forkTop = base + tall + 8 * f;
    const low = forkTop + others.length * 18 * f + (others.length ? 2 : 0);
    const height = low + 22 * f;
    const wrap = (body) => `<svg width="${room}" height="${height}" viewBox="0 0 ${room} ${height}" aria-hidden="true">${body}</svg>`;
    this.edge.draw(wrap(this.ticks(base, tall, true, f)), wrap(this.ticks(base, tall, false, f)));
    this.forked.set(wrap(this.branches(others, base, forkTop, f)));
    this.el.style.height = height + "px";
    this.here.style.top = low + 1 * f + "px";
    this.edge.line.style.height = low + 2 * f + "px";
    this.el.setAttribute("aria-valuemin", 0);
    this.el.setAttribute("aria-valuemax", Math.max(0, story.last));
    this.numbers(low + 14 * f, f, wrap);
  }

  // Numbers of steps along the axis, and what the ticks mean beside it.
  numbers(y, f, wrap) {
    const {story, axis, room, size} = this.app;
    const places = [];
    if (story.last >= 0) {
      const wanted = Math.max(2, Math.floor((axis.x1 - axis.x0) / (130 * f)));
      const unit = nice(story.steps / wanted);
      places.push(0);
      for (let step = unit; step < story.steps; step += unit) {
        const at = story.momentOf(step);
        if (at > 0 && at < story.last) places.push(at);
      }
      if (story.last > 0) places.push(story.last);
    }
    let body = "";
    const kept = [];
    places.forEach((at, i) => {
      const words = count(story.stepOf(at));
      const half = width(words, 11 * f) / 2;
      const x = Math.min(Math.max(axis.x(at), half + 2), room - half - 2);
      const last = i === places.length - 1;
      if (kept.length && x - half < kept[kept.length - 1].x + kept[kept.length - 1].half + 8) {
        if (!last || kept.length < 2) return;
        kept.pop();
      }
      kept.push({at, x, half, words});
    });
    for (const one of kept) body += text(one.x, y, one.words, 11 * f, "ink2", {anchor: "middle", more: "data-mark"});
    if (axis.x0 > 100 && !this.app.presenter) {
      const base = 26 * f + 4;
      body += text(16, base, `${count(story.moments.length)} events`, 12 * f, "ink", {weight: 600});
      if (room - axis.x1 > 120) {
        const lx = axis.x1 + 18;
        body += text(lx, base - 13, "system call", 11, "user") + text(lx, base, "data", 11, "data") + text(lx, base + 13, "callback", 11, "kern");
        body += text(room - 16, base, "\u2715 loss", 11, "loss", {anchor: "end"});
      }
    }
    const {veil} = this.app;
    if (veil !== null) {
      const words = `${count(story.last - veil)} events hidden`;
      const [from, to] = [axis.x(veil) + 12, axis.x1];
      if (to - from > width(words, 11 * f)) body += text((from + to) / 2, 26 * f - 8, words, 11 * f, "ink2", {anchor: "middle"});
      body += line(axis.x(veil), 26 * f, axis.x1, 26 * f, "rule");
    }
    if (story.state.panic || story.moments.some((moment) => moment.kind === "panic")) {
      body += rect(axis.x1 + 4, 21 * f, 10 * f, 10 * f, "loss");
    }
    this.numbered.set(wrap(body));
    this.marks = [...this.axis.querySelectorAll("[data-mark]")].map((node, i) => ({node, ...kept[i]}));
  }

  ticks(base, tall, past, f) {
    const {story, axis} = this.app;
    const n = story.moments.length;
    if (!n) return line(axis.x0, base, axis.x1, base, "rule");
    const per = (axis.x1 - axis.x0) / n;
    const strokes = {user: "", kern: "", data: "", loss: "", marks: ""};
    const r = (v) => Math.round(v * 10) / 10;
    let body = line(axis.x0, base, axis.x1, base, "rule");
    if (per < LEAST) body += this.bins(base, tall, past, per);
    const cross_ = 3.2 * f;
    const top = base - tall - 6 * f;
    let last = -9;
    for (let at = 0; at < n; at++) {
      const world = story.moments[at].world;
      if (world !== "loss" && per < LEAST) continue;
      const x = r(axis.x(at));
      if (world === "loss") {
        if (x - last < 0.5) continue; // the same half px twice is one mark
        last = x;
        strokes.loss += `M${x} ${base - tall - 2}V${base + tall + 2}`;
        strokes.marks += `M${r(x - cross_)} ${r(top - cross_)}L${r(x + cross_)} ${r(top + cross_)}M${r(x + cross_)} ${r(top - cross_)}L${r(x - cross_)} ${r(top + cross_)}`;
      } else if (world === "user") strokes.user += `M${x} ${base - 2}V${base - 2 - tall}`;
      else if (world === "kern") strokes.kern += `M${x} ${base + 2}V${base + 2 + tall}`;
      else strokes.data += `M${x} ${r(base - tall * 0.6)}V${r(base + tall * 0.6)}`;
    }
    const w = (past ? 2 : 1) * Math.min(f, 1.6);
    for (const name of ["user", "kern", "data", "loss"]) {
      if (strokes[name]) body += path(strokes[name], "none", name, {width: w});
    }
    if (strokes.marks) body += path(strokes.marks, "none", "loss", {width: past ? 1.75 : 1});
    return body;
  }

  // Below 2.5 px a moment: how many calls rise and callbacks hang in every 4 px.
  bins(base, tall, past, per) {
    const {story, axis} = this.app;
    const many = Math.max(1, Math.ceil((axis.x1 - axis.x0) / BIN));
    const up = new Float64Array(many + 1);
    const down = new Float64Array(many + 1);
    for (let at = 0; at < story.moments.length; at++) {
      const bin = Math.min(many - 1, Math.floor(((at + 0.5) * per) / BIN));
      const world = story.moments[at].world;
      if (world === "user") up[bin]++;
      else if (world === "kern") down[bin]++;
      else if (world === "data") {
        up[bin] += 0.5;
        down[bin] += 0.5;
      }
    }
    const most = Math.max(...up, ...down, 1);
    let [a, b] = ["", ""];
    for (let i = 0; i < many; i++) {
      const x = axis.x0 + i * BIN;
      const w = BIN - 1;
      const [h1, h2] = [(up[i] / most) * tall, (down[i] / most) * tall].map((h) => Math.round(h * 10) / 10);
      if (h1) a += `M${x} ${base - 1}v${-h1}h${w}v${h1}z`;
      if (h2) b += `M${x} ${base + 1}v${h2}h${w}v${-h2}z`;
    }
    return past ? path(a, "user") + path(b, "kern") : path(a, "none", "user") + path(b, "none", "kern");
  }

  branches(others, base, top, f) {
    const {app} = this;
    const {axis, room} = app;
    let body = "";
    others.forEach(([story, i], n) => {
      const at = app.forkOf(i);
      const y = top + (n + 0.5) * 18 * f;
      const x = axis.x(at);
      const end = Math.min(axis.x1, Math.max(x + 30, axis.x(Math.min(story.last, app.story.last))));
      const r = Math.min(14 * f, y - base);
      const words = i ? `branch at ${count(app.stories[0].stepOf(at))}: ${story.title}` : "the original";
      const after = room - end - 20;
      const wide = width(words, 11 * f) + 12;
      const fits = wide < after;
      const stop = fits ? end : Math.max(x + r + 12, Math.min(end, room - wide - 22));
      const shown = fit(words, room - stop - 22, 11 * f);
      const plate = rect(stop + 7, y - 7 * f, width(shown, 11 * f) + 6, 14 * f, "paper");
      const label = plate + text(stop + 10, y + 4 * f, shown, 11 * f, "ink2");
      const hit = rect(x - 4, y - 9 * f, room - x, 18 * f, "none", "", {cls: "hit"});
      body += `<g data-story="${i}" class="fork">${hit}<title>${escaped(words)}</title>` +
        path(`M${x} ${base}V${y - r}q0 ${r} ${r} ${r}H${stop}`, "none", "ink2", {width: 1.5}) + circle(x, base, 3.5 * f, "paper", "ink2", 1.5) + circle(stop, y, 2.5 * f, "ink2") + label + "</g>";
    });
    return body;
  }

  at(event) {
    const {story, axis} = this.app;
    const x = event.clientX - this.el.getBoundingClientRect().left;
    return story.within(Math.round(((x - axis.x0) / (axis.x1 - axis.x0)) * story.moments.length - 0.5));
  }

  down(event) {
    if (event.button) return;
    this.el.setPointerCapture(event.pointerId);
    this.app.dragging = true;
    this.el.focus({preventScroll: true});
    this.app.pause();
    this.app.goto(this.at(event));
    event.preventDefault();
  }

  move(event) {
    if (!this.app.dragging) return;
    this.target = this.at(event);
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (this.target !== this.app.now) this.app.goto(this.target);
    });
  }

  up() {
    if (!this.app.dragging) return;
    this.app.dragging = false;
    this.app.announce();
  }
}

// 1, 2 or 5 times a power of ten.
function nice(v) {
  const ten = 10 ** Math.floor(Math.log10(Math.max(1, v)));
  return [1, 2, 5, 10].map((m) => m * ten).find((u) => u >= v) || ten;
}
