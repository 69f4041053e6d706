// The inspector: what the selected thing is, where it stands, and the bytes it is made of. With
// nothing selected it shows the current event.

import {count, escaped, some} from "./marks.js";
import {badge} from "./icons.js";
import {along, dark, linked, tables} from "./bytes.js";
import {Markup} from "./markup.js";
import {jobShown} from "./jobs.js";
import {machShown} from "./machinfo.js";
import {endOf, eventOf, fds, isStream, nameOf, peerOf, PROVENANCE, unitOf} from "./words.js";

const KINDS = {call: "a call", return: "a return", refusal: "a refusal", note: "an event", panic: "a panic"};

// A kernel event's data follow its header; those of kernel control events are known.
function fieldsOf(story, struct, bytes) {
  const fields = story.structs[struct] || [];
  const data = story.structs.ctl_event_data;
  const of = struct === "kern_event_msg" && data && bytes.length >= 32 ? new DataView(bytes.buffer) : null;
  if (!of || of.getUint32(4, true) !== 1 || of.getUint32(8, true) !== 3 || of.getUint32(12, true) !== 2) return fields;
  return [...fields.filter((one) => one[1] < 24), ...data.map(([name, offset, size, type]) => [name, 24 + offset, size, type])];
}

export class Inspector {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("aside");
    this.el.className = "inspector";
    this.el.setAttribute("aria-label", "Inspector");
    this.box = this.el;
    this.markup = new Markup(this.el);
    this.el.addEventListener("click", (event) => {
      const go = event.target.closest("[data-go]");
      if (go) app.goto(Number(go.dataset.go));
      else if (event.target.closest("[data-clear]")) app.select(null);
    });
    linked(this.el);
  }

  key_(name) {
    const here = this.app.active();
    return here && this.el.contains(here) ? along(this.el, here, name === "ArrowDown") : false;
  }

  update() {
    const shown = this.shown();
    const body = `<header><div><h2>${shown.mark ? '<span class="selmark" aria-hidden="true"></span>' : ""}<span>${escaped(shown.title)}</span></h2>${shown.badge || ""}</div><p>${escaped(shown.path)}</p></header>` +
      `<div class="about">` + (shown.why ? `<p class="reason">${escaped(shown.why)}</p>` : "") +
      (shown.rows.length ? `<dl class="kv">${shown.rows.map(([k, v, go]) => `<div><dt>${escaped(k)}</dt><dd>${go === undefined ? escaped(v) : `<button class="link" data-go="${go}">${escaped(v)}</button>`}</dd></div>`).join("")}</dl>` : "") + "</div>" +
      (shown.data ? `<div class="payload">${shown.data}</div>` : "") +
      `<footer>${Object.entries(PROVENANCE).map(([kind, words]) => badge(kind, words)).join("")}</footer>`;
    if (body === this.markup.body) return;
    const focused = this.app.active();
    const at = focused && this.el.contains(focused) ? (focused.dataset.f ?? (focused.matches(".hex") ? "hex" : "")) : null;
    dark(this.el);
    this.markup.set(body);
    if (at !== null) {
      const again = at === "hex" ? this.el.querySelector(".hex") : this.el.querySelector(`tr[data-f="${at}"]`);
      if (again) again.focus({preventScroll: true});
    }
  }

  shown() {
    const {sel} = this.app;
    const by = {chip: () => this.chip(sel), sock: () => this.sock(sel), mark: () => this.moment(sel.at, true), ctl: () => this.control(sel), kev: () => this.events(), job: () => jobShown(this.app.story.state, sel.job), mach: () => machShown(sel.key, this.app.story, (...of) => this.payload(...of))}[sel && sel.kind];
    return (by && by()) || this.moment(this.app.now, false);
  }

  payload(reference, struct, heading = "Payload", told = null) {
    const {story} = this.app;
    const bytes = story.bytes(reference);
    if (!bytes) return "";
    const fields = told || (struct ? fieldsOf(story, struct, bytes) : null);
    const note = told ? "a Mach message, little endian" : struct ? `struct ${struct}, little endian` : `${count(reference[1])} bytes`;
    return `<h3>${heading}<span>${escaped(note)}</span></h3>${tables(bytes, reference[1], fields, struct || "")}`;
  }

  // What the call is about, as of this step.
  about({about}) {
    if (!about) return "";
    return `<h3>What it is about<span>at this step</span></h3><dl class="kv">${about.map(([k, v]) => `<div><dt>${escaped(k)}</dt><dd>${escaped(v)}</dd></div>`).join("")}</dl>`;
  }

  source(moment) {
    const found = this.app.story.sources[moment.source];
    return found ? badge(found[0], PROVENANCE[found[0]] || found[0]) : "";
  }

  moment(at, mark) {
    const {story} = this.app;
    const moment = story.moments[at];
    if (!moment) return {title: "Nothing yet", path: "No call has been made in this kernel.", rows: []};
    const name = (id) => (story.lifelines.find((one) => one.id === id) || {name: id}).name;
    const rows = [["Step", count(moment.step)]];
    const found = story.sources[moment.source] || [];
    if (moment.cause !== undefined) rows.push(["Happened inside", `step ${count(story.stepOf(moment.cause))}`, moment.cause]);
    if (moment.label) rows.push(["Call", moment.label]);
    if (moment.via) rows.push(["Handled by", moment.via]);
    if (moment.errno) rows.push(["Answer", moment.errno]);
    if (moment.queued) rows.push(["Queued after it", `${moment.queued[0]}, ${count(moment.queued[1])} B`]);
    if (found[1]) rows.push(["Recording", found[1]]);
    if (found[2]) rows.push(["Source", found[2]]);
    const route = moment.from === moment.to ? name(moment.from) : `${name(moment.from)} \u203a ${name(moment.to)}`;
    return {title: `Step ${count(moment.step)}, ${KINDS[moment.kind] || "an event"}`, path: route, rows, badge: this.source(moment), why: moment.why, mark, data: this.payload(moment.data, moment.struct, moment.fields ? "Message" : moment.struct ? "Argument" : "Bytes", moment.fields) + this.about(moment)};
  }

  chip({sock, chip}) {
    const {story} = this.app;
    const {state} = story;
    const one = state.socks[sock];
    const i = one ? one.rcv.q.findIndex((item) => item[0] === chip) : -1;
    if (i < 0) return this.gone(sock, chip);
    const [, size, data, when, eor] = one.rcv.q[i];
    const moment = story.moments[when] || {};
    const events = one.type === "events";
    const told = events ? eventOf(story.bytes([data, size])) : null;
    const rows = [
      ["Place in queue", `${i + 1} of ${one.rcv.q.length}`],
      ["Length", `${count(size)} B`],
      ["Record end", eor ? "M_EOR set" : "not set"],
      ["Read before it", i ? some(i, events ? "event" : "datagram") : "none, it is next"],
    ];
    if (when >= 0 && moment.step) rows.push(["Queued by", (moment.label || "").split(" ")[0] || "the kernel"], ["Queued at", `step ${count(moment.step)}`, when]);
    for (const id of one.rcv.q[i][5] || []) rows.push(["Passes", `a descriptor of ${state.socks[id] ? (state.socks[id].fds.length ? "the socket of " + endOf(state, story, id) : "a socket only this message holds") : "a socket"}`]);
    const path = `${nameOf(state, story, one.pid)} \u203a ${fds(one)} \u203a ${unitOf(one)} \u203a receive buffer`;
    return {title: told ? `Event ${told.id}, ${told.what}` : `Datagram ${i + 1}`, path, rows, mark: true, badge: when >= 0 ? this.source(moment) : "", data: this.payload([data, size], events ? "kern_event_msg" : null)};
  }

  gone(sock, chip) {
    const {story, now} = this.app;
    const one = story.state.socks[sock];
    const queue = story.series.queues.get(String(sock));
    const name = queue ? nameOf(story.state, story, queue.pid) : "a process";
    return {title: "Not queued now", path: `${name} \u203a ${one ? unitOf(one) : "closed"}`, rows: [["At this step", "it has been read, or is not yet there"]], mark: true};
  }

  sock({sock}) {
    const {story, now} = this.app;
    const {state} = story;
    const one = state.socks[sock];
    if (!one) return this.gone(sock);
    const ctl = state.ctls[one.ctl];
    const {rcv, snd} = one;
    const queue = story.series.queues.get(String(sock));
    const rows = [["Type", one.type === "events" ? "SOCK_RAW, SYSPROTO_EVENT" : one.type], ["State", one.state]];
    if (ctl) rows.push(["Control", `${ctl.name}, id ${ctl.id}`]);
    if (one.unit) rows.push(["Unit", String(one.unit)]);
    if (one.type === "events") rows.push(["Filter", one.filter.join(" / ")]);
    if (one.local) rows.push(...this.local(one));
    rows.push(["Receive buffer", `${count(rcv.cc)} of ${count(rcv.hiwat)} B`], [isStream(one) ? "Next byte" : "Records", isStream(one) ? count(rcv.read) : count(rcv.q.length)]);
    if (rcv.mbmax) rows.push(["mbuf memory", `${count(rcv.mbcnt)} of ${count(rcv.mbmax)} B`]);
    rows.push(["Read in all", `${count(rcv.read)} B`], ["Wakes a reader at", `${count(rcv.lowat)} B`]);
    if (snd.hiwat) rows.push(["Send buffer", `${count(snd.cc)} of ${count(snd.hiwat)} B`]);
    rows.push(["Refused or lost", count(one.lost)]);
    if (one.mark) rows.push(["Last loss", `step ${count(story.stepOf(one.mark[2]))}, ${count(one.mark[0])} B`, one.mark[2]]);
    else if (queue && queue.lost(now)) rows.push(["Last loss", `step ${count(story.stepOf(queue.losses[queue.lost(now) - 1]))}`, queue.losses[queue.lost(now) - 1]]);
    if (!one.fds.length) return {title: "A connection that waits", path: "no descriptor yet: nobody has accepted it", rows, mark: true};
    return {title: `Socket of ${nameOf(state, story, one.pid)}`, path: `${fds(one)} \u203a ${unitOf(one)}${ctl ? " \u203a " + ctl.name : ""}`, rows, mark: true};
  }

  local(one) {
    const {story} = this.app;
    const {path, bound, waiting, limit, peer} = one.local;
    const far = story.state.socks[peer];
    const rows = [["Peer", peerOf(story.state, story, one) || "none"]];
    if (path) rows.push(["Name", path + (bound || far ? "" : ", taken away")]);
    else if (far && far.local.path) rows.push(["Peer's name", far.local.path]);
    if (limit) rows.push(["Wait to be accepted", `${count(waiting.length)} of ${count(limit)}`]);
    for (const id of waiting.slice(0, 6)) {
      const sock = story.state.socks[id];
      rows.push(["Waits", sock ? `${endOf(story.state, story, sock.local.peer)}, ${count(sock.rcv.cc)} B sent` : "gone"]);
    }
    return rows;
  }

  control({ctl}) {
    const {story} = this.app;
    const one = story.state.ctls[ctl];
    if (!one) return {title: "No such control now", path: "It is registered at another step.", rows: [], mark: true};
    const kext = story.state.kexts[one.kext];
    const units = Object.values(story.state.socks).filter((sock) => String(sock.ctl) === String(ctl));
    const rows = [["Control id", String(one.id)], ["Kind", one.kind]];
    for (const flag of one.flags) rows.push(["Flag", flag]);
    rows.push(["Receive size", `${count(one.recv)} B`], ["Send size", `${count(one.send)} B`], ["Clients", units.length ? units.slice(0, 8).map((sock) => sock.unit).join(", ") + (units.length > 8 ? " \u2026" : "") : "none"]);
    for (const name of one.callbacks) rows.push(["Callback", name + "()" + (kext && kext.running === name ? ", running" : "")]);
    rows.push(["Kext", one.kext], ["Its code", one.loaded ? "in memory" : "gone"]);
    if (kext) rows.push(["Holds", kext.holds[0] ? `${some(kext.holds[0], "mbuf")}, ${count(kext.holds[1])} B` : "no mbufs"]);
    return {title: one.name, path: "kernel control", rows, mark: true};
  }

  events() {
    const {posted, full, id} = this.app.story.state.kev;
    return {title: "kern_event", path: "kernel events: broadcast, queued where they fit, lost where not", rows: [["kes_posted", count(posted)], ["kes_fullsock", count(full)], ["Last id", id ? count(id) : "none"]], mark: true};
  }
}
