// What the inspector says of a name, a port, a message, a port set, a window, a memory object.

import {count, some} from "./marks.js";
import {nameAt, objectAt, portAt, seenBy, setAt, windowAt} from "./machplan.js";
import {address, kindOf, portName} from "./mach.js";
import {LINE, prot, sized} from "./memory.js";
import {nameOf} from "./words.js";

const GONE = {rows: [["At this step", "it is not there"]], mark: true};

// As the inspector shows it: title, path, rows, data; `payload` makes a table of bytes.
export function machShown(key, story, payload) {
  const [kind, id, more] = key.split("/");
  const {state} = story;
  const who = (pid) => (String(pid) === "kernel" ? "the kernel" : nameOf(state, story, pid));
  const by = {name: () => nameShown(state, key, id, more, who), port: () => portShown(story, key, id, who), msg: () => messageShown(story, id, more, who, payload), set: () => setShown(state, key, id), win: () => windowShown(story, key, who, payload), obj: () => objectShown(story, key, id, who, payload)}[kind];
  return (by && by()) || {title: titleOf(kind, id, more), path: "Mach", ...GONE};
}

const titleOf = (kind, id, more) => ({name: `Name ${more}`, port: `Port ${id}`, msg: `Message ${more}`, set: `Port set ${id}`, win: "Window", obj: `Memory ${id}`})[kind];

const to = (state, port) => (port ? portName(state, port) : "a dead port");

function nameShown(state, key, pid, name, who) {
  const one = nameAt(state, key);
  if (!one) return null;
  const dead = kindOf(one, state) === "dead";
  const port = one.to.startsWith("port/") ? portAt(state, one.to) : null;
  const rows = [["Type", dead ? "DEAD_NAME" : one.type.join(", ") || "none"], ["User references", count(one.refs)]];
  if (port) rows.push(["Stands for", portName(state, one.to.slice(5))], ...(port.service ? [["Service", port.service]] : []), ["Received by", port.receiver ? who(port.receiver) : "nobody now"]);
  else if (one.to && !dead) rows.push(["Stands for", `port set ${one.to.slice(5)}`]);
  return {title: `Name ${name}`, path: `${who(pid)} \u203a names`, rows, mark: true};
}

function portShown(story, key, id, who) {
  const {state} = story;
  const port = portAt(state, key);
  if (!port) return null;
  const rows = [
    ["Receiver", port.receiver ? who(port.receiver) + (port.name ? `, as ${port.name}` : "") : port.goes ? `in a message to ${to(state, port.goes)}` : "nobody"],
    ["Messages", `${count(port.count)} of ${count(port.limit)}`],
    ["Send rights", count(port.send)],
    ["Send-once rights", count(port.once)],
    ["Make-send count", count(port.make)],
    ["Sequence number", count(port.seqno)],
    ["No-senders asked", port.told ? "yes" : "no"],
  ];
  if (port.service) rows.unshift(["Service", port.service]);
  if (port.mark) rows.push(["Last refused", `${count(port.mark[0])} B, ${port.mark[1]}`], ["Refused at", `step ${count(story.stepOf(port.mark[2]))}`, port.mark[2]]);
  if (port.sets) rows.push(["In port sets", count(port.sets)]);
  const holders = Object.entries(state.mach.names).flatMap(([pid, names]) => Object.entries(names).filter(([, one]) => one.to === key).map(([name, one]) => `${who(pid)} ${name} ${kindOf(one, state)}`));
  for (const words of holders.slice(0, 6)) rows.push(["Name", words]);
  if (holders.length > 6) rows.push(["Names more", count(holders.length - 6)]);
  const entry = Object.entries((state.mem || {entries: {}}).entries).find(([, one]) => String(one.port) === id);
  if (entry) rows.push(["Stands for", `${sized(entry[1].size)}${entry[1].object ? " of memory " + entry[1].object : ""}`], ["At most", prot(entry[1].prot)]);
  return {title: entry ? `Memory entry ${entry[0]}, port ${id}` : `Port ${id}`, path: "kernel \u203a ports", rows, mark: true};
}

function messageShown(story, id, number, who, payload) {
  const {state} = story;
  const port = state.mach && state.mach.ports[id];
  const at = port ? port.q.findIndex((item) => String(item[0]) === number) : -1;
  if (at < 0) return null;
  const [, size, data, when, ident, sender, reply, carried] = port.q[at];
  const rows = [["Place in queue", `${at + 1} of ${count(port.q.length)}`], ["msgh_id", String(ident)], ["Size", `${count(size)} B`], ["From", sender ? who(sender) : "the kernel: a notification"]];
  if (reply) rows.push(["To reply", `${reply[1]} to ${to(state, reply[0])}`]);
  for (const [thing, right] of carried) rows.push(["Carries", right === "MEMORY" ? "memory" : `${right} to ${to(state, thing)}`]);
  if (when >= 0) rows.push(["Queued at", `step ${count(story.stepOf(when))}`, when]);
  const body = size - 24;
  return {title: `Message ${number}, id ${ident}`, path: `kernel \u203a ${portName(state, id)} \u203a queue`, rows, mark: true, data: data >= 0 ? payload([data, body], null, "Body") : ""};
}

function setShown(state, key, id) {
  const set = setAt(state, key);
  if (!set) return null;
  const rows = set.members.map((port) => ["Member", to(state, port)]);
  return {title: `Port set ${id}`, path: "kernel \u203a port sets", rows: rows.length ? rows : [["Members", "none"]], mark: true};
}

function windowShown(story, key, who, payload) {
  const {state} = story;
  const one = windowAt(state, key);
  if (!one) return null;
  const seen = seenBy(state, one.object);
  const rows = [["Address", address(one.start)], ["Size", sized(one.size)], ["Protection", prot(one.prot)], ["At most", prot(one.most)], ["Shows", seen ? `memory ${seen}` : "zeros nobody has touched"]];
  if (one.offset) rows.push(["From byte", count(one.offset)]);
  rows.push(["A write", one.copied ? "makes a copy first" : "is seen by whoever maps it"]);
  return {title: `Window at ${address(one.start)}`, path: `${who(one.pid)} \u203a memory`, rows, mark: true, data: pages(story, seen, payload)};
}

function objectShown(story, key, id, who, payload) {
  const {state} = story;
  const one = objectAt(state, key);
  if (!one) return null;
  const rows = [["Size", sized(one.size)], ["References", count(one.refs)], ["Pages there", count(Object.keys(one.pages).length)]];
  if (one.shadow) rows.push(["Behind it", `memory ${one.shadow}`]);
  const windows = Object.values(state.mem.windows).filter((window) => seenBy(state, window.object) === id);
  for (const window of windows.slice(0, 6)) rows.push(["Window", `${who(window.pid)} at ${address(window.start)}, ${prot(window.prot)}`]);
  return {title: `Memory ${id}`, path: "kernel \u203a memory objects", rows, mark: true, data: pages(story, id, payload)};
}

// The bytes that changed last, of the page that changed last.
function pages(story, id, payload) {
  const object = id && story.state.mem.objects[id];
  const last = object && Object.entries(object.pages).sort((a, b) => b[1][2] - a[1][2])[0];
  return last ? payload([last[1][1], LINE], null, `Page ${last[0]}, from byte ${count(last[1][0])}`) : "";
}
