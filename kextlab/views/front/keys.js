// The keyboard. Keys act only while the focus is inside Scope, and none leaves it.

const typing = (node) => node && node.matches && node.matches("input, select, textarea");

export function onKey(app, event) {
  if (event.ctrlKey || event.metaKey) return; // the page's own, or JupyterLab's
  event.stopPropagation();
  if (event.altKey) return;
  const {key, shiftKey} = event;
  if (app.dialogs.open) {
    if (!typing(app.active()) && key === "?" && app.dialogs.open.dataset.name === "sheet") app.dialogs.close();
    return;
  }
  const here = app.active();
  if (typing(here)) return;
  const button = here && here.matches("button, a, summary");
  if (button && (key === " " || key === "Enter")) return; // the button's own
  if (act(app, key, shiftKey, here)) event.preventDefault();
}

function act(app, key, shift, here) {
  switch (key) {
    case "ArrowRight":
      return shift ? app.along(true) : app.step(1);
    case "ArrowLeft":
      return shift ? app.along(false) : app.step(-1);
    case "ArrowUp":
    case "ArrowDown":
      if (app.parts_.some((part) => part.key && part.key.call && typeof part.key === "function" && part.key(key))) return true;
      if (app.inspector.key_(key)) return true;
      return app.faster(key === "ArrowUp" ? 1 : -1);
    case "Home":
      return app.goto(0);
    case "End":
      return app.goto(app.story.last);
    case "PageUp":
    case "PageDown":
      if (here !== app.scrubber.el) return false;
      return app.goto(app.now + (key === "PageDown" ? 1 : -1) * Math.max(1, Math.round(app.story.last / 10)));
    case " ":
      return app.toggle();
    case "n":
    case "N":
      return app.loss(key === "n" && !shift);
    case "g":
      return app.dialogs.goto(), true;
    case "b":
      return app.dialogs.branch(), true;
    case "[":
    case "]":
      return app.turn(key === "]" ? 1 : -1);
    case "Enter":
      return app.parts_.some((part) => typeof part.key === "function" && part.key(key));
    case "Escape":
      return app.escape();
    case "i":
      return app.switch("inspector");
    case "l":
      return app.switch("log");
    case "t":
      return app.switch("diagram");
    case "e":
      return app.dialogs.export(), true;
    case "?":
      return app.dialogs.sheet(), true;
  }
  return false;
}
