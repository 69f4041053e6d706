// One operation of a patch on a state, and the operation that undoes it.

export function change(state, op) {
  const [at, last] = place(state, op[0]);
  if (at === undefined) return; // deleted together with what held it
  if (op.length === 1) delete at[last];
  else if (op.length === 3 && op[1] === "+") at[last].push(copied(op[2]));
  else if (op.length === 3 && op[1] === "<") at[last].splice(0, op[2]);
  else if (op.length === 3 && op[1] === "-") at[last].pop();
  else if (op.length === 3 && op[1] === ">") at[last].unshift(...op[2].map(copied));
  else at[last] = copied(op[1]);
}

// What undoes `op`, asked before it is done; null if it will do nothing.
export function inverse(state, op) {
  const [at, last] = place(state, op[0]);
  if (at === undefined) return null;
  if (op.length === 3 && op[1] === "+") return [op[0], "-", 1];
  if (op.length === 3 && op[1] === "<") return [op[0], ">", at[last].slice(0, op[2]).map(copied)];
  return last in at ? [op[0], copied(at[last])] : [op[0]];
}

function place(state, path) {
  const parts = path.split("/");
  const last = parts.pop();
  let at = state;
  for (const part of parts) {
    at = at[part];
    if (at === undefined || at === null) return [undefined, last];
  }
  return [at, last];
}

// The document stays as it came: what a patch puts in is copied, numbers and text need not be.
export function copied(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(copied);
  const copy = {};
  for (const key in value) copy[key] = copied(value[key]);
  return copy;
}
