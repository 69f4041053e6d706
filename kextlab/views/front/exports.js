// Files a reader takes away: the scene as a standalone SVG, the story as JSON.

export function picture(svg, sentence, dark) {
  const copy = svg.cloneNode(true);
  const tokens = $tokens;
  for (const node of copy.querySelectorAll("[class]")) {
    for (const name of node.classList) {
      const pair = tokens[name.slice(2)];
      if (!pair) continue;
      if (name.startsWith("f-")) node.setAttribute("fill", pair[dark ? 1 : 0]);
      if (name.startsWith("k-")) node.setAttribute("stroke", pair[dark ? 1 : 0]);
    }
    node.removeAttribute("class");
  }
  for (const node of copy.querySelectorAll("*")) {
    for (const {name} of [...node.attributes]) if (/^(data-|tabindex|aria-pressed|aria-selected)/.test(name)) node.removeAttribute(name);
    if (node.getAttribute("role") && node.getAttribute("role") !== "img") node.removeAttribute("role");
    if (node.matches("line, path, circle, rect") && node.getAttribute("stroke") && !node.getAttribute("fill") && node.localName !== "line") node.setAttribute("fill", "none");
  }
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("role", "img");
  copy.setAttribute("aria-label", sentence);
  copy.setAttribute("font-family", getComputedStyle(svg).fontFamily);
  return '<?xml version="1.0" encoding="UTF-8"?>\n' + new XMLSerializer().serializeToString(copy);
}

export function download(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
