// The part of the scene that shows Mach and memory: its ground, and everything on it in order.

import {group, line, rect, text} from "./marks.js";
import {width} from "./measure.js";
import {boundaryLabel} from "./boundary.js";
import {planOf} from "./machplan.js";
import {boxes, rights, spaces, wires} from "./mach.js";
import {objects, ribbons, windowCell} from "./memory.js";
import {pipes} from "./world.js";

const LEAST = 420; // px beside the lanes; in less it stands below them

// Where it goes: alone, beside the lanes that end at `end`, or below them.
export function placed(c, kctl, end, high) {
  const {room, g} = c;
  if (!kctl) return planOf(c.story, c.state, c, 0, 0, room);
  if (!c.plain && room - end - 16 * g.f >= LEAST * g.f) return {...planOf(c.story, c.state, c, end + 8 * g.f, 0, room - end - 8 * g.f, g.boundary, g.height), beside: true};
  return {...planOf(c.story, c.state, c, 0, high, room), under: true};
}

// What the patch of this moment touched, as keys.
export function touchedIn(patch) {
  const found = new Set();
  for (const [path] of patch || []) {
    const [table, kind, id, more] = path.split("/");
    if (table === "mach") found.add(kind === "names" ? `name/${id}/${more}` : `${kind === "ports" ? "port" : "set"}/${id}`);
    else if (table === "mem" && id) found.add(`${kind === "objects" ? "obj" : kind === "windows" ? "win" : "entry"}/${id}`);
  }
  return found;
}

function ground(c, m) {
  const {f} = m;
  const {p, state} = c;
  const end = m.x + m.room;
  let body = "";
  if (!m.beside) {
    body += rect(m.x, m.y, m.room, m.boundary - m.y, "user-bg") + rect(m.x, m.boundary, m.room, m.y + m.height - m.boundary, "kern-bg");
    if (state.panic) body += group(rect(m.x, m.boundary, m.room, m.y + m.height - m.boundary, `url(#${p}panic)`), "", 'opacity=".15"');
    const spaced = 'letter-spacing=".06em"';
    const foot = m.y + m.height - 10 * f;
    body += text(m.x + 12 * f, m.user, "USER SPACE", m.small, "user", {weight: 700, more: spaced});
    body += text(m.x + 12 * f, foot, "KERNEL", m.small, "kern", {weight: 700, more: spaced});
    const from = m.x + 22 * f + width("USER SPACE", m.small, 700) * 1.09;
    const about = ["a name stands for rights to a port: R receives, S sends, O sends once", "R receives, S sends, O sends once"].find((words) => from + width(words, m.small) < end - (m.hidden && !m.rest ? 90 : 12) * f);
    if (about) body += text(from, m.user, about, m.small, "ink2");
    const low = m.x + 22 * f + width("KERNEL", m.small, 700) * 1.09;
    const below = ["ports are queues of messages; a memory object is seen through windows", "ports, and memory with its windows"].find((words) => low + width(words, m.small) < end - 12 * f);
    if (below) body += text(low, foot, below, m.small, "ink2");
    const w = Math.min(f, 1.6);
    body += rect(m.x, m.boundary, m.room, m.hatch, `url(#${p}ground)`) + line(m.x, m.boundary, end, m.boundary, "bound", 2.5 * w);
    if (m.hidden && !m.rest) {
      const more = `+${m.hidden} ${m.hidden === 1 ? "process" : "processes"}`;
      body += text(end - 12 * f, m.user, more, m.small, "ink", {anchor: "end", weight: 600});
    }
  }
  return group(body, "");
}

// Three lists of pieces for the three layers of the scene.
export function machPieces(c, m, columns) {
  c.touchedNow = touchedIn(c.story.patches[c.now]);
  const crossing = m.beside ? pipes(columns, c.state, c.g) : []; // from where to where something crosses the boundary
  const between = [...ribbons(c, m, crossing), ...rights(c, m, crossing), ...wires(c, m)];
  const label = m.beside || m.room > 560 * m.f ? boundaryLabel(m, crossing, 0, m.x + m.room) : "";
  return [
    [["mach/ground", ground(c, m) + label]],
    between,
    [...boxes(c, m), ...objects(c, m), ...spaces(c, m, windowCell)],
  ];
}
