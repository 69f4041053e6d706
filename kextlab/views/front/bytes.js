// Bytes and the fields they hold: two tables that point at each other.

import {count, escaped} from "./marks.js";

const ROWS = 14; // of eight bytes: what is shown of a long payload

const hex = (v, digits) => v.toString(16).padStart(digits, "0");

function value(bytes, [, offset, size, type, said]) {
  if (said !== undefined) return said; // whoever wrote the document knew more than the bytes
  if (offset + size > bytes.length) return "not carried";
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, size);
  const number = (at, wide) => (wide === 1 ? view.getUint8(at) : wide === 2 ? view.getUint16(at, true) : wide === 4 ? view.getUint32(at, true) : view.getBigUint64(at, true));
  const plain = /^([ui])(8|16|32|64)$/.exec(type);
  if (plain) {
    const wide = plain[2] / 8;
    let v = number(0, wide);
    if (plain[1] === "i") v = wide === 8 ? BigInt.asIntN(64, v) : (v << (32 - plain[2])) >> (32 - plain[2]);
    return String(v).replace(/\B(?=(\d{3})+$)/g, ",");
  }
  const list = /^[ui](8|16|32)\[(\d+)\]$/.exec(type);
  if (list) {
    const wide = list[1] / 8;
    const all = Array.from({length: Number(list[2])}, (_, i) => number(i * wide, wide));
    return all.every((v) => !v) ? "all 0" : all.join(", ");
  }
  if (/^char/.test(type)) {
    const end = bytes.indexOf(0, offset);
    const stop = end < 0 || end > offset + size ? offset + size : end;
    return `"${[...bytes.subarray(offset, stop)].map((c) => (c > 31 && c < 127 ? String.fromCharCode(c) : "\u00b7")).join("")}"`;
  }
  return `${count(size)} B`;
}

const long = {u8: "u8", u16: "u16", u32: "u32", u64: "u64"};

// The fields of a struct and the bytes below; `total` is the true length.
export function tables(bytes, total, fields, name) {
  const shown = bytes.subarray(0, ROWS * 8);
  const of = new Array(shown.length).fill(-1);
  (fields || []).forEach(([, offset, size], i) => {
    for (let at = offset; at < Math.min(offset + size, shown.length); at++) of[at] = i;
  });
  let body = "";
  if (fields && fields.length) {
    const rows = fields.map(([field, offset, size, type], i) =>
      `<tr data-f="${i}" tabindex="${i ? -1 : 0}" aria-label="${escaped(`${field}, ${size} bytes at offset ${offset}: ${value(bytes, fields[i])}`)}"><td class="off">${hex(offset, 3)}</td><th scope="row">${escaped(field)}</th><td class="type">${long[type] || escaped(type)}</td><td class="value${value(bytes, fields[i]).length > 12 ? " long" : ""}">${escaped(value(bytes, fields[i]))}</td></tr>`);
    // Values in words may be long: those stand below the name of their field.
    const told = fields.some((one) => one.length > 4) ? " told" : "";
    body += `<table class="fields${told}"><caption class="sr">Fields of ${escaped(name)}</caption><tbody>${rows.join("")}</tbody></table>`;
  }
  let lines = "";
  for (let at = 0; at < shown.length; at += 8) {
    let [left, right] = ["", ""];
    const end = Math.min(at + 8, shown.length);
    for (let i = at; i < end; ) {
      let stop = i + 1;
      while (stop < end && of[stop] === of[i]) stop++;
      let [h, a] = ["", ""];
      for (let j = i; j < stop; j++) {
        h += (j > i ? (j - at === 4 ? "  " : " ") : "") + hex(shown[j], 2);
        a += shown[j] > 31 && shown[j] < 127 ? escaped(String.fromCharCode(shown[j])) : "\u00b7";
      }
      if (i > at) left += i - at === 4 ? "  " : " ";
      left += of[i] < 0 ? h : `<span data-f="${of[i]}">${h}</span>`;
      right += of[i] < 0 ? a : `<span data-f="${of[i]}">${a}</span>`;
      i = stop;
    }
    if (end - at < 8) left += "   ".repeat(8 - end + at) + (end - at <= 4 ? " " : "");
    lines += `<span class="off">${hex(at, 3)}</span>  ${left}  <span class="ascii">${right}</span>\n`;
  }
  const rest = total - shown.length;
  const more = rest > 0 ? `<div class="more">${hex(shown.length, 3)}\u2013${hex(total - 1, 3)}, ${count(rest)} bytes more</div>` : "";
  return `${body}<div class="hex" role="group" aria-label="${count(total)} bytes" tabindex="0"><pre>${lines}</pre>${more}</div>`;
}

// Fields and bytes light up together, whichever of them the pointer or the focus is on.
export function linked(root) {
  const light = (event) => {
    const hit = event.target.closest ? event.target.closest("[data-f]") : null;
    const wanted = hit && root.contains(hit) ? hit.dataset.f : null;
    if (root.lit === wanted) return;
    root.lit = wanted;
    for (const node of root.querySelectorAll("[data-f]")) node.classList.toggle("on", node.dataset.f === wanted);
  };
  for (const kind of ["pointerover", "focusin"]) root.addEventListener(kind, light);
  root.addEventListener("pointerleave", () => light({target: root}));
  root.addEventListener("focusout", () => light({target: root}));
}

// No field is lit any more: the rows are about to hold others.
export function dark(root) {
  root.lit = null;
  for (const node of root.querySelectorAll("[data-f].on")) node.classList.remove("on");
}

// Up and down through the fields, or through the fields' bytes when the bytes have the focus.
export function along(root, here, down) {
  const rows = [...root.querySelectorAll("tr[data-f]")];
  if (!rows.length) return false;
  if (here.matches("tr[data-f]")) {
    const next = rows[rows.indexOf(here) + (down ? 1 : -1)];
    if (next) {
      for (const row of rows) row.tabIndex = row === next ? 0 : -1;
      next.focus({preventScroll: true});
    }
    return true;
  }
  if (!here.matches(".hex")) return false;
  const lit = root.lit === null || root.lit === undefined ? (down ? -1 : rows.length) : Number(root.lit);
  const next = Math.max(0, Math.min(rows.length - 1, lit + (down ? 1 : -1)));
  root.lit = String(next);
  for (const node of root.querySelectorAll("[data-f]")) node.classList.toggle("on", node.dataset.f === root.lit);
  return true;
}
