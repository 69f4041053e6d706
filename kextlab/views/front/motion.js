// What moves: only what the changes of one step name, and never for longer than there is time.

const still = matchMedia("(prefers-reduced-motion: reduce)");

export const reduced = () => still.matches;

const HURRY = 200; // ms: whoever steps again before this would see every move cut short

// How long a move of `most` ms may take; 0: no motion at all.
export function time(app, most) {
  if (still.matches || app.dragging) return 0;
  if (!app.playing && app.pace < HURRY) return 0;
  if (!app.playing) return most;
  return app.speed > 8 ? 0 : Math.min(most, 600 / app.speed);
}

// What one patch does to the queues: chips that came, chips that went, marks that appeared.
export function changes(patch, state) {
  const found = {came: [], went: [], refused: [], socks: new Set(), mach: null};
  for (const op of patch) {
    const [kind, id, field, inner] = op[0].split("/");
    if (kind === "mach" || kind === "mem") found.mach = machChange(found.mach || {came: [], went: [], rights: [], keys: []}, op, state);
    if (kind !== "socks") continue;
    found.socks.add(id);
    if (field === "mark" && op[1]) found.refused.push(id);
    if (field !== "rcv" || inner !== "q" || op.length !== 3) continue;
    if (op[1] === "+") found.came.push([id, op[2][0]]);
    else if (state.socks[id]) for (const item of state.socks[id].rcv.q.slice(0, op[2])) found.went.push([id, item[0]]);
  }
  return found;
}

// Of Mach: messages that came and went, names that appeared, everything touched.
function machChange(found, op, state) {
  const [table, kind, id, field, more] = op[0].split("/");
  if (kind === "ports" && field === "q" && op.length === 3) {
    if (op[1] === "+") found.came.push(`msg/${id}/${op[2][0]}`);
    else if (state.mach.ports[id]) found.went.push(...state.mach.ports[id].q.slice(0, op[2]).map((item) => `msg/${id}/${item[0]}`));
    found.keys.push(`port/${id}`);
  } else if (kind === "names" && field && !more && op.length === 2) {
    found.rights.push(`name/${id}/${field}`);
    found.keys.unshift(`name/${id}/${field}`);
  } else if (kind === "windows" && op.length === 2 && !field) {
    found.rights.push(`win/${id}`);
    found.keys.unshift(`win/${id}`);
  } else if (table === "mem" && kind === "objects") found.keys.push(`obj/${id}`);
  else if (kind === "ports") found.keys.push(`port/${id}`);
  return found;
}

const rectOf = (node) => ["x", "y", "width", "height"].map((name) => Number(node.getAttribute(name)));

const shape = (svg, sock, chip) => {
  const found = svg.querySelector(`[data-key="chip/${sock}/${chip}"]`);
  return found ? found.firstElementChild : null;
};

const byKey = (svg, key) => {
  const found = svg.querySelector(`[data-key="${key}"]`);
  return found ? found.querySelector("rect") : null;
};

// Before the picture changes: where the chips that leave it stand.
export function leaving(svg, found) {
  const gone = found.went.slice(0, 8).map(([sock, chip]) => shape(svg, sock, chip)).filter(Boolean).map(rectOf);
  if (found.mach) found.mach.left = found.mach.went.slice(0, 8).map((key) => byKey(svg, key)).filter(Boolean).map(rectOf);
  return gone;
}

// A box over the picture in place of a shape in it: the compositor moves it, no frame is drawn for it.
function ghost(over, [x, y, w, h], name, frames, options, node) {
  const box = document.createElement("div");
  box.className = `ghost ${name}`;
  box.style.cssText = `left:${x}px;top:${y}px;width:${w}px;height:${Math.max(2, h)}px`;
  over.append(box);
  if (node) node.style.visibility = "hidden";
  const done = () => {
    box.remove();
    if (node) node.style.visibility = "";
  };
  const move = box.animate(frames, {fill: "both", ...options});
  move.onfinish = done;
  move.oncancel = done;
}

const by = (px) => `translateY(${px}px)`;

export function play(svg, over, found, gone, g, app) {
  const f = g.f;
  const [into, out, up, draw] = [time(app, 160), time(app, 120), time(app, 180), time(app, 200)];
  if (over.firstChild) over.textContent = "";
  if (out) {
    for (const rect of gone) {
      const frames = [{transform: by(0), opacity: 1}, {transform: by(g.collar + 4 * f - rect[1]), opacity: 0.2}];
      ghost(over, rect, "chip", frames, {duration: out, easing: "ease-in"});
    }
  }
  if (into) {
    for (const [sock, chip] of found.came.slice(0, 8)) {
      const node = shape(svg, sock, chip);
      if (!node) continue;
      const rect = rectOf(node);
      ghost(over, rect, "chip", [{transform: by(g.port - rect[1] - 4 * f)}, {transform: by(0)}], {duration: into, easing: "ease-out"}, node);
      const arrow = svg.querySelector(`[data-event="${chip}"]`);
      if (arrow && draw) {
        const length = arrow.getTotalLength();
        arrow.animate([{strokeDasharray: length, strokeDashoffset: length}, {strokeDasharray: length, strokeDashoffset: 0}], {duration: draw});
      }
    }
  }
  if (up) {
    for (const sock of found.refused) {
      const node = svg.querySelector(`[data-mark="${sock}"] rect`);
      if (!node) continue;
      const rect = rectOf(node);
      const frames = [
        {transform: by(Math.max(12, g.port - rect[1] - rect[3])), easing: "ease-out"},
        {transform: by(-8 * f), offset: 0.67},
        {transform: by(0)},
      ];
      ghost(over, rect, "refused", frames, {duration: up}, node);
    }
  }
  if (found.mach) playMach(svg, over, found.mach, {into, out, draw}, g, app);
  if (still.matches && !app.dragging) outline(svg, found);
}

// A message falls into its queue from its sender, or rises to its receiver; a right's arrow and a
// window's edges are drawn from the process down.
function playMach(svg, over, mach, {into, out, draw}, g, app) {
  const moment = app.story.moments[app.now] || {};
  const boxOf = (id) => {
    const node = id && id.startsWith("proc:") && svg.querySelector(`[data-key="space/${id.slice(5)}"] rect`);
    return node ? rectOf(node) : null;
  };
  const process = boxOf(moment.from) || boxOf(moment.to);
  const way = (rect) => {
    const [x, y, w, h] = process || [rect[0], 0, rect[2], 0];
    return `translate(${x + w / 2 - rect[0] - rect[2] / 2}px, ${y + h - rect[1]}px)`;
  };
  if (out) for (const rect of mach.left || []) ghost(over, rect, "chip", [{transform: "none", opacity: 1}, {transform: way(rect), opacity: 0.2}], {duration: out, easing: "ease-in"});
  if (into) {
    for (const key of mach.came.slice(0, 8)) {
      const node = byKey(svg, key);
      if (!node) continue;
      const rect = rectOf(node);
      ghost(over, rect, "chip", [{transform: way(rect)}, {transform: "none"}], {duration: into, easing: "ease-out"}, node);
    }
  }
  if (!draw) return;
  for (const key of mach.rights.slice(0, 8)) {
    const arrow = svg.querySelector(`[data-right="${key}"], [data-ribbon="${key}"]`);
    if (!arrow || arrow.hasAttribute("stroke-dasharray")) continue;
    const length = arrow.getTotalLength();
    arrow.animate([{strokeDasharray: length, strokeDashoffset: length}, {strokeDasharray: length, strokeDashoffset: 0}], {duration: draw});
  }
}

// Without motion the changed element gets an outline for that step.
function outline(svg, found) {
  const keys = [...found.came.map(([sock, chip]) => `chip/${sock}/${chip}`), ...[...found.socks].map((id) => `sock/${id}`)];
  if (found.mach) keys.push(...found.mach.keys);
  const node = keys.map((key) => svg.querySelector(`[data-key="${key}"]`)).find(Boolean);
  if (node) node.classList.add("changed");
}
