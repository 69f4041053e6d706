// What moves: only what the changes of one step name, and never for longer than there is time.

const still = matchMedia("(prefers-reduced-motion: reduce)");

export const reduced = () => still.matches;

// How long a move of `most` ms may take; 0: no motion at all.
export function time(app, most) {
  if (still.matches || app.dragging) return 0;
  if (!app.playing) return most;
  return app.speed > 8 ? 0 : Math.min(most, 600 / app.speed);
}

// What one patch does to the queues: chips that came, chips that went, marks that appeared.
export function changes(patch, state) {
  const found = {came: [], went: [], refused: [], socks: new Set()};
  for (const op of patch) {
    const [kind, id, field, inner] = op[0].split("/");
    if (kind !== "socks") continue;
    found.socks.add(id);
    if (field === "mark" && op[1]) found.refused.push(id);
    if (field !== "rcv" || inner !== "q" || op.length !== 3) continue;
    if (op[1] === "+") found.came.push([id, op[2][0]]);
    else if (state.socks[id]) for (const item of state.socks[id].rcv.q.slice(0, op[2])) found.went.push([id, item[0]]);
  }
  return found;
}

const shape = (svg, sock, chip) => {
  const found = svg.querySelector(`[data-key="chip/${sock}/${chip}"]`);
  return found ? found.firstElementChild : null;
};

// Before the picture changes: copies of the chips that leave, to be animated over it.
export function leaving(svg, found) {
  return found.went.slice(0, 8).map(([sock, chip]) => shape(svg, sock, chip)).filter(Boolean).map((node) => node.cloneNode(true));
}

export function play(svg, over, found, ghosts, g, app) {
  const f = g.f;
  const [into, out, up, draw] = [time(app, 160), time(app, 120), time(app, 180), time(app, 200)];
  if (out) {
    for (const ghost of ghosts) {
      over.append(ghost);
      const away = Number(ghost.getAttribute("y")) - g.collar - 4 * f;
      const move = ghost.animate([{transform: "none", opacity: 1}, {transform: `translateY(${-away}px)`, opacity: 0.2}], {duration: out, easing: "ease-in"});
      move.onfinish = move.oncancel = () => ghost.remove();
    }
  }
  if (into) {
    for (const [sock, chip] of found.came.slice(0, 8)) {
      const node = shape(svg, sock, chip);
      if (!node) continue;
      const way = g.port - Number(node.getAttribute("y")) - 4 * f;
      node.animate([{transform: `translateY(${way}px)`}, {transform: "none"}], {duration: into, easing: "ease-out"});
      const arrow = svg.querySelector(`[data-event="${chip}"]`);
      if (arrow && draw) {
        const length = arrow.getTotalLength();
        arrow.animate([{strokeDasharray: length, strokeDashoffset: length}, {strokeDasharray: length, strokeDashoffset: 0}], {duration: draw});
      }
    }
  }
  if (up) {
    for (const sock of found.refused) {
      const node = svg.querySelector(`[data-mark="${sock}"]`);
      if (!node) continue;
      const way = g.inlet * 0.5;
      node.animate(
        [{transform: `translateY(${way}px)`, easing: "ease-out"}, {transform: `translateY(${-8 * f}px)`, offset: 0.67}, {transform: "none"}],
        {duration: up},
      );
    }
  }
  if (still.matches && !app.dragging) outline(svg, found);
}

// Without motion the changed element gets an outline for that step.
function outline(svg, found) {
  const keys = [...found.came.map(([sock, chip]) => `chip/${sock}/${chip}`), ...[...found.socks].map((id) => `sock/${id}`)];
  const node = keys.map((key) => svg.querySelector(`[data-key="${key}"]`)).find(Boolean);
  if (node) node.classList.add("changed");
}
