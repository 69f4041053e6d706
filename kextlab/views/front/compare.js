// Two stories side by side.

import {count, escaped} from "./marks.js";
import {Jobs} from "./jobs.js";
import {Topology} from "./topology.js";

// One of two stories side by side: its name, its scene, its sentence.
export class Side {
  constructor(app, i) {
    this.app = app;
    this.i = i;
    this.el = document.createElement("div");
    this.el.className = "side";
    const story = app.stories[i];
    this.el.innerHTML = `<h2><span>${i ? `Branch at ${count(app.stories[0].stepOf(app.forks[i]))}: ${escaped(story.title)}` : "The original"}</span><em></em></h2><div class="place"></div><p class="beneath"></p>`;
    this.topology = new Topology(app, () => app.stories[i]);
    this.jobs = new Jobs(app, () => app.stories[i]);
    this.el.querySelector(".place").append(this.jobs.el, this.topology.el);
  }

  storyOf() {
    return this.app.stories[this.i];
  }

  layout() {
    this.jobs.layout();
    this.topology.layout();
  }

  foresee(patch) {
    this.topology.foresee(patch);
  }

  key(name) {
    return this.topology.key(name);
  }

  update() {
    const {app} = this;
    const story = app.stories[this.i];
    story.goto(app.now);
    this.jobs.update();
    this.topology.update();
    const moment = story.moments[story.within(app.now)];
    const p = this.el.querySelector(".beneath");
    const words = moment ? `<b class="pill">${count(moment.step)}</b>${app.now > story.last ? "It ended here. " : ""}${escaped(moment.text)}` : "Nothing has happened yet.";
    if (p.innerHTML !== words) p.innerHTML = words;
    let lost = 0;
    for (const queue of story.series.queues.values()) lost += queue.lost(app.now);
    const said = `${lost ? `${count(lost)} lost so far` : "nothing lost so far"}`;
    const em = this.el.querySelector("h2 em");
    if (em.textContent !== said) em.textContent = said;
    em.classList.toggle("full", lost > 0);
    this.el.dataset.world = moment ? moment.world : "";
  }
}
