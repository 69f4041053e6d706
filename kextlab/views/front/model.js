// A scene document that can be stood in: the state after any moment, folded from keyframes.
//
// `state` is what it was after moment `at`; -1 is before the first. A step applies one patch, a step
// back undoes one; any other move starts at the nearest keyframe before it.

import {Series} from "./series.js";
import {Activity} from "./activity.js";
import {change, copied, inverse} from "./patch.js";

export const FORMAT = "kextlab-scene/1";
const UNDO = 96; // steps back that need no keyframe

export class Story {
  constructor(doc) {
    if (!doc || doc.format !== FORMAT) {
      throw new Error(`scene of format ${doc && doc.format}; this kextlab reads ${FORMAT}`);
    }
    this.doc = doc;
    this.title = doc.title || "";
    this.steps = doc.steps;
    this.moments = doc.moments.slice();
    this.patches = doc.patches.slice();
    this.lifelines = doc.lifelines.slice();
    this.sources = (doc.sources || []).slice();
    this.datas = (doc.datas || []).slice();
    this.structs = doc.structs || {};
    this.frames = doc.keyframes.slice();
    if (!this.frames.length) throw new Error("the scene has no keyframe");
    this.state = copied(this.frames[0][1]);
    this.at = this.frames[0][0] - 1;
    this.undo = [];
    this.series = new Series(this.frames[0][1]);
    this.series.take(this.moments, this.patches, 0);
    this.activity = new Activity(this.lifelines);
    this.activity.take(this.moments, 0);
  }

  get last() {
    return this.moments.length - 1;
  }

  // The nearest moment inside the story.
  within(at) {
    return Math.max(Math.min(0, this.last), Math.min(this.last, at));
  }

  // The last moment at or before a step of the trace; null outside the range.
  momentOf(step) {
    if (!(step >= 0 && step <= this.steps)) return null;
    let [low, high] = [0, this.last];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.moments[middle].step <= step) low = middle;
      else high = middle - 1;
    }
    return Math.min(low, this.last);
  }

  stepOf(at) {
    return at >= 0 && at <= this.last ? this.moments[at].step : 0;
  }

  goto(target) {
    const at = this.within(target);
    if (at < this.at && this.at - at <= this.undo.length) {
      while (this.at > at) {
        for (const op of this.undo.pop()) change(this.state, op);
        this.at--;
      }
      return at;
    }
    const frame = this._frame(at);
    if (at < this.at || frame[0] - 1 > this.at) this._from(frame);
    while (this.at < at) {
      this.at++;
      const near = at - this.at < UNDO;
      const back = near ? [] : null;
      for (const op of this.patches[this.at]) {
        if (near) back.unshift(inverse(this.state, op));
        change(this.state, op);
      }
      if (near) this.undo.push(back.filter(Boolean));
    }
    if (this.undo.length > 2 * UNDO) this.undo.splice(0, this.undo.length - UNDO);
    return at;
  }

  // The last keyframe whose state is one before or at `at`.
  _frame(at) {
    let [low, high] = [0, this.frames.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.frames[middle][0] <= at + 1) low = middle;
      else high = middle - 1;
    }
    return this.frames[low];
  }

  _from(frame) {
    this.state = copied(frame[1]);
    this.at = frame[0] - 1;
    this.undo = [];
  }

  // Take in what a live trace has added. Its first moment replaces our last one, which may have
  // grown; false if it does not follow what is here.
  append(more) {
    const {from} = more;
    const known = this.moments.length;
    if (from + more.moments.length < known) return true; // a view that came later has it already
    if (from !== known && from !== known - 1) return false;
    for (const source of more.sources || []) this.sources.push(source);
    for (const data of more.datas || []) this.datas.push(data);
    for (const lifeline of more.lifelines || []) this._lifeline(lifeline);
    this.steps = more.steps;
    const old = from < known ? this.patches[from] : null;
    const was = from < known ? this.moments[from] : null;
    if (from === 0 && more.keyframes && more.keyframes.length) this.frames = more.keyframes.slice();
    else {
      this.frames = this.frames.filter((frame) => frame[0] <= from);
      for (const frame of more.keyframes || []) this.frames.push(frame);
    }
    if (from > 0 && this.at >= from && this.at - from < this.undo.length) this.goto(from - 1);
    this.moments.length = this.patches.length = from;
    for (const moment of more.moments) this.moments.push(moment);
    for (const patch of more.patches) this.patches.push(patch);
    if (this.at >= from || from === 0) this._from(this._frame(Math.min(this.at, from - 1)));
    const next = this.patches[from];
    const grown = old && next && was.world === this.moments[from].world && old.every((op, i) => JSON.stringify(op) === JSON.stringify(next[i]));
    if ((old && !grown) || from === 0) {
      this.series = new Series(this.frames[0][1]);
      this.series.take(this.moments, this.patches, 0);
    } else {
      if (old) this.series.more(next.slice(old.length), from);
      this.series.take(this.moments, this.patches, known);
    }
    this.activity.take(this.moments, from);
    return true;
  }

  // New lifelines go to the end of their kind: processes before the boundary, kexts before kern_event.
  _lifeline(lifeline) {
    const before = lifeline.world === "user" ? "boundary" : lifeline.id.startsWith("kext:") ? "kern_event" : "";
    const at = this.lifelines.findIndex((one) => one.id === before);
    if (at < 0) this.lifelines.push(lifeline);
    else this.lifelines.splice(at, 0, lifeline);
  }

  // The bytes of [index, length], cut to what the document carries.
  bytes(reference) {
    const packed = reference && reference[0] >= 0 ? this.datas[reference[0]] : undefined;
    return packed === undefined ? null : Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  }
}
