// One row of the space-time diagram. A row carries its own piece of every lifeline and box, so that
// it can be drawn, kept and thrown away alone.

import {circle, cross, line, path, rect, text, tip} from "./marks.js";
import {fit, width} from "./measure.js";

const MOST_USERS = 4;
const MOST_KEXTS = 2;
export const OTHERS = "others";
const OTHER_KEXTS = "other kexts";

// Which of the lifelines `used` stand where, for a diagram `room` px wide.
export function lifelines(story, used, room, pinned) {
  const world = (name) => story.lifelines.filter((one) => one.world === name && used.has(one.id));
  let users = world("user");
  if (users.length > MOST_USERS) {
    const kept = [...new Set([...pinned, ...users.slice(0, 2).map((one) => one.id)])].slice(0, 2);
    const many = users.length - kept.length;
    users = [...users.filter((one) => kept.includes(one.id)), {id: OTHERS, name: `${many} others`, world: "user"}];
  }
  const shared = (one) => users.some((other) => other !== one && other.name === one.name);
  users = users.map((one) => (shared(one) && one.id.startsWith("proc:") ? {...one, name: `${one.name} ${one.id.slice(5)}`} : one));
  const kernel = world("kern");
  let kexts = kernel.filter((one) => one.id.startsWith("kext:"));
  if (kexts.length > MOST_KEXTS) {
    const many = kexts.length - MOST_KEXTS + 1;
    kexts = [...kexts.slice(0, MOST_KEXTS - 1), {id: OTHER_KEXTS, name: `${many} other kexts`, world: "kern"}];
  }
  const near = kernel.filter((one) => one.id === "kernel");
  const control = kernel.filter((one) => one.id === "kern_control");
  const far = kernel.filter((one) => !one.id.startsWith("kext:") && !near.includes(one) && !control.includes(one));
  const narrow = room < 420;
  const unit = Math.min(1, room / 552);
  const boundary = Math.round(room * (narrow ? 0.4 : 0.37));
  const xs = new Map();
  const start = narrow ? 14 : 28;
  const end = boundary - (narrow ? 84 : 106);
  users.forEach((one, i) => xs.set(one.id, users.length > 1 ? start + (i * (end - start)) / (users.length - 1) : start));
  xs.set("boundary", boundary);
  let x = boundary;
  for (const one of near) xs.set(one.id, (x += 48 * unit));
  for (const one of control) xs.set(one.id, (x += (near.length ? 44 : 90) * unit));
  const rest = [...kexts, ...far];
  const last = room - (narrow ? 20 : 44);
  const gap = rest.length > 1 ? Math.min(64, Math.max(24, (last - x - 130 * unit) / (rest.length - 1))) : 0;
  rest.forEach((one, i) => xs.set(one.id, last - (rest.length - 1 - i) * gap));
  const list = [...users, {id: "boundary", name: "syscall boundary", world: "boundary"}, ...near, ...control, ...rest];
  const all = new Set(story.lifelines.filter((one) => one.world === "user").map((one) => one.id));
  const names = new Map(story.lifelines.map((one) => [one.id, one.name]));
  const lastUser = users.length ? xs.get(users[users.length - 1].id) : start;
  return {xs, list, room, users: all, names, lastUser, boundary};
}

export function place(lines, id) {
  if (lines.xs.has(id)) return id;
  if (lines.users.has(id)) return OTHERS;
  return id && id.startsWith("kext:") && lines.xs.has(OTHER_KEXTS) ? OTHER_KEXTS : null;
}

// The names over the diagram, in as many rows, up to three, as keep them apart.
export function head(lines) {
  const size = 12;
  const wide = lines.list.map((one) => Math.min(width(one.name, size, 600), 150));
  const centre = lines.list.map((one, i) => Math.min(Math.max(lines.xs.get(one.id), wide[i] / 2 + 2), lines.room - wide[i] / 2 - 2));
  const rows = (many) => Array.from({length: many}, (_, r) => lines.list.map((_, i) => i).filter((i) => i % many === r));
  const touching = (row) => row.some((i, n) => n && centre[i] - wide[i] / 2 < centre[row[n - 1]] + wide[row[n - 1]] / 2 + 8);
  const many = [1, 2, 3].find((n) => n === 3 || !rows(n).some(touching));
  let body = "";
  rows(many).forEach((row, r) => {
    row.forEach((i, n) => {
      const one = lines.list[i];
      const free = (other) => (other === undefined ? Infinity : Math.abs(centre[i] - centre[other]) * 2 - wide[other] - 8);
      const room = Math.max(24, Math.min(free(row[n - 1]), free(row[n + 1]), 154));
      body += text(centre[i], 18 + r * 16, fit(one.name, room, size, 600), size, one.world === "boundary" ? "ink" : one.world, {weight: 600, anchor: "middle"});
    });
  });
  return {body, height: 12 + many * 16};
}

// Labels are set in a fixed pitch: 0.602 of the type size in every font of the list.
const wide = (words) => words.length * 6.65 + 6;

// The longest form of a label that fits: whole, without its number, cut.
function label(words, room) {
  // "send 1, 24 B, +1 right; receive": what stands behind the last comma goes first.
  const shorter = [...words.matchAll(/[,;] /g)].map((one) => words.slice(0, one.index)).reverse();
  const first = words.replace(/ (unit )?[\d,]+$/, "");
  const fits = [words, ...shorter, first, first.replace(/^(ctl|kev|mbuf)_/, "\u2026")].find((form) => wide(form) <= room);
  if (fits) return fits;
  const most = Math.max(2, Math.floor((room - 6) / 6.65) - 1);
  return first.slice(0, Math.ceil(most / 2)) + "\u2026" + first.slice(first.length - Math.floor(most / 2));
}

// A label on a plate, so that no line runs through it.
function plated(x, y, words, colour, ground, room, weight = 400) {
  const shown = label(words, room);
  const w = wide(shown);
  return rect(x - w / 2, y - 8, w, 15, ground) + text(x, y + 4, shown, 11, colour, {anchor: "middle", mono: true, weight: weight === 400 ? 0 : weight});
}

// How one moment is drawn: `when` is past, now or future.
export function row(story, at, lines, height, when) {
  const moment = story.moments[at];
  const future = when === "future";
  const now = when === "now";
  const m = now ? 32 : 10;
  const ground = now ? "panel" : "paper";
  const {before, after} = story.activity;
  const next = at + 1 < before.length ? before[at + 1] : after[at];
  // One path for all lifelines of a colour: an element each would cost a step more than its words.
  const drawn = {user: "", kern: ""};
  let boxes = "";
  for (const one of lines.list) {
    if (one.id === "boundary") continue;
    const x = Math.round(lines.xs.get(one.id) * 100) / 100;
    drawn[future ? "user" : one.world] += `M${x} 0V${height}`;
    const bit = one.world === "kern" ? story.activity.bit(one.id) : 0;
    if (!bit || !((before[at] | after[at]) & bit)) continue;
    // A routine whose end no row tells of is over at the end of its last one.
    const y0 = before[at] & bit ? -2 : m;
    const y1 = !(after[at] & bit) ? m : next & bit ? height + 2 : height - 3;
    boxes += `M${x - 3} ${y0}h6V${y1}h-6z`;
  }
  let body = rect(lines.boundary - 3, 0, 6, height, "url(#ground)") + line(lines.boundary - 3, 0, lines.boundary - 3, height, "bound", 1.5);
  if (future) body += path(drawn.user, "none", "ink3", {dash: "2 4"});
  else body += path(drawn.user, "none", "user") + path(drawn.kern, "none", "kern");
  if (boxes) body += path(boxes, ground, future ? "ink3" : "kern", {dash: future ? "2 2" : ""});
  return body + arrow(story, moment, lines, m, when, ground);
}

function arrow(story, moment, lines, m, when, ground) {
  const future = when === "future";
  const now = when === "now";
  let [from, to] = [moment.from, moment.to];
  let words = moment.label || "";
  const refusal = moment.kind === "refusal" && !future;
  // A system call or callback that is refused: the answer goes back to whoever asked.
  const answer = moment.kind === "refusal" && Boolean(moment.back);
  if (answer) [from, to] = [to, from];
  const who = [from, to].find((id) => lines.users.has(id) && place(lines, id) === OTHERS);
  [from, to] = [place(lines, from), place(lines, to)];
  if (!from || !to) return "";
  const loss = moment.world === "loss";
  const back = moment.kind === "return" || answer;
  const colour = future ? "ink3" : loss ? "loss" : moment.world === "data" ? "data" : "ink2";
  const ink = colour === "ink2" ? "ink" : colour;
  const weight = now || (loss && !future) ? 600 : 400;
  const [xa, xb] = [lines.xs.get(from), lines.xs.get(to)];
  if (xa === xb) return dot(xa, m, words, {loss, colour, ink, ground, weight, room: lines.room});
  const d = xb > xa ? 1 : -1;
  const user = (id) => lines.users.has(id) || id === OTHERS;
  const x1 = xa + d * (user(from) ? 1 : 4);
  const x2 = xb - d * (user(to) ? 1 : 4);
  const heavy = now || moment.world === "data" ? 2 : 1.25;
  let body = "";
  const badge = (x) => circle(x, m, 7.5, ground, colour, 1.75) + cross(x, m, 3, colour, 1.75);
  if (refusal && !answer) body += line(x1, m, x2 - d * 15, m, colour, heavy) + badge(x2 - d * 8);
  else body += line(x1, m, x2 - d * (back ? 1 : 5), m, colour, future ? 1 : heavy, back || future ? "4 3" : "") + tip(x2, m, d, 0, colour, 4.5, back);
  if (refusal && answer) body += badge(x1 + d * 8);
  const crossing = xa < lines.boundary !== xb < lines.boundary;
  if (crossing) body += circle(lines.boundary, m, 3.5, ground, colour, 1.5);
  const lifted = refusal && !answer && now;
  const y = lifted ? m - 12 : m;
  let [low, high] = [Math.min(xa, xb), Math.max(xa, xb)];
  if (refusal && !lifted && !crossing) {
    // Beside the cross, not over it.
    if (answer === d > 0) low += 15;
    else high -= 15;
  }
  if (crossing) {
    const near = Math.max(low, lines.lastUser);
    const whole = who ? `${lines.names.get(who)} ${words}` : words;
    if (who && wide(whole) <= lines.boundary - low - 18) words = whole;
    const left = lines.boundary - near - 18 >= wide(words) ? near : low;
    body += plated((left + lines.boundary) / 2 - (back ? 0 : 2), y, words, ink, ground, lines.boundary - left - 18, weight);
    if (moment.via && wide(moment.via) <= high - lines.boundary - 18) body += plated((lines.boundary + high) / 2, y, moment.via, ink, ground, high - lines.boundary - 22, weight);
  } else if (high < lines.boundary && wide(words) > high - low - 20) {
    const free = lines.boundary - high - 16; // between two processes: behind the arrow
    body += plated(high + 8 + Math.min(wide(label(words, free)), free) / 2, y, words, ink, ground, free, weight);
  } else if (!lifted && wide(words) > high - low - 20 && high - low < 100 && low - lines.boundary > wide(words) + 60) {
    body += plated(low - wide(words) / 2 - 8, y, words, ink, ground, wide(words), weight); // beside a short arrow
  } else body += plated((low + high) / 2 + (lifted ? 8 : 0), y, words, ink, ground, high - low - 20, weight);
  if (lifted && moment.errno) {
    const end = x2 - d * 8;
    body += path(`M${end} ${m + 8}V${m + 26}H${x1}`, "none", colour, {width: 1.5, dash: "4 3"}) + tip(x1, m + 26, -d, 0, colour, 5, true);
    if (crossing) body += circle(lines.boundary, m + 26, 3.5, ground, colour, 1.5);
    body += plated((x1 + end) / 2 + 4, m + 42, `\u2192 ${moment.errno}`, colour, ground, Math.abs(x1 - end), 600);
  }
  return body;
}

// What a lifeline does by itself.
function dot(x, m, words, {loss, colour, ink, ground, weight, room}) {
  const w = Math.min(wide(words), 156);
  const side = x < room - w - 24 ? 1 : -1;
  const mark = loss ? circle(x, m, 7.5, ground, colour, 1.75) + cross(x, m, 3, colour, 1.75) : circle(x, m, 3, colour);
  return mark + plated(x + side * (12 + w / 2), m, words, ink, ground, 156, weight);
}
