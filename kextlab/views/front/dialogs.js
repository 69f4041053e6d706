// What opens over the scene: all keys, go to a number, branch here, export.

import {count, escaped} from "./marks.js";

const KEYS = [
  ["\u2192 \u2190", "step, step back"],
  ["shift \u2192 \u2190", "next, previous event of the selected queue"],
  ["home end", "first, last event"],
  ["space", "play, pause"],
  ["\u2191 \u2193", "speed: 1, 2, 4, 8, 16 events/s"],
  ["n N", "next, previous refusal or loss"],
  ["g", "go to a step"],
  ["b", "branch here"],
  ["[ ]", "previous, next branch"],
  ["tab", "lanes, then everything else"],
  ["\u2193 \u2191 in a lane", "its chips"],
  ["enter, esc", "select, clear"],
  ["i l t", "inspector, log, space-time on or off"],
  ["e", "export"],
  ["?", "this sheet"],
];

export class Dialogs {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("div");
    this.open = null;
    this.back = null;
  }

  show(name, title, body) {
    this.close();
    this.back = this.app.active();
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.dataset.name = name;
    dialog.innerHTML = `<header><h2 id="dialog-title">${title}</h2><button class="btn" data-close aria-label="Close">esc</button></header>${body}`;
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) this.close();
    });
    dialog.addEventListener("close", () => this.closed(dialog));
    this.el.append(dialog);
    this.open = dialog;
    dialog.showModal();
    (dialog.querySelector(".choice, input") || dialog.querySelector("button")).focus();
    return dialog;
  }

  close() {
    if (this.open) this.open.close();
  }

  closed(dialog) {
    dialog.remove();
    if (this.open === dialog) this.open = null;
    const back = this.back;
    if (back && back.isConnected) back.focus({preventScroll: true});
    else this.app.focus();
  }

  sheet() {
    const rows = KEYS.map(([keys, does]) => `<tr><th scope="row">${keys.split(" ").map((k) => (/^(in|a|lane|or)$/.test(k) ? ` ${k} ` : k.endsWith(",") ? `<kbd>${escaped(k.slice(0, -1))}</kbd>` : `<kbd>${escaped(k)}</kbd>`)).join("")}</th><td>${escaped(does)}</td></tr>`);
    this.show("sheet", "All keys", `<table class="sheet"><tbody>${rows.join("")}</tbody></table><p>They act while the focus is inside Scope.</p>`);
  }

  goto() {
    const {story} = this.app;
    const dialog = this.show("goto", "Go to a step", `<form><label>Step, 0 to ${count(story.steps)} <input name="step" inputmode="numeric" autocomplete="off" value="${story.stepOf(this.app.now)}" data-lm-suppress-shortcuts="true"></label><p class="wrong" role="alert"></p><button class="btn strong">Go</button></form>`);
    const input = dialog.querySelector("input");
    input.select();
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const words = input.value.replace(/[,\s]/g, "");
      const at = /^\d+$/.test(words) ? story.momentOf(Number(words)) : null;
      if (at === null) {
        dialog.querySelector(".wrong").textContent = outside(input.value.trim() || "nothing", story);
        input.select();
        return;
      }
      this.close();
      this.app.goto(at);
    });
  }

  // Live, Python is asked what can be changed at this step; else there is what was stored.
  branch() {
    const {app} = this;
    if (app.host.live && app.host.send) return app.ask({do: "offer", at: app.story.stepOf(app.now)}, "Looking for what can be changed here \u2026");
    return this.offered([]);
  }

  offered(found) {
    const {app} = this;
    const {story, now} = app;
    app.notice.hidden = true;
    const step = count(story.stepOf(now));
    const known = app.branchesHere();
    const choices = [...app.changes(), ...found];
    if (!known.length && !choices.length) {
      return app.error(app.host.live
        ? "Nothing can be changed here: no fault can apply to this machine at this step."
        : "A new branch needs Python: open this story as kextlab.Scope in a notebook. No branch was stored with this page.");
    }
    const stored = known.map(([one, i]) => `<button class="choice" data-show="${i}"><b>${escaped(one.title)}</b><span>stored branch at step ${count(app.stories[0].stepOf(app.forkOf(i)))}</span></button>`).join("");
    const fresh = choices.map((one) => `<button class="choice" data-change="${escaped(one.id)}"><b>${escaped(one.label)}</b><span>run again from step ${step} with this change</span></button>`).join("");
    const dialog = this.show("branch", `Branch at step ${step}`, `<p>The story stays as it is; a second one begins here. What should differ?</p><div class="choices">${stored}${fresh}</div>`);
    dialog.addEventListener("click", (event) => {
      const choice = event.target.closest(".choice");
      if (!choice) return;
      this.close();
      if (choice.dataset.show) {
        app.show(Number(choice.dataset.show));
        app.compare(true);
      } else app.ask({do: "branch", change: choice.dataset.change, at: story.stepOf(now), moment: now}, "The branch is being run \u2026");
    });
    return true;
  }

  export() {
    const {app} = this;
    const html = app.host.send ? '<button class="choice" data-what="html"><b>HTML</b><span>this player as one file, no server needed</span></button>' : "";
    const dialog = this.show("export", "Export", `<div class="choices"><button class="choice" data-what="svg"><b>SVG</b><span>the scene at this step, as a picture</span></button><button class="choice" data-what="json"><b>JSON</b><span>the whole story, format kextlab-scene/1</span></button>${html}</div>`);
    dialog.addEventListener("click", (event) => {
      const choice = event.target.closest(".choice");
      if (!choice) return;
      this.close();
      app.export(choice.dataset.what);
    });
  }
}

// The words of kextlab.trace.log.outside.
export function outside(step, story) {
  const named = /^\d+$/.test(step) ? count(Number(step)) : step;
  return `step ${named} is outside this trace: 0 to ${count(story.steps)}`;
}
