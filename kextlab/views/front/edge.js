// Past and future, drawn once each, and the edge between them. The edge moves by transforms of whole
// layers: nothing is painted again, however much is drawn.

import {Markup} from "./markup.js";

export class Edge {
  constructor(parent) {
    for (const name of ["future", "past"]) {
      const outer = document.createElement("div");
      outer.className = `window ${name}`;
      outer.append(document.createElement("div"));
      parent.append(outer);
      this[name] = outer;
      this[`${name}Drawing`] = new Markup(outer.firstChild);
    }
    this.line = document.createElement("div");
    this.line.className = "edge";
    parent.append(this.line);
  }

  draw(past, future) {
    this.pastDrawing.set(past);
    this.futureDrawing.set(future);
  }

  // A window moves over each drawing, and the drawing back inside it. In a long story a step is less
  // than a quarter of a px, which nobody sees: then nothing moves.
  move(exactly, room) {
    const x = Math.round(exactly * 4) / 4;
    if (x === this.x && room === this.room) return;
    this.x = x;
    this.room = room;
    const to = (node, px) => (node.style.transform = `translateX(${px}px)`);
    to(this.past, x - room);
    to(this.past.firstChild, room - x);
    to(this.future, x);
    to(this.future.firstChild, -x);
    to(this.line, x - 0.75);
  }
}
