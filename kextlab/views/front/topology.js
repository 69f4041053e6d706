// The scene: processes above the boundary, kexts below it, sockets as pipes across. Each piece is
// drawn as text and put into the page only when it differs from what stands there.

import {definitions} from "./marks.js";
import {Layer, NS} from "./layer.js";
import {columnsOf, measures, zoom} from "./layout.js";
import {drawLane} from "./lane.js";
import {plates, tubes} from "./local.js";
import {NAMES, drawThin} from "./thin.js";
import {drawCrowd} from "./crowd.js";
import {broadcasts, controls, ground, panic, ports, postingOf, processes} from "./world.js";
import {changes, leaving, play, time} from "./motion.js";
import {machPieces, placed} from "./machscene.js";
import {said, scene} from "./words.js";

const FRAME = 235; // px the head and the dock take: what a scene must leave of the window
const JOBS = 46; // px launchd's jobs take above it, in one line

const TIGHT = 1.16; // the least scale of a projector's scene, which has no more lines than px

const MACH = new Set(["port", "set", "name", "msg", "win", "obj"]);

// The least px of the tallest buffer on a presenter's screen; a row of jobs takes some of it.
const leastOf = (story) => (story.series.jobs ? 120 : 140);

// Measures with the boundary lower by `extra`; what is high for a presenter's screen stays as high.
const lowered = (story, f, height, extra) => measures(f, story.series.hiwat, f > 1.15 && height ? Math.max(leastOf(story), height - extra) : height, extra);

let mounted = 0;

export class Topology {
  constructor(app, storyOf) {
    this.app = app;
    this.storyOf = storyOf;
    this.prefix = `k${++mounted}`;
    this.el = document.createElement("div");
    this.el.className = "topology";
    this.svg = document.createElementNS(NS, "svg");
    this.svg.setAttribute("role", "group");
    this.svg.innerHTML = definitions(this.prefix);
    this.el.append(this.svg);
    this.box = this.el;
    this.layers = ["ground", "lanes", "front"].map(() => new Layer(this.svg));
    this.over = document.createElement("div");
    this.over.className = "over";
    this.over.setAttribute("aria-hidden", "true");
    this.el.append(this.over);
    this.svg.addEventListener("click", (event) => this.click(event));
    this.room = 0;
    this.drawn = null;
  }

  layout() {
    this.room = 0;
  }

  // The sockets that deserve a full lane, the most important first.
  wanted(story) {
    const {sel, now} = this.app;
    const found = [];
    if (sel && sel.sock) found.push(String(sel.sock));
    const moment = story.moments[now];
    const crowded = story.series.sockets.size > 30;
    if ((crowded || this.app.size === "narrow") && moment && moment.socket) found.push(String(moment.socket));
    if (crowded) found.push(...story.series.latest(now, 2));
    // Side by side, both scenes open the same lanes.
    const all = this.app.comparing ? this.app.stories[0].series.queues : story.series.queues;
    found.push(...this.lossy(all).slice(0, crowded ? 2 : 4));
    if (!crowded && story.series.queues.size <= 8) found.push(...story.series.queues.keys());
    const distinct = [...new Set(found)];
    return !crowded && story.series.queues.size > 8 ? distinct.slice(0, 3) : distinct;
  }

  // The sockets that lose most in the whole story, asked again when it has grown.
  lossy(queues) {
    const {last} = this.app.story;
    if (this.losers && this.losers.queues === queues && this.losers.last === last) return this.losers.ids;
    const found = [...queues.values()].filter((q) => q.losses.length).sort((a, b) => b.losses.length - a.losses.length);
    this.losers = {queues, last, ids: found.map((queue) => queue.id)};
    return this.losers.ids;
  }

  context() {
    const {app} = this;
    const story = this.storyOf();
    const now = story.within(app.now);
    const state = story.state;
    // Asked once for a layout: reading a width in the middle of a step makes the browser lay out twice.
    if (!this.room) this.room = this.el.clientWidth;
    const {room} = this;
    const one = app.size === "narrow";
    const presenter = app.presenter && !app.comparing;
    const large = presenter ? Math.min(2.4, room / 1038, app.height / 584) : 1;
    const f = large > 1.15 ? Math.min(large, Math.max(TIGHT, (app.height - app.jobs.el.offsetHeight) / 584)) : Math.max(1, large);
    // What the presenter's screen leaves to the tallest buffer: all but the rest of the scene.
    const rest = () => measures(f, story.series.hiwat, 1).height - 1;
    const whole = measures(f, story.series.hiwat, 0);
    const low = !presenter && !one && app.allowed.length > 1 && whole.height + FRAME + (story.series.jobs ? JOBS : 0) > app.height;
    const height = f > 1.15 ? Math.max(leastOf(story), app.height - app.beside() - rest() - 2) : low && whole.H >= 256 ? whole.H / 2 : 0;
    let g = measures(f, story.series.hiwat, height);
    let laid = columnsOf(story, state, g, room, this.wanted(story), one ? "one" : "");
    this.open = one && laid.columns.length ? laid.columns[0].sock : "";
    if (laid.kind === "thin") g = lowered(story, f, height, (NAMES - 40) * f);
    const {sel} = app;
    const c = {
      g, laid, room, state, story, now, sel, p: this.prefix, plain: one, moment: story.moments[now],
      selected: (sock) => sel !== null && sel.kind === "sock" && state.socks[sel.sock] === sock,
      chosen: (id, chip) => sel !== null && sel.kind === "chip" && String(sel.sock) === String(id) && sel.chip === chip,
      perPxOf: (sock) => g.perPx / zoom(sock.rcv.hiwat, g),
    };
    return story.series.lives.any ? this.withMach(c, f, height) : c;
  }

  // Beside Mach, or alone with it: where each part stands.
  withMach(c, f, height) {
    const {story, g, laid} = c;
    const kctl = story.series.queues.size > 0 || story.series.controls.size > 0;
    c.alone = !kctl;
    c.presenter = f > 1.15;
    c.mach = placed(c, kctl, kctl ? laid.end : 0, g.height);
    if (c.mach.beside && c.mach.boundary > g.boundary) {
      const extra = c.mach.boundary - g.boundary;
      c.g = lowered(story, f, height, extra);
      c.mach = placed(c, kctl, laid.end, c.g.height);
    }
    c.height = c.alone ? c.mach.height : c.mach.under ? c.g.height + c.mach.height : Math.max(c.g.height, c.mach.height);
    if (c.mach.beside) c.g.height = c.height;
    return c;
  }

  // Called before a patch is applied: what leaves must be known while it is still there.
  foresee(patch) {
    this.found = changes(patch, this.storyOf().state);
    this.ghosts = time(this.app, 1) ? leaving(this.svg, this.found) : [];
  }

  update() {
    const {app} = this;
    const focus = this.svg.contains(app.active()) ? app.active().dataset.key : null;
    const c = this.context();
    const outlined = this.svg.querySelector(".changed");
    if (outlined) outlined.classList.remove("changed");
    this.draw(c);
    // What had the focus may be gone, and its node another's.
    if (focus && !this.refocus(focus) && this.svg.contains(app.active())) app.active().blur();
    if (this.found) play(this.svg, this.over, this.found, this.ghosts, c.g, app);
    this.found = null;
  }

  draw(c) {
    const {g, laid, state, story, room} = c;
    const columns = c.alone ? [] : laid.columns;
    const high = Math.ceil(c.height || g.height);
    const size = `0 0 ${room} ${high}`;
    if (this.drawn !== size) {
      this.drawn = size;
      this.svg.setAttribute("viewBox", size);
      this.svg.setAttribute("width", room);
      this.svg.setAttribute("height", high);
      this.el.style.height = `${high}px`;
    }
    const words = scene(state, story);
    if (this.words !== words) this.svg.setAttribute("aria-label", (this.words = words));
    const any = columns.some((column) => column.kind === "lane" && column.sock) || laid.kind === "thin";
    const ends = columns.filter((column) => column.kind !== "crowd").map((column) => column.x + column.width);
    const end = ends.length ? Math.max(...ends) : g.gutter;
    c.post = postingOf(c, columns);
    const mach = c.mach ? machPieces(c, c.mach, columns) : [[], [], []];
    this.layers[0].show([["ground", c.alone ? "" : ground(c, columns, end, any)], ...tubes(c, columns), ...mach[0]]);
    const lanes = [];
    for (const column of columns) {
      const sock = column.sock && state.socks[column.sock];
      if (column.kind === "crowd") lanes.push(...drawCrowd(column, c));
      else if (sock && column.kind === "thin") lanes.push([`sock/${column.sock}`, drawThin(column, sock, c)]);
      else if (sock) lanes.push([`sock/${column.sock}`, drawLane(column, sock, c)]);
    }
    this.layers[1].show([...lanes, ["broadcasts", broadcasts(c, columns)], ...mach[1]]);
    const front = [...processes(c, columns), ...controls(c, columns), ["ports", ports(c, columns)], ["plates", plates(c, columns)], ...mach[2], ["panic", panic(c)]];
    this.layers[2].show(front.map(([key, body], i) => [key || `none/${i}`, body]));
    // Of the bars, the first alone is a stop of the Tab key.
    const first = this.svg.querySelector(".thin");
    if (this.stop && this.stop !== first) this.stop.setAttribute("tabindex", "-1");
    if (first) first.setAttribute("tabindex", "0");
    this.stop = first;
    this.c = c;
  }

  click(event) {
    const hit = event.target.closest("[data-key], [data-mark]");
    if (!hit) return;
    if (hit.dataset.mark) this.app.select({kind: "mark", sock: hit.dataset.mark, at: Number(hit.dataset.at)});
    else this.choose(hit.dataset.key);
    this.refocus(hit.dataset.key || "");
  }

  choose(key) {
    const [kind, id, chip] = key.split("/");
    if (MACH.has(kind)) this.app.select({kind: "mach", key});
    else if (kind === "chip") this.app.select({kind: "chip", sock: id, chip: Number(chip)});
    else if (kind === "sock") this.app.select({kind: "sock", sock: id});
    else if (kind === "ctl") this.app.select({kind: "ctl", ctl: id});
    else if (kind === "kev") this.app.select({kind: "kev"});
  }

  refocus(key) {
    const node = key && this.svg.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (node) node.focus({preventScroll: true});
    else if (key.startsWith("chip/")) return this.refocus("sock/" + key.split("/")[1]);
    return Boolean(node);
  }

  // Arrows inside the scene: down into a lane's chips, up and out again. True if it was for us.
  key(name) {
    const here = this.app.active();
    if (!here || !this.svg.contains(here) || !here.dataset.key) return false;
    const down = name === "ArrowDown";
    if (name === "Enter" || name === " ") {
      if (name === " ") return false;
      this.choose(here.dataset.key);
      return true;
    }
    if (!down && name !== "ArrowUp") return false;
    const thin = here.classList.contains("thin");
    const lane = here.closest(".lane");
    if (!lane) return false;
    const list = thin ? [...this.svg.querySelectorAll(".thin")] : [lane, ...lane.querySelectorAll(".chip")];
    const next = list[list.indexOf(here) + (down ? 1 : -1)];
    if (next) next.focus({preventScroll: true});
    return true;
  }
}
