// The current moment in words: the number of its step, its sentence, where that is known from.

import {count, escaped} from "./marks.js";
import {badge} from "./icons.js";
import {Markup, written} from "./markup.js";
import {width} from "./measure.js";
import {PROVENANCE} from "./words.js";

export class Caption {
  constructor(app) {
    this.app = app;
  }

  update() {
    this.sentence();
    this.position();
  }

  position() {
    const {app} = this;
    const {story, now, speed} = app;
    const step = count(story.stepOf(now));
    const pos = this.pos || (this.pos = app.bar.querySelector(".pos"));
    written(pos.firstChild, step);
    const of = ` / ${count(story.steps)}`;
    if (pos.lastChild.textContent !== of) {
      pos.lastChild.textContent = of;
      // A fixed size: the number changes at every step, and nothing else may have to move for it.
      const size = (app.presenter && app.size === "wide" ? 17 : 15) * app.type;
      pos.style.width = `${Math.ceil(width(count(story.steps), size, 600) + width(of, size)) + 6}px`;
      pos.style.height = `${Math.ceil(size * 1.5)}px`;
    }
    if (this.saidSpeed !== speed) {
      this.saidSpeed = speed;
      const button = app.bar.querySelector(".speed");
      button.textContent = `${speed} event${speed > 1 ? "s" : ""}/s`;
      button.setAttribute("aria-label", `Speed: ${button.textContent}; changes it`);
    }
  }

  words() {
    const moment = this.app.story.moments[this.app.now];
    return moment ? `Step ${count(moment.step)}. ${moment.text}` : "Nothing has happened yet.";
  }

  provenance(moment) {
    const [kind, recording, routine] = this.app.story.sources[moment.source] || [];
    const parts = [];
    if (kind) parts.push(badge(kind, PROVENANCE[kind] || kind));
    if (recording) parts.push(`<code>${escaped(recording)}</code>`);
    if (moment.errno || moment.why) parts.push(`<button class="link" data-act="explain">${moment.errno && moment.errno !== "lost" ? `explain(${escaped(moment.errno)})` : "why"}</button>`);
    if (routine) parts.push(`<span>${escaped(routine)}</span>`);
    return parts.join("");
  }

  sentence() {
    const {sentence} = this.app;
    if (sentence.hidden) return;
    const moment = this.app.story.moments[this.app.now];
    const text = moment ? moment.text : "Nothing has happened yet.";
    const cut = this.app.presenter ? text.search(/[.] (?=[A-Z])/) : -1;
    const key = `${this.app.now}/${this.app.shown}/${text}`;
    if (this.sentenceKey === key) return;
    this.sentenceKey = key;
    if (!this.said) this.said = [".pill", "p", ".why"].map((name) => new Markup(sentence.querySelector(name)));
    const [pill, p, why] = this.said;
    pill.set(moment ? count(moment.step) : "0");
    p.set(cut < 0 ? escaped(text) : `${escaped(text.slice(0, cut + 1))} <span>${escaped(text.slice(cut + 2))}</span>`);
    why.set(moment ? this.provenance(moment) : "");
  }
}
