// What happened to each queue over the whole story: one pass over the patches, extended as they grow.

import {Lives, upTo as after} from "./lives.js";

class Queue {
  constructor(id, born) {
    this.id = id;
    this.born = born;
    this.died = Infinity;
    this.at = []; // moments at which the byte count changed
    this.cc = []; // and what it became
    this.touched = []; // moments that changed anything of the queue
    this.losses = [];
    this.hiwat = 0;
    this.pid = 0;
    this.type = "";
    this.ctl = 0;
    this.unit = 0;
    this.fd = ""; // its descriptors, the last it had
    this.control = ""; // the name of its control, the last one it had
  }

  // Bytes queued after a moment.
  value(at) {
    const i = after(this.at, at) - 1;
    return i < 0 ? 0 : this.cc[i];
  }

  lost(at) {
    return after(this.losses, at);
  }

  alive(at) {
    return this.born <= at && at < this.died;
  }
}

export class Series {
  constructor(state) {
    this.queues = new Map();
    this.controls = new Map(); // serial to {name, born}
    this.procs = new Map(); // pid to {name, born}
    this.losses = []; // moments
    this.total = {at: [], cc: [], most: 0};
    this.sum = 0;
    this.sockets = new Map(); // every socket alive, by number
    this.jobs = Boolean(state.launchd); // whether launchd ever loads one
    this.jobs_ = new Map(); // the job of a socket ("s5") or of a process ("p104")
    this.first = new Map(); // the first process of a job
    for (const id in this.jobs ? state.launchd.jobs : {}) this._job(id, state.launchd.jobs[id]);
    this.lives = new Lives(state);
    for (const pid in state.procs) this.procs.set(pid, {name: state.procs[pid].name, born: -1});
    for (const id in state.ctls) this.controls.set(id, {name: state.ctls[id].name, born: -1});
    for (const id in state.socks) this._open(id, state.socks[id], -1);
  }

  take(moments, patches, first) {
    for (let at = first; at < moments.length; at++) {
      if (moments[at].world === "loss") this.losses.push(at);
      this.more(patches[at], at);
    }
  }

  // The operations of one moment, or what has come to them since.
  more(ops, at) {
    this.scaled = undefined;
    for (const op of ops) {
      const path = op[0];
      if (path.startsWith("socks/")) this._socket(path.split("/"), op, at);
      else if (path.startsWith("launchd")) this._launchd(path.split("/"), op[1]);
      else if (path.startsWith("m")) this.lives.take(path, op, at);
      else if (op.length === 2 && path.startsWith("ctls/")) this._named(this.controls, path, op[1], at);
      else if (op.length === 2 && path.startsWith("procs/")) this._named(this.procs, path, op[1], at);
    }
  }

  _launchd([, , id, field], value) {
    this.jobs = true;
    if (id && value) this._job(id, field ? {[field]: value} : value);
  }

  _job(id, {sockets, pid}) {
    for (const one of sockets || []) this.jobs_.set(`s${one[2]}`, id);
    if (!pid) return;
    this.jobs_.set(`p${pid}`, id);
    if (!this.first.has(id)) this.first.set(id, pid);
  }

  // The job a queue is of, its own listening socket or one of its processes'; "" if of none.
  jobOf(queue) {
    return this.jobs_.get(`s${queue.id}`) || this.jobs_.get(`p${queue.pid}`) || "";
  }

  _named(map, path, value, at) {
    const parts = path.split("/");
    if (parts.length === 2 && value) map.set(parts[1], {name: value.name, born: at});
  }

  _socket(parts, op, at) {
    const id = parts[1];
    if (parts.length === 2) {
      if (op.length === 1) this._close(id, at);
      else this._open(id, op[1], at);
      return;
    }
    const queue = this.sockets.get(id);
    if (!queue) return;
    const [, , field, inner] = parts;
    if (field === "rcv") {
      if (queue.touched[queue.touched.length - 1] !== at) queue.touched.push(at);
      if (inner === "cc") this._bytes(queue, op[1], at);
      else if (inner === "hiwat") this._limit(queue, op[1]);
      else if (inner === undefined && op.length === 2) {
        this._limit(queue, op[1].hiwat);
        this._bytes(queue, op[1].cc, at);
      }
    } else if (field === "mark" && op[1]) {
      if (queue.touched[queue.touched.length - 1] !== at) queue.touched.push(at);
      queue.losses.push(at);
    } else if (field === "ctl" && op[1]) {
      queue.ctl = op[1];
      queue.control = (this.controls.get(String(op[1])) || {name: ""}).name;
    } else if (field === "unit" && op[1]) queue.unit = op[1];
    else if (field === "pid" && op[1]) queue.pid = op[1];
    else if (field === "fds" && op[1].length) queue.fd = `fd ${op[1].join(", ")}`;
    else if (field === "type") queue.type = op[1];
  }

  // The limit that held last: a reader who sets SO_RCVBUF at once never lived under the first one.
  _limit(queue, hiwat) {
    if (hiwat) queue.hiwat = hiwat;
  }

  // The largest limit of a control socket: what the scene is scaled to.
  get hiwat() {
    if (this.scaled === undefined) this.scaled = this._largest();
    return this.scaled;
  }

  _largest() {
    let most = 0;
    let other = 0;
    for (const queue of this.queues.values()) {
      if (queue.ctl) most = Math.max(most, queue.hiwat);
      else other = Math.max(other, Math.min(8192, queue.hiwat));
    }
    return most || other;
  }

  _bytes(queue, cc, at) {
    const n = queue.at.length;
    const old = n ? queue.cc[n - 1] : 0;
    if (n && queue.at[n - 1] === at) queue.cc[n - 1] = cc;
    else {
      queue.at.push(at);
      queue.cc.push(cc);
    }
    this.sum += cc - old;
    const total = this.total;
    if (total.at[total.at.length - 1] === at) total.cc[total.cc.length - 1] = this.sum;
    else {
      total.at.push(at);
      total.cc.push(this.sum);
    }
    total.most = Math.max(total.most, this.sum);
  }

  _open(id, sock, at) {
    const old = this.sockets.get(id);
    const queue = old || new Queue(id, at);
    queue.pid = sock.pid;
    queue.type = sock.type;
    if (sock.fds.length) queue.fd = `fd ${sock.fds.join(", ")}`;
    if (sock.unit) queue.unit = sock.unit;
    if (sock.ctl) {
      queue.ctl = sock.ctl;
      queue.control = (this.controls.get(String(sock.ctl)) || {name: ""}).name;
    }
    this.sockets.set(id, queue);
    this.queues.set(id, queue);
    this._limit(queue, sock.rcv.hiwat);
    this._bytes(queue, sock.rcv.cc, at);
  }

  _close(id, at) {
    const queue = this.sockets.get(id);
    if (!queue) return;
    this._bytes(queue, 0, at);
    queue.died = at;
    this.sockets.delete(id);
  }

  // The next refusal or loss after a moment, or the one before it; null if there is none.
  loss(at, forward) {
    const i = forward ? after(this.losses, at) : after(this.losses, at - 1) - 1;
    return i >= 0 && i < this.losses.length ? this.losses[i] : null;
  }

  // The next or previous event of one queue.
  event(id, at, forward) {
    const queue = this.queues.get(String(id));
    if (!queue) return null;
    const i = forward ? after(queue.touched, at) : after(queue.touched, at - 1) - 1;
    return i >= 0 && i < queue.touched.length ? queue.touched[i] : null;
  }

  // The sockets that lost something most recently before a moment, latest first.
  latest(at, many) {
    const found = [];
    for (const queue of this.queues.values()) {
      const n = queue.lost(at);
      if (n && queue.alive(at)) found.push([queue.losses[n - 1], queue.id]);
    }
    return found.sort((a, b) => b[0] - a[0]).slice(0, many).map((pair) => pair[1]);
  }
}
