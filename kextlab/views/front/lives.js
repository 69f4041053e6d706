// What lives how long in Mach and memory: names, ports, sets, windows, objects; and when something
// happened to each. One pass over the patches, extended as they grow. A life is known by the path
// of its thing without what stands before it: "name/100/0x103", "port/3", "set/1", "win/4", "obj/1".

const KINDS = {names: "name", ports: "port", sets: "set", windows: "win", objects: "obj"};

class Life {
  constructor(key, born) {
    this.key = key;
    this.born = born;
    this.died = Infinity;
    this.touched = []; // moments
    this.drawn = true;
  }

  touch(at) {
    if (this.touched[this.touched.length - 1] !== at) this.touched.push(at);
  }
}

export class Lives {
  constructor(state) {
    this.all = []; // in order of birth
    this.now = new Map(); // alive, by key
    this.places = new Map(); // what was arranged, by kind; forgotten as the story grows
    const {mach, mem} = state;
    if (mach) {
      for (const pid in mach.names) for (const name in mach.names[pid]) this._open(`name/${pid}/${name}`, -1);
      for (const kind of ["ports", "sets"]) for (const id in mach[kind]) this._open(`${KINDS[kind]}/${id}`, -1);
    }
    if (mem) {
      for (const id in mem.windows) this._open(`win/${id}`, -1, mem.windows[id]);
      for (const id in mem.objects) this._object(id, mem.objects[id], -1);
    }
  }

  get any() {
    return this.all.length > 0;
  }

  take(path, op, at) {
    const parts = path.split("/");
    const kind = KINDS[parts[1]];
    if (!kind || parts.length < 3) return;
    const deep = kind === "name" ? 4 : 3;
    if (parts.length < deep) return; // the table itself
    const key = [kind, ...parts.slice(2, deep)].join("/");
    if (parts.length === deep) {
      this.places.clear();
      if (op.length === 1) this._close(key, at);
      else if (kind === "obj") this._object(parts[2], op[1], at);
      else this._open(key, at, op[1]);
      return;
    }
    const life = this.now.get(key);
    if (!life) return;
    life.touch(at);
    if (kind === "obj" && parts[3] === "pages" && !life.drawn) {
      life.drawn = true;
      this.places.clear();
    }
  }

  _open(key, at, value) {
    const life = new Life(key, at);
    if (value && value.pid) life.pid = String(value.pid);
    life.touch(at);
    this.all.push(life);
    this.now.set(key, life);
    return life;
  }

  // An object behind which another stands is drawn once it has a page of its own.
  _object(id, value, at) {
    this._open(`obj/${id}`, at).drawn = !value.shadow || Object.keys(value.pages).length > 0;
  }

  _close(key, at) {
    const life = this.now.get(key);
    if (!life) return;
    life.touch(at);
    life.died = at;
    this.now.delete(key);
  }

  // Lives of a kind (of a process) in places: one after another where one has ended. Places do not
  // move while one steps. A place has its keys, and when each began.
  placesOf(kind, pid = "") {
    const known = this.places.get(kind + pid);
    if (known) return known;
    const places = [];
    const mine = (life) => life.drawn && life.key.startsWith(kind + "/") && (!pid || pidOf(life) === pid);
    for (const life of this.all.filter(mine)) {
      const free = places.find((place) => place.died <= life.born);
      if (free) {
        free.keys.push(life.key);
        free.born.push(life.born);
        free.died = life.died;
      } else places.push({keys: [life.key], born: [life.born], died: life.died});
    }
    this.places.set(kind + pid, places);
    return places;
  }

  // The last moment up to `now` at which something happened to what lives; -1: none.
  last(key, now) {
    const life = this.now.get(key);
    const i = life ? upTo(life.touched, now) : 0;
    return i ? life.touched[i - 1] : -1;
  }

  // The processes that ever had a name or a window, in order of their first.
  get pids() {
    const known = this.places.get("pids");
    if (known) return known;
    const found = [...new Set(this.all.map(pidOf).filter(Boolean))];
    this.places.set("pids", found);
    return found;
  }

  // The next or previous event of one thing; null if there is none.
  event(key, at, forward) {
    const moments = this.all.filter((life) => life.key === key).flatMap((life) => life.touched);
    const found = forward ? moments.find((one) => one > at) : moments.filter((one) => one < at).pop();
    return found === undefined || found < 0 ? null : found;
  }
}

// How many of the rising numbers are at most `limit`.
export function upTo(list, limit) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

const pidOf = (life) => life.pid || (life.key.startsWith("name/") ? life.key.split("/")[1] : "");
