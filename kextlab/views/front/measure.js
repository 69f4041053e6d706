// How wide text gets. San Francisco, Segoe and Liberation differ, so it is measured, not estimated.

let pen = null;
let family = "sans-serif";
const advances = new Map();

export function setFamily(element) {
  const found = getComputedStyle(element).fontFamily;
  if (found && found !== family) {
    family = found;
    advances.clear();
  }
}

// Advance widths of the printable ASCII letters at 100 px, so that long texts cost no measuring.
function table(weight) {
  let widths = advances.get(weight);
  if (!widths) {
    pen = pen || document.createElement("canvas").getContext("2d");
    pen.font = `${weight} 100px ${family}`;
    widths = new Float32Array(128);
    for (let c = 32; c < 127; c++) widths[c] = pen.measureText(String.fromCharCode(c)).width / 100;
    widths[0] = pen.measureText("\u2026").width / 100;
    advances.set(weight, widths);
  }
  return widths;
}

export function width(words, size, weight = 400) {
  const widths = table(weight);
  let sum = 0;
  for (let i = 0; i < words.length; i++) {
    const c = words.charCodeAt(i);
    sum += c < 127 ? widths[c] : 0.75;
  }
  return sum * size;
}

// The words, cut in the middle so that they are no wider than `room`; the whole stands in a title.
export function fit(words, room, size, weight = 400) {
  if (width(words, size, weight) <= room) return words;
  for (let keep = words.length - 1; keep > 1; keep--) {
    const head = Math.ceil(keep / 2);
    const short = words.slice(0, head) + "\u2026" + words.slice(words.length - (keep - head));
    if (width(short, size, weight) <= room) return short;
  }
  return "\u2026";
}

// How many lines a paragraph takes, broken at spaces as a browser breaks it.
export function lines(words, room, size, weight = 400) {
  const widths = table(weight);
  const limit = room / size / 1.01;
  if (limit < 4) return 1;
  let rows = 1;
  let used = 0;
  let word = 0;
  for (let i = 0; i <= words.length; i++) {
    const c = i < words.length ? words.charCodeAt(i) : 32;
    if (c !== 32) {
      word += c < 127 ? widths[c] : 0.75;
      continue;
    }
    if (used && used + widths[32] + word > limit) {
      rows++;
      used = word;
    } else used += (used ? widths[32] : 0) + word;
    while (used > limit) {
      rows++;
      used -= limit;
    }
    word = 0;
  }
  return rows === 2 && fitsOne(words, room, size, weight) ? 1 : rows;
}

// Where a hair decides, the words are measured as a whole.
function fitsOne(words, room, size, weight) {
  if (width(words, size, weight) > room) return false;
  pen.font = `${weight} ${size}px ${family}`;
  return pen.measureText(words).width <= room - 0.5;
}
