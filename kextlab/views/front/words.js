// A socket, a control, an event in words: for labels, for the inspector, for whoever cannot see.

import {count, some} from "./marks.js";

export const short = (name) => name.slice(name.lastIndexOf(".") + 1) || name;

export const fds = (sock) => "fd " + sock.fds.join(", ");

export const nameOf = (state, story, pid) => {
  const proc = state.procs[pid];
  return proc ? proc.name : (story.series.procs.get(String(pid)) || {name: "a process"}).name;
};

export const unitOf = (sock) => (sock.type === "events" ? "events" : sock.unit ? `unit ${sock.unit}` : sock.state);

export const isStream = (sock) => sock.type === "SOCK_STREAM" || sock.type === "AF_UNIX stream";

// One end of a pipe between local sockets: who holds it, and as what.
export function endOf(state, story, id) {
  const sock = state.socks[id];
  if (!sock) return "a closed socket";
  return sock.fds.length ? `${nameOf(state, story, sock.pid)} ${fds(sock)}` : "a connection not accepted yet";
}

// Whom a local socket sends to, "" if to nobody.
export const peerOf = (state, story, sock) => (sock.local.peer && state.socks[sock.local.peer] ? endOf(state, story, sock.local.peer) : "");

function localKind(sock, state, story) {
  const {path, waiting, limit} = sock.local;
  const named = path ? `, ${path}` : "";
  if (limit) return `local socket that listens${named}: ${waiting.length} of ${some(limit, "connection")} wait`;
  const peer = peerOf(state, story, sock);
  return `local ${isStream(sock) ? "stream" : "datagram"} socket${peer ? " to " + peer : ", " + sock.state}${named}`;
}

export function said(sock, state, story) {
  const rcv = sock.rcv;
  if (sock.state === "listening") return `${nameOf(state, story, sock.pid)}, ${fds(sock)}, ${localKind(sock, state, story)}`;
  const kind = sock.type === "events" ? "event socket" : sock.local ? localKind(sock, state, story) : unitOf(sock);
  const records = isStream(sock) ? "bytes of a stream" : `bytes in ${some(rcv.q.length, sock.type === "events" ? "event" : "datagram")}`;
  let words = `${nameOf(state, story, sock.pid)}, ${fds(sock)}, ${kind}: ${count(rcv.cc)} of ${count(rcv.hiwat)} ${records}`;
  if (rcv.hiwat && rcv.cc >= rcv.hiwat) words += ", full";
  if (sock.mark) words += `, ${count(sock.mark[0])} bytes ${sock.mark[1] === "lost" ? "lost" : "refused with " + sock.mark[1]}`;
  return words;
}

const machOf = ({mach, mem}) =>
  (mach ? some(Object.keys(mach.ports).length, "port") + ", " : "") + (mem ? some(Object.keys(mem.objects).length, "memory object") + ", " : "");

export function scene(state, story) {
  const socks = Object.values(state.socks);
  const connected = socks.filter((sock) => sock.state === "connected").length;
  const events = socks.filter((sock) => sock.type === "events").length;
  return (
    `Topology: ${some(Object.keys(state.procs).length, "process", "processes")}, ` +
    `${machOf(state)}${some(Object.keys(state.ctls).length, "kernel control")}, ${some(connected - (connected ? 0 : 0), "connection")}` +
    `${events ? " and " + some(events, "event socket") : ""}${state.panic ? ". The kernel has panicked: " + state.panic : ""}`
  );
}

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

// What a record of an event socket says of itself: its id, and what happened where that is known.
export function eventOf(bytes) {
  if (!bytes || bytes.length < 24) return null;
  const at = view(bytes);
  const [vendor, cls, sub, id, code] = [4, 8, 12, 16, 20].map((o) => at.getUint32(o, true));
  const known = vendor === 1 && cls === 3 && sub === 2 ? {1: "registered", 2: "deregistered"}[code] : "";
  const of = known && bytes.length >= 28 ? `ctl_id ${at.getUint32(24, true)}` : "";
  return {id, what: known || `code ${code}`, of: of || `${vendor} / ${cls} / ${sub}`};
}

export const PROVENANCE = {recorded: "recorded", ported: "ported", documented: "documented only"};
