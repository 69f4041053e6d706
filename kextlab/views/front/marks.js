// The marks every picture is drawn with, as SVG text. Colours are named by token and come by class.

const round = (v) => Math.round(v * 100) / 100;

export const escaped = (s) =>
  String(s).replace(/[&<>"]/g, (c) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);

// 8,192: what a reader reads.
export const count = (v) => {
  const digits = String(Math.trunc(v));
  return digits.length < 4 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, ",");
};

export const some = (n, noun, plural = noun + "s") => `${n ? count(n) : "no"} ${n === 1 ? noun : plural}`;

function paint(fill, stroke, o) {
  const classes = [];
  let plain = "";
  for (const [letter, name, attribute] of [["f", fill, "fill"], ["k", stroke, "stroke"]]) {
    if (!name) continue;
    if (name === "none" || name.startsWith("url(")) plain += ` ${attribute}="${name}"`;
    else classes.push(`${letter}-${name}`);
  }
  if (o.cls) classes.push(o.cls);
  return (
    (classes.length ? ` class="${classes.join(" ")}"` : "") + plain +
    (stroke && o.width && o.width !== 1 ? ` stroke-width="${round(o.width)}"` : "") +
    (o.dash ? ` stroke-dasharray="${o.dash}"` : "") + (o.more ? " " + o.more : "")
  );
}

export const rect = (x, y, w, h, fill = "none", stroke = "", o = {}) =>
  `<rect x="${round(x)}" y="${round(y)}" width="${round(Math.max(0, w))}" height="${round(Math.max(0, h))}"` +
  `${o.radius ? ` rx="${round(o.radius)}"` : ""}${paint(fill, stroke, o)}/>`;

export const line = (x1, y1, x2, y2, stroke, width = 1, dash = "", o = {}) =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"${paint("", stroke, {...o, width, dash})}/>`;

export const path = (d, fill = "none", stroke = "", o = {}) => `<path d="${d}"${paint(fill, stroke, o)}/>`;

export const circle = (x, y, r, fill = "none", stroke = "", width = 1) =>
  `<circle cx="${round(x)}" cy="${round(y)}" r="${round(r)}"${paint(fill, stroke, {width})}/>`;

// Text with its base line at y; o: weight, anchor, mono, more.
export const text = (x, y, words, size, colour = "ink", o = {}) =>
  `<text x="${round(x)}" y="${round(y)}" font-size="${round(size)}"` +
  `${o.weight ? ` font-weight="${o.weight}"` : ""}${o.anchor ? ` text-anchor="${o.anchor}"` : ""}` +
  `${paint(colour, "", {cls: o.mono ? "mono" : "", more: o.more})}>${escaped(words)}</text>`;

export const group = (body, title = "", attributes = "") =>
  `<g${attributes ? " " + attributes : ""}>${title ? `<title>${escaped(title)}</title>` : ""}${body}</g>`;

// The mark of a refusal or a loss.
export const cross = (x, y, s, colour = "loss", width = 2) =>
  path(crossed(x, y, s), "none", colour, {width, more: 'stroke-linecap="round"'});

// Its strokes alone, where many are one path.
export const crossed = (x, y, s) =>
  `M${round(x - s)} ${round(y - s)}L${round(x + s)} ${round(y + s)}M${round(x + s)} ${round(y - s)}L${round(x - s)} ${round(y + s)}`;

// An arrow head with its tip at x, y that points along dx, dy.
export function tip(x, y, dx, dy, colour, s = 5, open = false) {
  const [bx, by] = [x - dx * s * 1.5, y - dy * s * 1.5];
  const [px, py] = [-dy * s * 0.72, dx * s * 0.72];
  const d = `M${round(bx + px)} ${round(by + py)}L${round(x)} ${round(y)}L${round(bx - px)} ${round(by - py)}`;
  return open ? path(d, "none", colour, {width: 1.5}) : path(d + "Z", colour);
}

// The step number of a moment: black, wherever it stands.
export function pill(x, y, words, size, o = {}) {
  const h = o.height || size * 1.55;
  const w = Math.max(h, String(words).length * size * 0.58 + size * 1.1);
  const left = o.anchor === "end" ? x - w : o.anchor === "start" ? x : x - w / 2;
  return (
    rect(left, y - h / 2, w, h, "ink", "", {radius: h / 2}) +
    text(left + w / 2, y + size * 0.36, words, size, "paper", {weight: 600, anchor: "middle"})
  );
}

export const hatch = (id, colour, ground, width) =>
  `<pattern id="${id}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
  `${ground ? rect(0, 0, 6, 6, ground) : ""}${line(0, 0, 0, 6, colour, width)}</pattern>`;

export const definitions = (p) =>
  `<defs>${hatch(p + "ground", "bound", "", 1.4)}${hatch(p + "loss", "loss", "loss-bg", 1.6)}` +
  `${hatch(p + "panic", "loss", "", 2)}<pattern id="${p}stream" width="4" height="4" patternUnits="userSpaceOnUse">` +
  `${rect(0, 0, 4, 4, "data-bg")}${line(2, 0, 2, 4, "data")}</pattern></defs>`;

// The mark of a world in the log: calls rise, callbacks hang, data cross, losses are crossed out.
export function worldmark(world) {
  const shape = {
    user: line(5, 9, 5, 2, "user", 2),
    kern: line(5, 5, 5, 12, "kern", 2),
    data: line(5, 3, 5, 11, "data", 2) + line(1.5, 7, 8.5, 7, "data", 2),
    loss: cross(5, 7, 3.2),
  }[world];
  return `<svg class="world" width="10" height="14" viewBox="0 0 10 14" aria-hidden="true">${shape || ""}</svg>`;
}
