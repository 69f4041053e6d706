// Which routines are on the stack at each moment: the thin boxes on the lifelines.
//
// Every task has a stack of frames; a moment of depth d closes what lies deeper than d. Kernel
// lifelines get a bit each (31 at most; what comes later is drawn without boxes).

export class Activity {
  constructor(lifelines) {
    this.lifelines = lifelines; // the story's own list: grows with it
    this.before = []; // bits active when the moment begins
    this.after = []; // bits active when it is over
    this.stacks = new Map();
    this.prior = new Map(); // as they were before the last moment, which may still grow
    this.bits = new Map();
  }

  bit(lifeline) {
    let bit = this.bits.get(lifeline);
    if (bit === undefined) {
      const found = this.lifelines.find((line) => line.id === lifeline);
      const kernel = found ? found.world === "kern" : false;
      bit = kernel && this.bits.size < 31 ? 1 << this.bits.size : 0;
      this.bits.set(lifeline, bit);
    }
    return bit;
  }

  // From moment `first` on; what is known of it and later is forgotten.
  take(moments, first) {
    if (first < this.before.length) {
      this.before.length = this.after.length = first;
      this.stacks = this.prior;
    }
    for (let at = first; at < moments.length; at++) {
      if (at === moments.length - 1) this.prior = new Map([...this.stacks].map(([task, stack]) => [task, stack.slice()]));
      const moment = moments[at];
      const task = moment.task || 0;
      let stack = this.stacks.get(task);
      if (!stack) this.stacks.set(task, (stack = []));
      const depth = moment.depth || 0;
      const returning = moment.kind === "return" || Boolean(moment.back);
      this._cut(stack, returning ? depth + 1 : depth);
      this.before.push(this._now());
      if (moment.kind === "call") {
        while (stack.length < depth) stack.push(0);
        stack.push(this.bit(moment.to));
      } else if (returning) this._cut(stack, depth);
      else if (moment.kind === "panic") this.stacks.clear();
      this.after.push(this._now());
    }
  }

  _cut(stack, depth) {
    if (stack.length > depth) stack.length = depth;
  }

  _now() {
    let bits = 0;
    for (const stack of this.stacks.values()) for (const bit of stack) bits |= bit;
    return bits;
  }
}
