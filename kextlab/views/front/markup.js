// Markup put into a node again and again: what stands there already is kept, and only the texts and
// attributes that differ are written. A browser lays text out anew only where it was touched.
//
// It reads what our own modules write: well-formed, attributes in double quotes, nothing void.

const TOKEN = /<(\/?)([\w-]+)([^>]*?)(\/?)>|[^<]+/g;
const ATTRIBUTE = /([\w:-]+)(?:="([^"]*)")?/g;
const ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"'};

const plain = (words) => (words.includes("&") ? words.replace(/&(?:amp|lt|gt|quot);/g, (entity) => ENTITIES[entity]) : words);

// Words put into a node that holds nothing else; the text that stands there stays, and is mended.
export function written(node, words) {
  const text = node.firstChild;
  if (!text) node.textContent = words;
  else if (text.data !== words) text.data = words;
}

export class Markup {
  constructor(node) {
    this.node = node;
    this.clear();
  }

  clear() {
    this.body = "";
    this.tree = null;
    this.node.textContent = "";
  }

  // True if anything was written.
  set(body) {
    if (body === this.body) return false;
    if (this.body) {
      const was = this.tree || parsed(this.body);
      this.tree = parsed(body);
      patch(this.node, was, this.tree);
    } else {
      this.node.innerHTML = body;
      this.tree = null;
    }
    this.body = body;
    return true;
  }
}

// A tree of {tag, attributes, children, body}; of a text only its body counts.
function parsed(body) {
  const top = [];
  const open = [];
  let list = top;
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(body); found; found = TOKEN.exec(body)) {
    const [whole, closing, tag, attributes, empty] = found;
    if (!tag) list.push({tag: "", attributes: "", children: null, body: whole});
    else if (closing) {
      const {node, from, outer} = open.pop();
      node.body = body.slice(from, TOKEN.lastIndex);
      list = outer;
    } else {
      const node = {tag, attributes, children: [], body: whole};
      list.push(node);
      if (empty) continue;
      open.push({node, from: found.index, outer: list});
      list = node.children;
    }
  }
  return top;
}

// Children that are the same at the back stay; those alike at the front, and then at the back, are
// mended; what is left between them is new.
function patch(node, was, is) {
  const least = Math.min(was.length, is.length);
  let front = 0;
  let back = 0;
  let child = node.firstChild;
  let last = node.lastChild;
  for (; back < least && was[was.length - 1 - back].body === is[is.length - 1 - back].body; back++) last = last.previousSibling;
  for (; front < least - back && was[front].tag === is[front].tag; front++) {
    mend(child, was[front], is[front]);
    child = child.nextSibling;
  }
  for (; back < least - front; back++) {
    const [old, now] = [was[was.length - 1 - back], is[is.length - 1 - back]];
    if (old.tag !== now.tag) break;
    mend(last, old, now);
    last = last.previousSibling;
  }
  for (let left = was.length - front - back; left > 0; left--) {
    const next = child.nextSibling;
    child.remove();
    child = next;
  }
  const fresh = is.slice(front, is.length - back);
  if (fresh.length) node.insertBefore(made(node, fresh.map((one) => one.body).join("")), child);
}

function mend(node, old, now) {
  if (old.body === now.body) return;
  if (!now.tag) node.data = plain(now.body);
  else {
    rewrite(node, old.attributes, now.attributes);
    patch(node, old.children, now.children);
  }
}

// New markup, read as it is read inside `node`.
function made(node, body) {
  const holder = node.cloneNode(false);
  holder.innerHTML = body;
  const fragment = document.createDocumentFragment();
  fragment.append(...holder.childNodes);
  return fragment;
}

function rewrite(node, was, is) {
  if (was === is) return;
  const old = pairs(was);
  const now = pairs(is);
  for (const [name, value] of now) if (old.get(name) !== value) node.setAttribute(name, plain(value));
  for (const name of old.keys()) if (!now.has(name)) node.removeAttribute(name);
}

function pairs(attributes) {
  const found = new Map();
  for (const [, name, value] of attributes.matchAll(ATTRIBUTE)) found.set(name, value || "");
  return found;
}
