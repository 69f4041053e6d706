// A group whose children are known by key; of each is rewritten only what differs. A child may be
// text, or attributes and pieces of its own.

import {Markup} from "./markup.js";

export const NS = "http://www.w3.org/2000/svg";

const made = () => document.createElementNS(NS, "g");

function fresh() {
  const node = made();
  return {node, markup: new Markup(node), layer: null, attributes: {}};
}

// What goes makes room for what comes in its place, if they are of a kind: much of the two is alike.
function heir(gone, key, body) {
  const kind = (of) => of.slice(0, of.indexOf("/"));
  const at = gone.findIndex(([old, child]) => kind(old) === kind(key) && Boolean(child.layer) === (typeof body !== "string"));
  return at < 0 ? null : gone.splice(at, 1)[0][1];
}

export class Layer {
  constructor(parent) {
    this.node = made();
    parent.append(this.node);
    this.children = new Map();
  }

  show(pieces) {
    const wanted = pieces.filter((piece) => piece[1]);
    const keys = new Set(wanted.map((piece) => piece[0]));
    const gone = [];
    for (const [key, child] of this.children) {
      if (keys.has(key)) continue;
      gone.push([key, child]);
      this.children.delete(key);
    }
    let before = null;
    for (const [key, body] of wanted) {
      let child = this.children.get(key);
      if (!child) this.children.set(key, (child = heir(gone, key, body) || fresh()));
      if (typeof body !== "string") this.nested(child, body);
      else {
        if (child.layer) {
          child.markup.clear();
          for (const name in child.attributes) child.node.removeAttribute(name);
        }
        child.layer = null;
        child.markup.set(body);
      }
      const place = before ? before.nextSibling : this.node.firstChild;
      if (child.node !== place) this.node.insertBefore(child.node, place);
      before = child.node;
    }
    for (const [, child] of gone) child.node.remove();
  }

  nested(child, {attributes, pieces}) {
    if (!child.layer) {
      child.markup.clear();
      child.layer = new Layer(child.node);
      child.attributes = {};
    }
    for (const name in attributes) {
      if (child.attributes[name] === attributes[name]) continue;
      child.node.setAttribute(name, attributes[name]);
      child.attributes[name] = attributes[name];
    }
    child.layer.show(pieces);
  }
}
