// The space-time diagram and the log: one list of rows, of which only those in view exist.
//
// A row's height follows from its sentence, measured; where a row stands is a prefix sum. A step
// rewrites the row it leaves, the row it enters, and whatever comes into view.

import {definitions, escaped, count, worldmark} from "./marks.js";
import {lines as wrapped, width} from "./measure.js";
import {Markup} from "./markup.js";
import {head, lifelines, row as diagram} from "./spacetime.js";
import {badge} from "./icons.js";
import {PROVENANCE} from "./words.js";

const STEP = 44; // px of the column of steps, at least
const QUEUED = 128;
const SPARE = 6; // rows kept above and below what is in view

export class Rows {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("section");
    this.el.className = "rows";
    this.el.setAttribute("aria-label", "Space-time diagram and log");
    this.el.innerHTML =
      `<svg width="0" height="0" aria-hidden="true" class="defs">${definitions("")}</svg>` +
      '<div class="heads"></div><div class="view" tabindex="0" role="group" aria-label="What happened, a line a moment"><ol class="list" role="list"></ol></div>';
    this.heads = this.el.querySelector(".heads");
    this.view = this.el.querySelector(".view");
    this.list = this.el.querySelector(".list");
    this.box = this.view;
    this.rows = new Map(); // moment to {node, key}
    this.view.addEventListener("scroll", () => this.scrolled(), {passive: true});
    this.list.addEventListener("click", (event) => this.click(event));
    this.measured = null;
    this.lazy = false; // scroll with the next frame, not at once
  }

  get story() {
    return this.app.story;
  }

  layout() {
    this.room = this.high = 0;
    this.measured = null;
    this.rows.clear();
    this.list.textContent = "";
  }

  // What came from moment `from` on is measured; what stands stays. The row before it may end
  // differently, because what follows a routine says whether it is over.
  grown(from) {
    const me = this.measured;
    if (!me || me.story !== this.story) return;
    me.count = Math.min(me.count, from);
    me.tops.length = me.count + 1;
    for (const [at, row] of this.rows) if (at >= from - 1) row.when = "";
  }

  // Widths, then every row's height: once for a width, and for what is appended.
  measure() {
    const {app, story} = this;
    const {parts, size} = app;
    if (!this.room) this.room = this.view.clientWidth;
    const {room} = this;
    const both = parts.has("diagram") && parts.has("log") && size !== "narrow";
    const wide = both && room >= 760;
    const drawing = parts.has("diagram") && (wide || !parts.has("log") || app.rowsShow === "diagram");
    const logging = parts.has("log") && (wide || !drawing);
    const step = Math.max(STEP, Math.ceil(width(count(story.steps), 12)) + 20);
    const across = !drawing ? 0 : logging ? Math.min(560, Math.round(room * 0.48)) : Math.min(760, room - step - (parts.has("log") ? 44 : 0));
    const said = logging ? room - step - across : 0;
    const old = this.measured;
    const key = `${room}/${across}/${said}`;
    if (!old || old.key !== key || old.story !== story) {
      this.measured = {key, story, room, across, said, tops: [0], count: 0, lines: null, used: new Set()};
      this.measured.queued = said > 520 ? QUEUED : 0;
      this.rows.clear();
      this.list.textContent = "";
    }
    const me = this.measured;
    const text = said - 12 - 16 - 17; // what its sides and its mark take
    const touch = size === "narrow" ? 12 : 0;
    for (let i = me.count; i < story.moments.length; i++) {
      const moment = story.moments[i];
      const n = logging ? wrapped(moment.text, moment.queued ? text - me.queued : text, 13) : 1;
      me.tops.push(me.tops[i] + n * 20 + touch);
      me.used.add(moment.from).add(moment.to);
    }
    me.count = story.moments.length;
    if (drawing) {
      const pinned = this.pinned();
      if (!me.lines || me.pinned !== pinned || me.many !== me.used.size) {
        // Kernel controls have their line from the start, unless the story is Mach's.
        const used = me.used.has("mach") ? me.used : new Set([...me.used, "kern_control"]);
        me.lines = lifelines(story, used, across, pinned ? [pinned] : []);
        me.pinned = pinned;
        me.many = me.used.size;
        this.rows.clear();
        this.list.textContent = "";
      }
    }
    if (this.step !== step) this.el.style.setProperty("--step", (this.step = step) + "px");
    if (this.across !== across) this.el.style.setProperty("--across", (this.across = across) + "px");
    if (this.el.dataset.log !== String(logging)) this.el.dataset.log = logging;
    if (this.el.dataset.diagram !== String(drawing)) this.el.dataset.diagram = drawing;
    return me;
  }

  // The process whose lifeline must be among those drawn.
  pinned() {
    const {sel} = this.app;
    const queue = sel && sel.sock ? this.story.series.queues.get(String(sel.sock)) : null;
    return queue ? `proc:${queue.pid}` : "";
  }

  // How much taller the current row is than it would be.
  extra(me) {
    const {now} = this.app;
    if (now < 0 || now >= me.count) return 0;
    if (this.app.size === "narrow" && !this.app.sentence.hidden && me.said) return 0;
    const moment = this.story.moments[now];
    let height = 40;
    if (me.said) {
      const n = wrapped(moment.text, me.said - 28, 14, 600);
      height = 12 + n * 20 + 4 + this.whyLines(moment, me.said - 28) * 20 + 10;
    }
    if (me.across) height = Math.max(height, moment.kind === "refusal" ? 92 : 60);
    if (me.said && me.across) height = Math.max(height, 92);
    return height - (me.tops[now + 1] - me.tops[now]);
  }

  // Badge, recording, explain and routine, in how many lines.
  whyLines(moment, room) {
    const [kind, recording, routine] = this.story.sources[moment.source] || [];
    const items = [];
    if (kind) items.push(16 + width(PROVENANCE[kind] || kind, 12));
    if (recording) items.push(recording.length * 7.3);
    if (moment.errno || moment.why) items.push(width(moment.errno ? `explain(${moment.errno})` : "why", 12));
    if (routine) items.push(width(routine, 12));
    let lines = items.length ? 1 : 0;
    let used = 0;
    for (const item of items) {
      if (used && used + 12 + item > room) {
        lines++;
        used = 0;
      }
      used += (used ? 12 : 0) + item;
      if (item > room) lines += Math.ceil(item / room) - 1;
    }
    return lines;
  }

  top(me, at) {
    return me.tops[at] + (at > this.app.now && this.app.now >= 0 ? this.more : 0);
  }

  // With a strip, [from, to] of the view in px, only the rows in it are drawn, if they all lie in the
  // past: what is yet to come lies beneath them. True if rows were left out.
  update(strip) {
    const me = this.measure();
    const {app} = this;
    this.more = this.extra(me);
    if (this.headKey !== this.headed(me)) this.head(me);
    this.end = app.veil === null ? me.count : Math.min(me.count, app.veil + 1);
    const total = me.tops[this.end] + this.more;
    const tall = Math.round(Math.min(app.tall, Math.max(60, me.tops[me.count] + 92)));
    if (this.high !== tall) {
      this.high = tall;
      this.view.style.height = `${tall}px`;
    }
    const whole = total + "px";
    if (this.list.style.height !== whole) this.list.style.height = whole;
    const height = this.high;
    if (app.now >= 0 && height) {
      // The current row stands still, two rows above the lower edge, while the past moves up.
      const bottom = this.top(me, app.now) + (me.tops[app.now + 1] - me.tops[app.now]) + this.more;
      const wanted = Math.max(0, Math.min(total - height, bottom + 44 - height));
      this.from = wanted;
      const some = strip !== undefined && strip[1] < height && this.find(me, wanted + strip[1]) + 1 < app.now;
      this.show(me, wanted, some ? strip[1] : height, 1, some);
      if (this.lazy) this.soon();
      else if (this.view.scrollTop !== wanted) this.view.scrollTop = wanted;
      return some;
    } else {
      this.from = this.view.scrollTop;
      this.show(me, this.from, height);
    }
    return false;
  }

  // With the next frame. To scroll means to lay out, and in a notebook that is the whole page, which
  // is about to change more and would be laid out twice.
  soon() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.view.scrollTop = this.from;
    });
  }

  scrolled() {
    const me = this.measured;
    if (!me || this.waiting || Math.abs(this.view.scrollTop - this.from) < 0.5) return;
    this.from = this.view.scrollTop;
    this.show(me, this.from, this.high);
  }

  find(me, y) {
    let [low, high] = [0, Math.max(0, me.count - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.top(me, middle) <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // The rows of that window; `spare` more above and below are drawn, and up to SPARE kept. Of `some`
  // those below it stay as they are, for a while.
  show(me, from, height, spare = SPARE, some = false) {
    if (!me.count || !height) {
      for (const row of this.rows.values()) row.node.remove();
      this.rows.clear();
      this.list.innerHTML = me.count ? "" : '<li class="none">Nothing has happened yet.</li>';
      return;
    }
    const none = this.list.querySelector(".none");
    if (none) none.remove();
    const {now} = this.app;
    const [top, bottom] = [this.find(me, from), this.find(me, from + height)];
    const first = Math.max(0, top - spare);
    const last = Math.min(this.end - 1, bottom + spare);
    const lowest = Math.min(this.end - 1, bottom + (some ? 8 * SPARE : SPARE));
    const begin = some ? last : lowest;
    let below = null; // from the last to the first, each before the one after it
    let next = Infinity;
    for (const [at, row] of this.rows) {
      if (at < top - SPARE || at > lowest) {
        row.node.remove();
        this.rows.delete(at);
      } else if (at > begin && at < next) [next, below] = [at, row.node];
    }
    for (let at = begin; at >= Math.max(0, top - SPARE); at--) {
      if ((at < first || at > last) && !this.rows.has(at)) continue;
      const when = at === now ? "now" : at > now ? "future" : "past";
      const y = this.top(me, at);
      const h = me.tops[at + 1] - me.tops[at] + (at === now ? this.more : 0);
      let row = this.rows.get(at);
      if (!row) {
        const node = document.createElement("li");
        row = {node, markup: new Markup(node), when: "", top: -1};
        row.node.dataset.at = at;
        this.rows.set(at, row);
        this.list.insertBefore(row.node, below);
      }
      below = row.node;
      if (row.top !== y) {
        row.node.style.transform = `translateY(${y}px)`;
        row.top = y;
      }
      if (row.when !== when) {
        if (row.when && row.when !== when) row.markup.clear(); // little of it would stay
        row.when = when;
        row.node.className = when === "now" && !this.more ? "now plain" : when;
        row.node.style.height = h + "px";
        if (when === "now") row.node.setAttribute("aria-current", "step");
        else row.node.removeAttribute("aria-current");
        row.markup.set(this.row(me, at, h, when));
      }
    }
  }

  row(me, at, height, when) {
    const {story} = this;
    const moment = story.moments[at];
    const step = when === "now" ? `<b>${count(moment.step)}</b>` : count(moment.step);
    let body = `<span class="step">${step}</span>`;
    if (me.across) {
      body += `<svg class="piece" width="${me.across}" height="${height}" viewBox="0 0 ${me.across} ${height}" aria-hidden="true">${diagram(story, at, me.lines, height, when)}</svg>`;
    }
    if (!me.said) return body + (me.across ? `<span class="sr">${escaped(moment.text)}</span>` : "");
    if (when === "now" && this.more) return body + this.current(moment);
    const queued = me.queued && moment.queued ? `<span class="q"><span>${escaped(moment.queued[0])}</span>${count(moment.queued[1])}</span>` : "";
    return body + `<span class="said">${worldmark(moment.world)}<span class="words">${escaped(moment.text)}</span>${queued}</span>`;
  }

  current(moment) {
    return `<div class="said"><p>${escaped(moment.text)}</p><div class="why">${this.app.caption.provenance(moment)}</div></div>`;
  }

  headed(me) {
    return [me.key, this.app.stories.indexOf(this.story), me.pinned, me.many].join("/");
  }

  head(me) {
    this.headKey = this.headed(me);
    let body = `<span class="step">step</span>`;
    let height = 28;
    if (me.across) {
      const drawn = head(me.lines);
      height = drawn.height;
      body += `<svg width="${me.across}" height="${height}" aria-hidden="true">${drawn.body}</svg>`;
    }
    const other = this.app.parts.has("log") && this.app.parts.has("diagram") && !(me.said && me.across);
    const swap = other ? `<button class="link" data-act="rows">${me.said ? "space-time" : "log"}</button>` : "";
    if (me.said) body += `<span class="said"><span>what happened</span>${swap || (me.queued ? "<span>bytes queued after it</span>" : "")}</span>`;
    else if (swap) body += `<span class="said">${swap}</span>`;
    this.heads.innerHTML = body;
    this.heads.style.height = height + "px";
  }

  click(event) {
    if (event.target.closest("button")) return;
    const item = event.target.closest("li[data-at]");
    if (item && !String(getSelection())) this.app.goto(Number(item.dataset.at));
  }
}
