// Live only: what a reader may do to the machine. Each is a message that drives Python.

import {escaped} from "./marks.js";

const option = (value, words) => `<option value="${escaped(value)}">${escaped(words)}</option>`;

export class Controls {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("form");
    this.el.className = "live";
    this.el.setAttribute("aria-label", "Drive the machine");
    this.el.addEventListener("submit", (event) => event.preventDefault());
    this.el.addEventListener("click", (event) => this.click(event));
    this.key = "";
  }

  layout() {}

  // Processes, sockets, controls and faults, by name; rewritten only when one of them changes. Where
  // no kext has registered a control there is nothing to drive.
  update() {
    const {app} = this;
    const live = app.live;
    const controls = ((live && live.controls) || []).map((one) => (typeof one === "object" ? one.name : one));
    this.el.hidden = !app.host.live || !controls.length;
    if (this.el.hidden) return;
    const {state} = app.stories[0];
    const pids = (live.processes || Object.keys(state.procs)).map((one) => (typeof one === "object" ? one : {pid: one}));
    const names = pids.map((one) => [String(one.pid ?? one.id), one.name || (state.procs[one.pid] || {name: one.pid}).name]);
    const key = JSON.stringify([names, controls, live.faults]);
    if (key === this.key) return;
    this.key = key;
    const kept = Object.fromEntries([...this.el.elements].map((one) => [one.name, one.value]));
    const none = (list, words) => (list.length ? "" : `<option value="">${words}</option>`);
    const faults = live.faults || [];
    this.el.innerHTML =
      `<label>process <select name="process">${none(names, "none")}${names.map(([pid, name]) => option(pid, `${name} (${pid})`)).join("")}</select></label>` +
      `<label>control <select name="control">${controls.map((name) => option(name, name)).join("")}</select></label>` +
      `<button class="btn" data-do="connect">Connect</button>` +
      `<label>text <input name="text" value="hello" size="10" data-lm-suppress-shortcuts="true"></label><button class="btn" data-do="send">Send</button><button class="btn" data-do="recv">Receive</button><button class="btn" data-do="step">Step a task</button>` +
      (faults.length ? `<label>fault <select name="fault">${faults.map((one) => option(one.id, one.label)).join("")}</select></label><button class="btn" data-do="fault">Inject</button>` : "");
    for (const one of this.el.elements) if (kept[one.name] && [...(one.options || [])].some((o) => o.value === kept[one.name])) one.value = kept[one.name];
  }

  click(event) {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    const value = (name) => (this.el.elements[name] ? this.el.elements[name].value : "");
    const what = button.dataset.do;
    const {sel} = this.app;
    const sock = sel && sel.sock ? this.app.story.state.socks[sel.sock] : null;
    const socket = sock && String(sock.pid) === value("process") ? Number(sel.sock) : 0; // the selected one, if it is theirs
    const more = {
      connect: {pid: Number(value("process")), control: value("control")},
      send: {pid: Number(value("process")), text: value("text"), control: value("control"), socket},
      recv: {pid: Number(value("process")), control: value("control"), socket},
      step: {},
      fault: {fault: value("fault")},
    }[what];
    this.app.ask({do: what, ...more}, "");
  }
}
