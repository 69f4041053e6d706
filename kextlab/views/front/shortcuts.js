// JupyterLab's shortcuts while the focus is inside Scope. Plain keys are ours, so they are kept from
// it; those with Ctrl or Cmd (to save, to run a cell) are its own and reach it.

const MARK = "data-lm-suppress-shortcuts";
const OURS = "input, select, textarea";

// JupyterLab looks for the mark on the event's target, which is the root of our shadow tree. This
// listener runs before any of the document. Returns what undoes it.
export function shortcuts(root) {
  const suppress = () => root.setAttribute(MARK, "true");
  const down = (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    const path = event.composedPath();
    if (!path.includes(root) || path[0].matches(OURS) || event.key === "c") return; // typing, copying
    root.removeAttribute(MARK);
    setTimeout(suppress);
  };
  suppress();
  window.addEventListener("keydown", down, true);
  return () => window.removeEventListener("keydown", down, true);
}
