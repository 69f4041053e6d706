// Narrow screens: a gauge a socket, in place of the lanes that do not fit.

import {count, cross, escaped, line, rect} from "./marks.js";
import {fds, nameOf, said, unitOf} from "./words.js";

const WIDE = 116;
const MOST = 6;

export class Gauges {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("div");
    this.el.className = "gauges";
    this.el.setAttribute("role", "group");
    this.el.setAttribute("aria-label", "Receive buffers");
    this.key = "";
    this.el.addEventListener("click", (event) => {
      const row = event.target.closest("[data-sock]");
      if (row) app.select({kind: "sock", sock: row.dataset.sock});
    });
  }

  update() {
    if (this.app.size !== "narrow") {
      this.el.hidden = false;
      if (this.key) this.el.textContent = this.key = "";
      return;
    }
    const {story, sel} = this.app;
    const {state} = story;
    const all = Object.entries(state.socks).filter(([, sock]) => sock.pid);
    const chosen = sel && sel.sock ? String(sel.sock) : this.app.topology.open || "";
    let shown = all;
    if (all.length > MOST) {
      const latest = new Set([chosen, ...story.series.latest(this.app.now, MOST)]);
      shown = [...all.filter(([id]) => latest.has(id)), ...all.filter(([id]) => !latest.has(id))].slice(0, MOST).sort((a, b) => a[0] - b[0]);
    }
    const rows = shown.map(([id, sock]) => this.row(id, sock, id === chosen, state, story));
    if (all.length > shown.length) rows.push(`<p>and ${count(all.length - shown.length)} more sockets</p>`);
    const body = rows.join("");
    if (body === this.key) return;
    const here = this.app.active();
    const again = here && this.el.contains(here) ? here.dataset.sock : null;
    this.key = body;
    this.el.innerHTML = body;
    if (again) this.el.querySelector(`[data-sock="${again}"]`)?.focus({preventScroll: true});
  }

  row(id, sock, on, state, story) {
    const {cc, hiwat} = sock.rcv;
    const full = hiwat && cc >= hiwat;
    const part = hiwat ? Math.min(1, cc / hiwat) : 0;
    const gauge = `<svg width="${WIDE + 14}" height="20" viewBox="0 0 ${WIDE + 14} 20" aria-hidden="true">` +
      rect(0.5, 5.5, WIDE, 9, "pipe", "rule", {dash: "2 2"}) + (cc ? rect(0.5, 5.5, Math.max(2, WIDE * part), 9, "data-bg", "data") : "") +
      line(WIDE + 0.5, 2, WIDE + 0.5, 18, full ? "loss" : "ink2", 2) + (sock.mark ? cross(WIDE + 8.5, 10, 3.2, "loss", 1.75) : "") + "</svg>";
    return `<button data-sock="${id}" aria-pressed="${on}" aria-label="${escaped(said(sock, state, story))}"><b>${escaped(nameOf(state, story, sock.pid))}</b><span>${escaped(sock.local ? fds(sock) : unitOf(sock))}</span>${gauge}<em${full ? ' class="full"' : ""}>${count(cc)}</em></button>`;
  }
}
