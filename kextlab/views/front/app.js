// Scope as a whole: which moment it is, what is selected, and the parts that show it.

import {count, escaped} from "./marks.js";
import {setFamily, width} from "./measure.js";
import {Story} from "./model.js";
import {Theme} from "./theme.js";
import {bar, frame} from "./page.js";
import {Player} from "./play.js";
import {Side} from "./compare.js";
import {Topology} from "./topology.js";
import {Queues} from "./queues.js";
import {Rows} from "./rows.js";
import {Scrubber} from "./scrubber.js";
import {Inspector} from "./inspector.js";
import {Gauges} from "./gauges.js";
import {Jobs} from "./jobs.js";
import {Controls} from "./controls.js";
import {Dialogs, outside} from "./dialogs.js";
import {download, picture} from "./exports.js";
import {onKey} from "./keys.js";
import {Caption} from "./caption.js";
import {Sight} from "./sight.js";

export const PARTS = ["topology", "queues", "diagram", "log", "inspector", "scrubber"];

const LEAST = 200; // px: in less room nothing is drawn anew
const NOTEBOOK = 150; // px of a window which a notebook's page has around its cells
const ABOVE = 890; // px the head, the scene, the names over the diagram and the dock take
const LOW = ABOVE + 150; // px: in a lower window the current row of the log lies below the edge

export class App {
  constructor(root, doc, host) {
    this.root = root;
    this.host_ = root.host || root;
    this.host = host;
    const options = host.options || {};
    this.stories = [new Story(doc)];
    this.shown = 0;
    this.forks = [0];
    this.live = doc.live || null;
    this.offered = doc.changes || [];
    this.allowed = options.parts && options.parts.length ? options.parts : PARTS;
    this.parts = new Set(this.allowed);
    this.presenter = Boolean(options.presenter);
    this.type = 1;
    this.player = new Player(this);
    this.dragging = false;
    this.comparing = false;
    this.sel = null;
    this.now = this.story.last;
    this.rowsShow = "log";
    this.veil = null; // a moment: what lies behind it is not drawn, while a prediction is open
    this.asked = 0;
    this.moved = -Infinity;
    this.build();
    this.theme = new Theme(this.host_, (dark) => this.el.toggleAttribute("data-dark", dark));
    if (options.theme && options.theme !== "auto") this.theme.chosen = options.theme;
    this.theme.apply();
    for (const branch of doc.branches || []) this.addBranch(branch, false);
    const at = options.at === undefined || options.at === null ? null : this.story.momentOf(options.at);
    if (at !== null) this.now = at;
    else if (options.at !== undefined && options.at !== null) this.error(outside(options.at, this.story));
    this.story.goto(this.now);
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.host_);
    addEventListener("resize", (this.taller = () => this.resized())); // a height alone changes no host
    this.resized();
  }

  get story() {
    return this.stories[this.shown];
  }

  get playing() {
    return this.player.playing;
  }

  get speed() {
    return this.player.speed;
  }

  active() {
    return this.root.activeElement;
  }

  // -- the page ----------------------------------------------------------------------

  build() {
    const {story} = this;
    this.el = document.createElement("section");
    this.el.className = "scope";
    this.el.tabIndex = -1;
    this.el.setAttribute("aria-label", `Scope: ${story.title || "a kernel"}`);
    this.el.toggleAttribute("data-presenter", this.presenter);
    this.el.toggleAttribute("data-one", this.allowed.length === 1);
    this.el.innerHTML = frame(story, this.allowed);
    const at = (name) => this.el.querySelector(name);
    [this.notice, this.main, this.scene, this.sentence, this.dock, this.bar, this.region] =
      [".notice", ".main", ".scene", ".sentence", ".dock", ".bar", ".live-region"].map(at);
    this.topology = new Topology(this, () => this.story);
    this.queues = new Queues(this);
    this.rows = new Rows(this);
    this.scrubber = new Scrubber(this);
    this.inspector = new Inspector(this);
    this.gauges = new Gauges(this);
    this.jobs = new Jobs(this, () => this.story);
    this.controls = new Controls(this);
    this.dialogs = new Dialogs(this);
    this.caption = new Caption(this);
    this.sight = new Sight(this);
    this.scene.append(this.gauges.el, this.jobs.el, this.topology.el);
    this.main.append(this.inspector.el);
    this.main.after(this.controls.el);
    at(".folds").append(this.rows.el, this.queues.el);
    this.dock.prepend(this.scrubber.el);
    this.bar.innerHTML = bar;
    this.el.append(this.dialogs.el);
    this.el.addEventListener("keydown", (event) => onKey(this, event));
    for (const kind of ["keyup", "keypress"]) this.el.addEventListener(kind, (event) => event.stopPropagation());
    this.el.addEventListener("click", (event) => this.click(event));
    this.root.append(this.el);
    this.parts_ = [this.topology, ...this.others()];
  }

  // The rows come last: moving them makes the browser lay out, once, all that has changed before.
  others() {
    return [this.gauges, this.jobs, this.queues, this.inspector, this.controls, this.scrubber, this.rows];
  }

  resized() {
    // The outer width decides, because the frame differs from size to size.
    const outer = this.host_.clientWidth;
    if (outer < LEAST || this.gone) return; // collapsing, or not in the page yet
    const height = innerHeight - (this.host.send ? NOTEBOOK : 0);
    if (outer === this.outer && (height === this.height || this.size === "narrow")) return;
    this.outer = outer;
    this.height = height;
    setFamily(this.el);
    this.size = outer < 560 ? "narrow" : this.presenter || outer >= 980 ? "wide" : "mid";
    this.el.dataset.size = this.size;
    const room = (this.room = this.el.clientWidth);
    this.type = this.presenter ? Math.max(1, Math.min(2.4, Math.min(room / 1038, height / 598))) : 1;
    this.el.style.setProperty("--type", this.type);
    this.lay();
  }

  // Where the time axis runs, shared by the queues and the scrubber.
  get axis() {
    const n = Math.max(1, this.most());
    const {room, size, presenter, type} = this;
    const [x0, x1] = presenter && size !== "narrow" ? [96 * type * 0.8, room - this.counter() * type] : size === "narrow" ? [16, room - 16] : [136, room - this.margin()];
    return {x0, x1, x: (at) => (at < 0 ? x0 : x0 + ((at + 0.5) / n) * (x1 - x0))};
  }

  // Room for the step and the last one at the right of a presenter's scrubber.
  counter() {
    const last = count(this.story.steps);
    return Math.max(120, 44 + width(`${last} / ${last}`, 17, 600));
  }

  // Room for the numbers at the right of the queues.
  margin() {
    const {series} = this.story;
    const many = series.queues.size > 6 ? width(`${count(series.total.most)} / peak ${count(series.total.most)}`, 12, 600) + 66 : 0;
    return Math.max(144, many);
  }

  most() {
    return this.story.moments.length;
  }

  // How high the rows may be, so that the current one is above the dock; where it cannot, as ever.
  get tall() {
    if (this.size === "narrow") return 212;
    return this.height < LOW ? 332 : Math.min(332, this.height - ABOVE);
  }

  // How much room the presenter's sentence and scrubber, and launchd's jobs take of the scene's.
  beside() {
    const jobs = this.jobs.el.offsetHeight; // above it
    return jobs + (this.parts.has("scrubber") ? this.dock.offsetHeight + this.sentence.offsetHeight : 0);
  }

  lay() {
    const {parts, el} = this;
    for (const part of PARTS) el.toggleAttribute(`data-no-${part}`, !parts.has(part));
    el.toggleAttribute("data-comparing", this.comparing);
    this.scene.hidden = !parts.has("topology");
    this.inspector.el.hidden = !parts.has("inspector") || (this.comparing && !this.sel);
    this.queues.el.classList.toggle("away", !parts.has("queues"));
    this.rows.el.hidden = !parts.has("diagram") && !parts.has("log");
    this.scrubber.el.hidden = !parts.has("scrubber");
    this.bar.hidden = !parts.has("scrubber");
    const docked = this.height < LOW && this.size !== "narrow" && !this.presenter && parts.has("log") && parts.has("scrubber");
    this.sentence.hidden = !(docked || this.size === "narrow" || this.presenter || !parts.has("log")) || this.allowed.length === 1 || this.comparing;
    if (docked !== this.dock.contains(this.sentence)) docked ? this.dock.prepend(this.sentence) : this.controls.el.after(this.sentence);
    this.main.hidden = this.scene.hidden && this.inspector.el.hidden;
    for (const button of el.querySelectorAll("[data-part]")) button.setAttribute("aria-pressed", parts.has(button.dataset.part));
    for (const part of this.parts_) if (part.layout) part.layout();
    this.drawn = this.parts_.filter((part) => this.seen(part));
    this.draw();
    if (this.presenter) this.draw(); // the scene takes what the sentence leaves
    this.sight.watch(this.drawn, this.dock.offsetHeight); // which is known once it is drawn
  }

  // Is the part in the page at all? Asked when the page is laid out, not at every step.
  seen(part) {
    return !part.el.classList.contains("away") && (part === this.controls || part === this.gauges || part === this.jobs || part.el.getClientRects().length > 0);
  }

  // Of a mere step, only what can be seen is drawn at once.
  draw(stepping = false) {
    if (!this.room) return;
    for (const story of this.comparing ? this.stories.filter((_, i) => i === 0 || i === this.paired) : [this.story]) story.goto(this.now);
    this.caption.update();
    if (stepping) this.sight.step(this.drawn);
    else this.sight.all(this.drawn);
  }

  // -- moving ------------------------------------------------------------------------

  goto(target) {
    const at = this.veil === null ? this.story.within(target) : Math.min(this.veil, this.story.within(target));
    if (at === this.now) return true;
    const next = at === this.now + 1;
    const moved = performance.now();
    this.pace = moved - this.moved; // ms since the last step; after a jump there is time
    this.moved = Math.abs(at - this.now) === 1 ? moved : -Infinity;
    if (next && !this.dragging) for (const part of this.scenes()) part.foresee(part.storyOf().patches[at] || []);
    this.now = at;
    if (!this.playing && !this.dragging) this.announce();
    this.draw(true);
    return true;
  }

  // Hide what comes after a step, or show it again.
  hide(step) {
    this.veil = step === null ? null : this.story.momentOf(step);
    this.el.toggleAttribute("data-veiled", this.veil !== null);
    if (this.veil !== null) this.now = Math.min(this.now, this.veil);
    this.lay();
  }

  scenes() {
    return this.drawn.filter((part) => part.foresee && this.sight.sees(part));
  }

  announce() {
    this.region.textContent = this.caption.words();
  }

  step(by) {
    this.pause();
    const at = this.now + by;
    if (at < 0 || at > this.story.last) return true;
    return this.goto(at);
  }

  along(forward) {
    this.pause();
    const {sock, key} = this.sel || {};
    if (!sock && !key) return this.step(forward ? 1 : -1);
    const {series} = this.story;
    const at = sock ? series.event(sock, this.now, forward) : series.lives.event(key.replace(/^msg\/(\d+).*/, "port/$1"), this.now, forward);
    if (at === null) return this.say(`There is no ${forward ? "later" : "earlier"} event of this ${sock ? "queue" : "part"}.`);
    return this.goto(at);
  }

  loss(forward) {
    this.pause();
    const at = this.story.series.loss(this.now, forward);
    if (at === null) return this.say(`There is no ${forward ? "later" : "earlier"} refusal or loss.`);
    return this.goto(at);
  }

  toggle() {
    return this.player.toggle();
  }

  pause() {
    return this.player.pause();
  }

  faster(by) {
    return this.player.faster(by);
  }

  // -- what is shown ------------------------------------------------------------------

  select(sel) {
    const first = this.comparing && !this.sel !== !sel;
    this.sel = sel;
    if (first) this.lay();
    else this.draw();
    return true;
  }

  escape() {
    if (!this.notice.hidden) this.notice.hidden = true;
    else if (this.sel) this.select(null);
    else if (this.comparing) this.compare(false);
    return true;
  }

  switch(part) {
    if (!this.allowed.includes(part)) return true;
    if (this.parts.has(part)) this.parts.delete(part);
    else this.parts.add(part);
    if (!this.parts.size) this.parts.add(part);
    const narrow = this.size === "narrow" || this.size === "mid";
    if (narrow && this.parts.has(part) && (part === "log" || part === "diagram")) this.rowsShow = part;
    this.lay();
    return true;
  }

  say(words) {
    return this.tell(words, false);
  }

  error(words) {
    return this.tell(words, true);
  }

  tell(words, wrong) {
    clearTimeout(this.fading);
    this.notice.hidden = false;
    this.notice.className = wrong ? "notice wrong" : "notice";
    this.notice.textContent = words;
    if (!wrong) this.fading = setTimeout(() => (this.notice.hidden = true), 6000);
    return true;
  }

  focus() {
    this.el.focus({preventScroll: true});
  }

  click(event) {
    const button = event.target.closest("[data-act], [data-part], [data-story]");
    if (!button || !this.el.contains(button) || button.closest("dialog")) return;
    const {act, part, story} = button.dataset;
    if (part) this.switch(part);
    else if (story !== undefined && button.closest("[data-branches]")) this.show(Number(story));
    else if (act) {
      ({
        export: () => this.dialogs.export(), sheet: () => this.dialogs.sheet(), goto: () => this.dialogs.goto(), branch: () => this.dialogs.branch(),
        theme: () => (button.textContent = `Theme: ${this.theme.next()}`), first: () => (this.pause(), this.goto(0)), last: () => (this.pause(), this.goto(this.story.last)),
        back: () => this.step(-1), step: () => this.step(1), play: () => this.toggle(), loss: () => this.loss(true), explain: () => this.explain(),
        speed: () => this.player.faster(1, true), compare: () => this.compare(!this.comparing),
        rows: () => ((this.rowsShow = this.rowsShow === "log" ? "diagram" : "log"), this.lay()),
      })[act]?.();
    }
  }

  explain() {
    if (this.allowed.includes("inspector") && !this.parts.has("inspector")) this.switch("inspector");
    this.sel = null;
    this.draw();
    const moment = this.story.moments[this.now];
    if (!this.parts.has("inspector") && moment.why) this.say(moment.why);
    this.inspector.el.scrollIntoView({block: "nearest"});
  }

  // -- branches -----------------------------------------------------------------------

  changes() {
    return this.offered;
  }

  faults() {
    return (this.live && this.live.faults) || [];
  }

  // Stored branches, those that fork off at this moment first.
  branchesHere() {
    const all = this.stories.map((story, i) => [story, i]).slice(1);
    return all.sort((a, b) => Math.abs(this.forkOf(a[1]) - this.now) - Math.abs(this.forkOf(b[1]) - this.now));
  }

  forkOf(i) {
    return this.forks[i || this.shown];
  }

  addBranch(branch, show = true) {
    const story = new Story(branch.doc);
    if (branch.title) story.title = branch.title;
    this.stories.push(story);
    this.forks.push(branch.at);
    this.branchButtons();
    if (!show) return;
    this.show(this.stories.length - 1);
    this.compare(true);
  }

  branchButtons() {
    const seg = this.el.querySelector("[data-branches]");
    seg.hidden = this.stories.length < 2;
    const one = (story, i) => `<button data-story="${i}" aria-pressed="${i === this.shown}" title="${escaped(i ? story.title : "the original")}">${i ? `Branch ${i}` : "Original"}</button>`;
    seg.innerHTML = this.stories.map(one).join("") + `<button data-act="compare" aria-pressed="${this.comparing}">Side by side</button>`;
  }

  show(i) {
    if (!this.stories[i] || i === this.shown) return true;
    this.pause();
    this.shown = i;
    this.now = this.story.within(this.now);
    if (i) this.paired = i;
    if (this.sel && this.sel.kind !== "sock") this.sel = null;
    this.branchButtons();
    this.lay();
    this.announce();
    return true;
  }

  turn(by) {
    if (this.stories.length < 2) return this.say("There is no branch yet: b makes one.");
    return this.show((this.shown + by + this.stories.length) % this.stories.length);
  }

  compare(on) {
    if (on && this.stories.length < 2) return this.say("There is no branch to compare with yet: b makes one.");
    this.comparing = on;
    if (on) {
      this.paired = this.shown || this.paired || this.stories.length - 1;
      this.pair = [0, this.paired].map((i) => new Side(this, i));
      this.scene.replaceChildren(...this.pair.map((side) => side.el));
      this.parts_ = [...this.pair, ...this.others().slice(2)];
    } else {
      this.pair = null;
      this.scene.replaceChildren(this.gauges.el, this.jobs.el, this.topology.el);
      this.parts_ = [this.topology, ...this.others()];
    }
    this.branchButtons();
    this.lay();
    return true;
  }

  // -- Python --------------------------------------------------------------------------

  ask(message, waiting) {
    if (!this.host.send) return this.error("This page has no Python behind it.");
    if (waiting) this.say(waiting);
    this.host.send({...message, id: ++this.asked});
    return true;
  }

  receive(message) {
    if (message.more) this.append(message.more);
    if (message.branch) this.addBranch(message.branch);
    if (message.error) this.error(message.error);
    if (message.said) this.say(message.said);
    if (message.offered) this.dialogs.offered(message.offered);
    if (message.goto !== undefined) this.gotoStep(message.goto);
    if (message.file) download(message.file.name, message.file.type, message.file.content);
  }

  append(more) {
    const [story] = this.stories;
    const follows = !this.shown && this.now >= story.last;
    if (more.live) this.live = more.live;
    if (!story.append(more)) {
      this.error(`what was added begins at event ${more.from}, but ${story.moments.length} are here: run the cell again`);
      return;
    }
    if (!this.shown) {
      this.rows.grown(more.from);
      this.queues.grown();
    }
    if (follows && !this.playing) this.now = story.last;
    this.rows.lazy = true;
    this.draw();
    this.rows.lazy = false;
    if (follows) this.announce();
  }

  gotoStep(step) {
    const at = this.story.momentOf(step);
    return at === null ? this.error(outside(step, this.story)) : this.goto(at);
  }

  export(what) {
    const name = `scope-step-${this.story.stepOf(this.now)}`;
    if (what === "html") return this.ask({do: "export", what: "html"}, "The page is being written \u2026");
    if (what === "json") return download(`${name}.json`, "application/json", JSON.stringify(this.story.doc));
    const svg = this.scene.querySelector("svg");
    if (!svg || this.scene.hidden) return this.error("The scene is switched off; there is no picture to export.");
    download(`${name}.svg`, "image/svg+xml", picture(svg, this.caption.words(), this.theme.dark()));
    return true;
  }

  destroy() {
    this.gone = true;
    this.pause();
    this.watch.disconnect();
    removeEventListener("resize", this.taller);
    this.sight.stop();
    this.theme.stop();
    this.el.remove();
  }
}
