// Five to thirty sockets: narrow bars, receive side only, on the same scale as the open lanes.

import {cross, group, line, path, rect, text} from "./marks.js";
import {fit} from "./measure.js";
import {hasPipe} from "./lane.js";
import {isStream, nameOf, said} from "./words.js";
import {zoom} from "./layout.js";

export const NAMES = 62; // px above the tabs for names at 45 degrees

export function drawThin(column, sock, c) {
  const {g, state, story, p} = c;
  const f = g.f;
  const {x, width} = column;
  const tab = g.collar - 10 * f;
  const m = x + width / 2;
  const events = sock.type === "events";
  const piped = events || sock.state === "connected" || (sock.local && hasPipe(sock));
  const on = c.selected(sock);
  const name = fit(nameOf(state, story, sock.pid), 78 * f, g.small, 600);
  let body = rect(x - 3 * f, g.user + 14 * f, width + 6 * f, g.port + g.row - g.user - 14 * f, "none", "", {cls: "hit"});
  body += group(text(0, 0, name, g.small, on ? "sel" : "user", {weight: 600}), "", `transform="translate(${m - 2 * f} ${tab - 6 * f}) rotate(-45)"`);
  body += rect(x, tab, width, 10 * f, "raise", on ? "sel" : "user", {radius: 2 * f, width: on ? 2 : 1}) + rect(x - 2 * f, g.collar, width + 4 * f, 4 * f, "user");
  if (!piped) return wrap(body + line(m, g.boundary + g.hatch, m, g.port, "hair", 1.5, "2 4"), column, sock, c);
  const factor = zoom(sock.rcv.hiwat, g);
  const perPx = g.perPx / factor;
  const bottom = g.top + Math.min(g.H, sock.rcv.hiwat / perPx);
  const full = sock.rcv.hiwat && sock.rcv.cc >= sock.rcv.hiwat;
  body += rect(x, g.collar + 4 * f, width, g.port - g.collar - 4 * f, "pipe");
  for (const wall of [x, x + width]) body += line(wall, g.collar + 4 * f, wall, g.port, "rule", 1, "", {cls: "wall"});
  body += rect(x + 2, g.top, width - 4, bottom - g.top, "none", "rule", {dash: "2 2"});
  let y = g.top;
  let from = y;
  let merged = 0;
  const bar = (a, b) => rect(x + 2.5, a + 0.5, width - 5, Math.max(1.5, b - a - 1), "data-bg", "data", {radius: width < 14 ? 0 : 1.5});
  for (const item of sock.rcv.q) {
    const h = item[1] / perPx;
    if (h < 3) {
      merged += h;
      y += h;
      continue;
    }
    if (merged) body += bar(from, y);
    merged = 0;
    body += bar(y, y + h);
    y += h;
    from = y;
  }
  if (merged || (isStream(sock) && sock.rcv.cc)) body += bar(from, Math.max(y, from + 2));
  body += line(x - 2 * f, bottom, x + width + 2 * f, bottom, full ? "loss" : "ink2", 2.5);
  if (sock.mark) {
    const h = Math.max(3, Math.min(sock.mark[0] / perPx, g.port - bottom - 14 * f));
    body += rect(x + 2, bottom + 6 * f, width - 4, h, `url(#${p}loss)`, "loss", {width: 1.5, dash: "4 2"});
    body += cross(m, bottom + 6 * f + Math.max(h / 2, 4 * f), Math.min(4 * f, width / 3));
  }
  if (!events) body += rect(x - 2 * f, g.port, width + 4 * f, 5 * f, "kern") + rect(x - 2 * f, g.port + 5 * f, width + 4 * f, g.row - 5 * f, "raise", "kern");
  if (!events && !sock.local) body += text(m, g.port + 5 * f + (g.row - 5 * f) / 2 + g.small * 0.34, sock.unit, Math.min(g.small, width * 0.62), "kern", {weight: 700, anchor: "middle"});
  return wrap(body, column, sock, c);
}

function wrap(body, column, sock, c) {
  const label = said(sock, c.state, c.story);
  return group(body, label, `class="lane thin" role="button" tabindex="-1" aria-pressed="${c.selected(sock)}" data-key="sock/${column.sock}" aria-label="${label}"`);
}
