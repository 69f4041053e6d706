// One widget model and the places it is shown in.
//
// Scope's output in a notebook is a static picture in an element marked with the model's id. When
// the model lives, Scope is mounted there and the picture hidden; when it does not (a reopened, an
// exported, a printed notebook), the picture is what there is. A widget view would be stored too and
// would read "model not found". A view is still drawn where one is asked for, inside a layout.

const MARK = "data-kextlab-scope";
const sessions = new WeakMap();

// JupyterLab clips outputs; inside a clip the scrubber could not stick to the window's lower edge.
// An output that the reader made scroll is left alone. Returns what puts everything back.
function opened(place) {
  const changed = [];
  if (!place.closest(".jp-mod-outputsScrolled")) {
    for (let node = place.parentElement; node && !node.matches(".jp-Cell, body"); node = node.parentElement) {
      if (!node.className.includes || !node.className.includes("jp-")) break;
      const {overflowX, overflowY} = getComputedStyle(node);
      if (overflowX === "visible" && overflowY === "visible") continue;
      changed.push([node, node.style.overflow]);
      node.style.overflow = "visible";
    }
  }
  return () => changed.forEach(([node, old]) => (node.style.overflow = old));
}

export class Session {
  constructor(model, mount, unpack) {
    sessions.set(model, this);
    this.model = model;
    this.mount = mount;
    this.unpack = unpack;
    this.views = new Set();
    this.later = [];
    this.queue = Promise.resolve();
    this.id = model.get("place");
    this.doc = unpack(model.get("document"));
    this.receive = (message, buffers) => this.take(message, buffers || []);
    model.on("msg:custom", this.receive);
    this.watch = new MutationObserver(() => this.look());
    if (this.id && document.body) {
      this.watch.observe(document.body, {childList: true, subtree: true});
      this.look();
    }
  }

  static of(model, mount, unpack) {
    return sessions.get(model) || new Session(model, mount, unpack);
  }

  // Places that appeared in the page, and places that went.
  look() {
    if (this.looking) return;
    this.looking = requestAnimationFrame(() => {
      this.looking = 0;
      for (const place of document.querySelectorAll(`[${MARK}="${this.id}"]`)) {
        if (![...this.views].some((view) => view.place === place)) this.attach(place);
      }
      // A notebook takes cells out of the page and puts them back; after a minute one is gone.
      for (const view of this.views) {
        if (view.place.isConnected) view.left = 0;
        else if (!view.left) view.left = performance.now();
        else if (performance.now() - view.left > 60000) this.drop(view);
      }
    });
  }

  async attach(place) {
    const view = {place};
    this.views.add(view);
    const box = document.createElement("div");
    view.handle = await this.draw(box, () => {
      place.append(box);
      for (const still of place.querySelectorAll("[data-still]")) still.hidden = true;
    });
    const undo = opened(place);
    view.undo = () => {
      undo();
      box.remove();
      for (const still of place.querySelectorAll("[data-still]")) still.hidden = false;
    };
  }

  async show(el) {
    const view = {place: el};
    this.views.add(view);
    const box = document.createElement("div");
    view.handle = await this.draw(box, () => el.append(box));
    view.undo = () => box.remove();
    return () => this.drop(view);
  }

  async draw(box, place) {
    const doc = await this.doc;
    const {model} = this;
    place();
    const handle = this.mount(box, doc, {
      live: model.get("live"),
      send: (message) => model.send(message),
      options: model.get("options"),
    });
    for (const message of this.later) handle.receive && handle.receive(message);
    return handle;
  }

  // Messages in their order, unpacked; what was added is kept for views that come later.
  take(message, buffers) {
    this.queue = this.queue.then(async () => {
      const whole = {...message};
      for (const name of ["more", "branch", "document"]) if (whole[name] === "packed") whole[name] = await this.unpack(buffers[0]);
      if (whole.file) whole.file = {...whole.file, content: buffers[0]};
      if (whole.document) return this.anew(whole.document);
      if (whole.more) this.later.push({more: whole.more});
      else if (whole.branch) this.later.push({branch: whole.branch});
      for (const view of this.views) if (view.handle && view.handle.receive) view.handle.receive(whole);
    });
  }

  // Another story: the machine was rebooted.
  async anew(doc) {
    this.doc = Promise.resolve(doc);
    this.later = [];
    for (const view of [...this.views]) {
      this.drop(view);
      this.attach(view.place);
    }
  }

  drop(view) {
    this.views.delete(view);
    if (view.handle) view.handle.destroy();
    if (view.undo) view.undo();
  }

  close() {
    this.watch.disconnect();
    this.model.off("msg:custom", this.receive);
    for (const view of [...this.views]) this.drop(view);
  }
}
