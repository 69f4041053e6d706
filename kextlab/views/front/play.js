// Playing: a moment at a time, at one of five speeds. Scope opens paused, and stops at the end.

import {ICONS} from "./icons.js";

const SPEEDS = [1, 2, 4, 8, 16]; // moments a second

export class Player {
  constructor(app) {
    this.app = app;
    this.speed = 4;
    this.playing = false;
  }

  toggle() {
    if (this.playing) return this.pause();
    const {app} = this;
    if (app.now >= app.story.last) app.goto(0);
    if (app.story.last < 1) return true;
    this.playing = true;
    this.button();
    this.wait();
    return true;
  }

  wait() {
    this.timer = setTimeout(() => this.tick(), 1000 / this.speed);
  }

  tick() {
    if (!this.playing) return;
    const {app} = this;
    const from = app.now;
    if (from < app.story.last) app.goto(from + 1);
    if (app.now === from || app.now >= app.story.last) this.pause();
    else this.wait();
  }

  pause() {
    if (!this.playing) return true;
    this.playing = false;
    clearTimeout(this.timer);
    this.button();
    this.app.announce();
    return true;
  }

  button() {
    const button = this.app.bar.querySelector(".play");
    button.innerHTML = this.playing ? ICONS.pause : ICONS.play;
    button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  // One speed up or down; round and round if asked by a button.
  faster(by, round = false) {
    const i = SPEEDS.indexOf(this.speed) + by;
    this.speed = SPEEDS[round ? (i + SPEEDS.length) % SPEEDS.length : Math.max(0, Math.min(SPEEDS.length - 1, i))];
    this.app.draw();
    return true;
  }
}
