// The way in: mount(root, doc, host) for any page, initialize and render for anywidget.

import {App} from "./app.js";
import {unpack as unpacked} from "./unpack.js";
import {shortcuts} from "./shortcuts.js";
import {Session} from "./session.js";

export const unpack = unpacked;

let sheet = null;

// Draw a scene document into `root`. host: {live, send(message), on(callback), options: {parts,
// presenter, theme, at}}; everything in it may be left out.
export function mount(root, doc, host = {}) {
  const where = root.shadowRoot || root.attachShadow({mode: "open"});
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync($sheet);
  }
  where.adoptedStyleSheets = [sheet];
  where.textContent = "";
  const free = shortcuts(root);
  let app;
  try {
    app = new App(where, doc, host);
  } catch (error) {
    const line = document.createElement("p");
    line.setAttribute("role", "alert");
    line.textContent = error.message;
    where.replaceChildren(line);
    free();
    return {append() {}, goto() {}, addBranch() {}, veil() {}, destroy() { where.textContent = ""; }};
  }
  if (host.on) host.on((message) => app.receive(message));
  return {
    append: (more) => app.append(more),
    goto: (step) => app.gotoStep(step),
    addBranch: (branch) => app.addBranch(branch),
    veil: (step) => app.hide(step),
    receive: (message) => app.receive(message),
    destroy: () => (free(), app.destroy()),
    app,
  };
}

export async function initialize({model}) {
  const session = new Session(model, mount, unpacked);
  return () => session.close();
}

export async function render({model, el}) {
  return Session.of(model, mount, unpacked).show(el);
}
