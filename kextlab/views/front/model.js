// A scene document that can be stood in: the state after any moment, folded from keyframes.
//
// `state` is what it was after moment `at`; -1 is before the first. Stepping on applies one patch;
// any other move starts at the nearest keyframe. Documents that grow get keyframes of their own.

import {Series} from "./series.js";
import {Activity} from "./activity.js";

export const FORMAT = "kextlab-scene/1";
const EVERY = 256;

export function change(state, op) {
  const parts = op[0].split("/");
  const last = parts.pop();
  let at = state;
  for (const part of parts) {
    at = at[part];
    if (at === undefined) return; // deleted together with what held it
  }
  if (op.length === 1) delete at[last];
  else if (op.length === 3 && op[1] === "+") at[last].push(copied(op[2]));
  else if (op.length === 3 && op[1] === "<") at[last].splice(0, op[2]);
  else at[last] = copied(op[1]);
}

// The document stays as it came: what a patch puts in is copied, numbers and text need not be.
function copied(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(copied);
  const copy = {};
  for (const key in value) copy[key] = copied(value[key]);
  return copy;
}

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
    if (at < this.at || at - this.at > EVERY) this._from(this._frame(at));
    while (this.at < at) {
      this.at++;
      for (const op of this.patches[this.at]) change(this.state, op);
      if ((this.at + 1) % EVERY === 0 && this.frames[this.frames.length - 1][0] < this.at + 1) {
        this.frames.push([this.at + 1, copied(this.state)]);
      }
    }
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
  }

  // Take in what a live trace has added; false if it does not follow what is here.
  append(more) {
    if (more.from !== this.moments.length) return false;
    const first = this.moments.length;
    for (const moment of more.moments) this.moments.push(moment);
    for (const patch of more.patches) this.patches.push(patch);
    for (const lifeline of more.lifelines || []) this.lifelines.push(lifeline);
    for (const source of more.sources || []) this.sources.push(source);
    for (const data of more.datas || []) this.datas.push(data);
    this.steps = more.steps;
    this.series.take(this.moments, this.patches, first);
    this.activity.take(this.moments, first);
    return true;
  }

  // The bytes of [index, length], cut to what the document carries.
  bytes(reference) {
    const packed = reference && reference[0] >= 0 ? this.datas[reference[0]] : undefined;
    return packed === undefined ? null : Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  }
}
