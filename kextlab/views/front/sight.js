// What of Scope can be seen. A part outside the window, or beneath the dock, is not drawn with every
// step: it follows as soon as it comes into view, and anyhow when the steps pause, so that whoever
// reads the page by other means than sight finds it as it is.

const PAUSE = 300; // ms without a step
const SLACK = 24; // px by which a strip may have grown since the browser last told of it
const SHARES = Array.from({length: 41}, (_, i) => i / 40);

export class Sight {
  constructor(app) {
    this.app = app;
    this.strips = new Map(); // part to [from, to], the px of its box in view; null: none of it
    this.behind = new Set(); // parts of which something is yet to be drawn
    addEventListener("beforeprint", (this.settled = () => this.settle()));
  }

  // Which parts there are now, and how high the dock is that covers what lies at the lower edge.
  watch(parts, dock) {
    if (this.observer) this.observer.disconnect();
    this.strips.clear();
    this.boxes = new Map(parts.filter((part) => part.box).map((part) => [part.box, part]));
    this.observer = new IntersectionObserver((entries) => this.told(entries), {threshold: SHARES, rootMargin: `0px 0px ${-dock}px 0px`});
    for (const box of this.boxes.keys()) this.observer.observe(box);
  }

  told(entries) {
    for (const {target, isIntersecting, boundingClientRect: whole, intersectionRect: cut} of entries) {
      const part = this.boxes.get(target);
      const [above, below] = [cut.top - whole.top, whole.bottom - cut.bottom];
      // Where both ends are hidden a strip moves without a change of its share.
      const strip = above > 1 && below > 1 ? undefined : [above - SLACK, cut.bottom - whole.top + SLACK];
      this.strips.set(part, isIntersecting ? strip : null);
      if (isIntersecting && this.behind.delete(part)) part.update();
    }
  }

  sees(part) {
    return this.strips.get(part) !== null;
  }

  // Draw what can be seen; a part answers true if it left something out.
  step(parts) {
    for (const part of parts) {
      if (!this.sees(part) || part.update(this.strips.get(part))) this.behind.add(part);
      else this.behind.delete(part);
    }
    clearTimeout(this.timer);
    if (this.behind.size) this.timer = setTimeout(() => this.settle(), PAUSE);
  }

  all(parts) {
    this.behind.clear();
    for (const part of parts) part.update();
  }

  settle() {
    const {behind} = this;
    this.behind = new Set();
    for (const part of behind) if (this.app.drawn.includes(part)) part.update();
  }

  stop() {
    clearTimeout(this.timer);
    removeEventListener("beforeprint", this.settled);
    if (this.observer) this.observer.disconnect();
  }
}
