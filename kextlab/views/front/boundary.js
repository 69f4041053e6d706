// The words that stand in the hatching below the boundary: as far right as nothing crosses them.

import {rect, text} from "./marks.js";
import {width} from "./measure.js";

// From where to where a curve crosses the hatching that begins upright at (x1, y1) and ends upright
// at (x2, y2).
export function crossed(m, x1, y1, x2, y2) {
  const low = (m.boundary + m.hatch - y1) / (y2 - y1);
  let t = 0;
  while (t < 1 && 1.65 * (1 - t) ** 2 * t + 1.35 * (1 - t) * t ** 2 + t ** 3 < low) t += 0.01;
  const x = x1 + (3 - 2 * t) * t ** 2 * (x2 - x1);
  return [Math.min(x, x1) - 4 * m.f, Math.max(x, x1) + 4 * m.f];
}

// The right end of the last free place that wide; null: there is none.
function free(crossing, from, end, wide) {
  let right = end;
  for (const [left, low] of [...crossing].sort((a, b) => b[1] - a[1])) {
    if (right - low >= wide) break;
    right = Math.min(right, left);
  }
  return right - from >= wide ? right : null;
}

// m: measures with boundary and hatch; crossing: what stands in the hatching, as [left, right].
export function boundaryLabel(m, crossing, from, end) {
  const {f} = m;
  const label = "syscall boundary";
  const wide = width(label, m.small, 600) + 12 * f;
  const right = free(crossing, from, end, wide);
  if (right === null) return "";
  const y = m.boundary + 1.25 * Math.min(f, 1.6);
  return rect(right - wide, y, wide, m.hatch, "kern-bg") + text(right - 6 * f, m.boundary + m.hatch * 0.5 + m.small * 0.36 + 1, label, m.small, "ink", {weight: 600, anchor: "end"});
}
