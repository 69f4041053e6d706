// The few icons: of the controls, of provenance, and the mark of Scope itself.

import {line, rect} from "./marks.js";

const solid = (d) =>
  `<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path d="${d}" fill="currentColor" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round"/></svg>`;

const half = (triangle, bar) =>
  `<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path d="${triangle}" fill="currentColor"/><path d="${bar}" stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>`;

export const ICONS = {
  first: solid("M4 3v10M13 3 6 8l7 5z"),
  back: half("M10.5 3.5 5 8l5.5 4.5z", "M13 3.5v9"),
  play: solid("M4 2.5 13 8l-9 5.5z"),
  pause: solid("M4.5 3v10h2V3zM10 3v10h2V3z"),
  step: half("M5.5 3.5 11 8l-5.5 4.5z", "M3 3.5v9"),
  last: solid("M12 3v10M3 3l7 5-7 5z"),
};

const ring = (body) => `<svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">${body}</svg>`;

const BADGES = {
  recorded: ring('<circle cx="6" cy="6" r="5" fill="currentColor"/>'),
  ported: ring('<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M6 1.75a4.25 4.25 0 0 0 0 8.5z" fill="currentColor"/>'),
  documented: ring('<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 1.6"/>'),
};

export const badge = (kind, words) => `<span class="badge">${BADGES[kind] || ""}<span>${words}</span></span>`;

export const LOGO =
  '<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">' +
  rect(2, 2, 16, 5, "none", "user", {width: 1.5, radius: 1}) + line(0, 10, 20, 10, "bound", 1.5) +
  rect(2, 13, 16, 5, "none", "kern", {width: 1.5, radius: 1}) + line(10, 7, 10, 13, "data", 2) + "</svg>";
