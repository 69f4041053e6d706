// What Scope is made of before anything is drawn in it.

import {escaped} from "./marks.js";
import {ICONS, LOGO} from "./icons.js";

const NAMES = {topology: "Scene", diagram: "Space-time", log: "Log", queues: "Queues", inspector: "Bytes"};

export function frame(story, allowed) {
  const toggles = Object.entries(NAMES).filter(([part]) => allowed.includes(part))
    .map(([part, name]) => `<button data-part="${part}" aria-pressed="true">${name}</button>`).join("");
  const xnu = escaped(String(story.doc.release || "").replace(/^(xnu-\d+).*/, "$1"));
  const release = story.doc.macos ? `macOS ${escaped(story.doc.macos)}<span class="xnu"> \u00b7 ${xnu}</span>` : xnu;
  return `
<div class="top"><h1>${LOGO}<span>Scope</span></h1><span class="sub">${escaped(story.title)}</span><span class="release" title="${escaped(story.doc.release || "")}">${release}</span><span class="grow"></span>
<span class="seg parts" role="group" aria-label="Parts">${toggles}</span>
<button class="btn" data-act="export">Export</button><button class="btn theme" data-act="theme">Theme: auto</button><button class="btn" data-act="sheet" aria-label="All keys">?</button></div>
<div class="notice" role="status" hidden></div>
<div class="main"><div class="scene"></div></div>
<div class="sentence"><b class="pill"></b><div><p></p><div class="why"></div></div></div>
<div class="folds"></div>
<div class="dock"><div class="bar"></div></div>
<div class="sr live-region" aria-live="polite"></div>`;
}

export const bar = `<div class="transport" role="group" aria-label="Playing"><button data-act="first" aria-label="First event">${ICONS.first}</button><button data-act="back" aria-label="Step back">${ICONS.back}</button><button class="play" data-act="play" aria-label="Play">${ICONS.play}</button><button data-act="step" aria-label="Step">${ICONS.step}</button><button data-act="last" aria-label="Last event">${ICONS.last}</button></div>
<button class="btn speed" data-act="speed"></button><div class="where"><div class="pos"><b></b><span></span></div></div><span class="seg branches" role="group" aria-label="Branches" data-branches hidden></span><span class="grow"></span>
<div class="keys"><button data-act="back" tabindex="-1"><kbd>\u2190</kbd></button><button data-act="step" tabindex="-1"><kbd>\u2192</kbd>step</button><button data-act="play" tabindex="-1"><kbd>space</kbd>play</button><button data-act="loss" aria-label="Next refusal or loss"><kbd>n</kbd>next loss</button><button data-act="goto" aria-label="Go to a step"><kbd>g</kbd>go to</button><button data-act="branch" aria-label="Branch here"><kbd>b</kbd>branch</button><button data-act="sheet" tabindex="-1"><kbd>?</kbd>all keys</button></div>`;
