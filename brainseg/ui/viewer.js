// The viewer: 8-bit probabilities in, everything the eye needs composed here, without the server.
// Gradio calls this as a function with element, props, trigger and watch.

const root = element.querySelector(".viewer");
const find = (selector) => root.querySelector(selector);
const findAll = (selector) => [...root.querySelectorAll(selector)];
const TRUTH = [86, 180, 233];
const ERRORS = { tp: [0, 158, 115], fp: [213, 94, 0], fn: [86, 180, 233] };
const CIVIDIS = [[0, 32, 77], [60, 77, 110], [124, 123, 120], [188, 175, 111], [255, 234, 70]];
const KEPT_SLICES = 24;
const name = "viewer-" + Math.random().toString(36).slice(2); // radio buttons need one

let message = null; // the last value from the server
let slices = new Map(); // index -> decoded slice
let index = 0;
let asked = -1;
let cards = new Map(); // name -> {item, canvas, ...}
let stroke = null;
let isHurried = false;
let resting = 0;
let mine = new Set(); // slices drawn on here: the server's answer may be older than the last stroke
const look = { zoom: 1, x: 0.5, y: 0.5 }; // x, y: the middle of the window, as shares of the slice
const options = { mode: "fill", opacity: 0.45, level: null, colour: [213, 94, 0], truth: true };

// ------------------------------------------------------------------ from the server

async function grey(url) {
  const file = await (await fetch(url)).blob();
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const canvas = Object.assign(document.createElement("canvas"), bitmapSize(bitmap));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const values = new Uint8Array(pixels.length / 4);
  for (let i = 0; i < values.length; i++) values[i] = pixels[4 * i];
  return { canvas, values };
}

const bitmapSize = (bitmap) => ({ width: bitmap.width, height: bitmap.height });

async function decode(number, planes) {
  const known = slices.get(number);
  const [image, truth] = await Promise.all([
    known ? known.image : grey(planes.image).then((found) => found.canvas),
    known && mine.has(number) ? known.truth
      : planes.truth ? grey(planes.truth).then((found) => found.values.map((v) => v > 127)) : null,
  ]);
  const maps = known ? known.maps : {};
  await Promise.all(Object.entries(planes.maps).map(async ([key, url]) => {
    if (!maps[key]) maps[key] = (await grey(url)).values;
  }));
  const slice = { image, truth, maps, width: image.width, height: image.height, cache: new Map() };
  slices.delete(number);
  slices.set(number, slice);
  return slice;
}

async function receive(value) {
  if (!value || !value.id) {
    message = null;
    root.dataset.state = "empty";
    return;
  }
  const isNew = !message || message.id !== value.id;
  message = value;
  if (isNew) {
    slices = new Map();
    mine = new Set();
    index = value.index;
    Object.assign(look, { zoom: 1, x: 0.5, y: 0.5 });
    setDrawing(false);
  } else if (value.jump) index = value.index;
  asked = -1;
  const id = value.id;
  const numbers = Object.keys(value.planes).map(Number);
  numbers.sort((a, b) => Math.abs(a - index) - Math.abs(b - index));
  for (const number of numbers) {
    await decode(number, value.planes[number]);
    if (!message || message.id !== id) return; // another comparison came meanwhile
    if (number === numbers[0]) build();
  }
  for (const number of slices.keys()) {
    if (slices.size <= KEPT_SLICES) break;
    if (Math.abs(number - index) > 3 && !mine.has(number)) slices.delete(number);
  }
  draw();
}

// ------------------------------------------------------------------ from pixels to layers

const levelOf = (card) => (options.level === null ? card.level : options.level);
const maskOf = (slice, card) => layer(slice, card).mask;

function layer(slice, card) {
  const level = levelOf(card);
  const key = card.name + "@" + level;
  if (!slice.cache.has(key)) {
    if (slice.cache.size > 200) slice.cache.clear();
    const map = slice.maps[card.name];
    const mask = new Uint8Array(map.length);
    for (let i = 0; i < map.length; i++) mask[i] = map[i] > level;
    slice.cache.set(key, { mask, path: edges(mask, slice.width, slice.height), fills: {} });
  }
  return slice.cache.get(key);
}

// The border of a mask as lines along the pixels' edges: exact at every zoom.
function edges(mask, width, height) {
  const path = new Path2D();
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] > 0;
  const lines = (outer, inner, marked, add) => {
    for (let o = 0; o <= outer; o++) {
      let from = -1;
      for (let i = 0; i <= inner; i++) {
        const isEdge = i < inner && marked(o - 1, i) !== marked(o, i);
        if (isEdge && from < 0) from = i;
        if (!isEdge && from >= 0) { add(o, from, i); from = -1; }
      }
    }
  };
  lines(height, width, (y, x) => at(x, y),
    (y, a, b) => { path.moveTo(a, y); path.lineTo(b, y); });
  lines(width, height, (x, y) => at(x, y),
    (x, a, b) => { path.moveTo(x, a); path.lineTo(x, b); });
  return path;
}

function paint(slice, colourAt) {
  const canvas = Object.assign(document.createElement("canvas"),
    { width: slice.width, height: slice.height });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(slice.width, slice.height);
  for (let i = 0; i < slice.width * slice.height; i++) {
    const colour = colourAt(i);
    if (colour) {
      picture.data.set(colour, 4 * i);
      picture.data[4 * i + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

function fill(slice, card) {
  const found = layer(slice, card);
  const key = options.colour.join();
  found.fills[key] ??= paint(slice, (i) => found.mask[i] && options.colour);
  return found.fills[key];
}

function errors(slice, card) {
  const found = layer(slice, card);
  found.errors ??= paint(slice, (i) => {
    if (found.mask[i]) return slice.truth[i] ? ERRORS.tp : ERRORS.fp;
    return slice.truth[i] ? ERRORS.fn : null;
  });
  return found.errors;
}

function truthPath(slice) {
  slice.truthPath ??= edges(slice.truth, slice.width, slice.height);
  return slice.truthPath;
}

// ------------------------------------------------------------------ drawing

// The slice's size in mm where it is known, so that pixels that are not square look right.
function sides(slice) {
  const mm = message.spacing;
  const wide = mm ? message.width * mm[2] : slice.width;
  const high = mm ? message.height * mm[1] : slice.height;
  return { wide, high };
}

function prepare(canvas, slice) {
  const { wide, high } = sides(slice);
  canvas.style.aspectRatio = `${wide} / ${high}`;
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(width * high / wide));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const sx = (width / slice.width) * look.zoom;
  const sy = (height / slice.height) * look.zoom;
  context.setTransform(sx, 0, 0, sy,
    width / 2 - look.x * slice.width * sx, height / 2 - look.y * slice.height * sy);
  context.lineScale = ratio / Math.sqrt(sx * sy); // one CSS pixel, in slice pixels
  return context;
}

function stack(context, slice, card) {
  context.imageSmoothingEnabled = true;
  context.globalAlpha = 1;
  context.drawImage(slice.image, 0, 0);
  if (!slice.maps[card.name]) return;
  context.imageSmoothingEnabled = false;
  const isErrors = options.mode === "errors" && slice.truth;
  if (isErrors) {
    context.globalAlpha = Math.max(0.35, options.opacity);
    context.drawImage(errors(slice, card), 0, 0);
  } else if (options.mode !== "none") {
    if (options.mode === "fill") {
      context.globalAlpha = options.opacity;
      context.drawImage(fill(slice, card), 0, 0);
    }
    context.globalAlpha = 1;
    line(context, layer(slice, card).path, options.colour, 1.6);
  }
  context.globalAlpha = 1;
  if (slice.truth && options.truth && !isErrors) line(context, truthPath(slice), TRUTH, 1.8);
  if (isErrors) distanceLine(context, slice, card);
}

function line(context, path, colour, width) {
  context.lineCap = "square";
  context.lineWidth = (width + 1.4) * context.lineScale;
  context.strokeStyle = "rgba(0, 0, 0, .55)";
  context.stroke(path);
  context.lineWidth = width * context.lineScale;
  context.strokeStyle = `rgb(${colour})`;
  context.stroke(path);
}

// ------------------------------------------------------------------ figures of the shown slice

function border(mask, width, height) {
  const points = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (mask[i] && !(x && y && x < width - 1 && y < height - 1 && mask[i - 1] && mask[i + 1]
        && mask[i - width] && mask[i + width])) points.push([x, y]);
    }
  }
  return points;
}

function directed(from, to, dx, dy) {
  const found = from.map((a) => {
    let best = Infinity;
    let to_ = null;
    for (const b of to) {
      const d = ((a[0] - b[0]) * dx) ** 2 + ((a[1] - b[1]) * dy) ** 2;
      if (d < best) { best = d; to_ = b; }
    }
    return { distance: Math.sqrt(best), from: a, to: to_ };
  });
  found.sort((a, b) => a.distance - b.distance);
  return found[Math.ceil(0.95 * found.length) - 1];
}

// HD95 of one slice: 95 % of either border lies nearer to the other than this, and two points that
// far apart. Null where a mask is empty.
function hd95(slice, card) {
  const found = layer(slice, card);
  if (found.hd95 === undefined) {
    if (isHurried) return undefined; // a slider is moving: this follows when it rests
    const one = border(found.mask, slice.width, slice.height);
    slice.truthBorder ??= border(slice.truth, slice.width, slice.height);
    const other = slice.truthBorder;
    const mm = message.spacing;
    const dx = (mm ? mm[2] : 1) * message.width / slice.width;
    const dy = (mm ? mm[1] : 1) * message.height / slice.height;
    found.hd95 = null;
    if (one.length && other.length) {
      const pair = [directed(one, other, dx, dy), directed(other, one, dx, dy)];
      found.hd95 = pair[0].distance >= pair[1].distance ? pair[0] : pair[1];
    }
  }
  return found.hd95;
}

function distanceLine(context, slice, card) {
  const pair = hd95(slice, card);
  if (!pair) return;
  const path = new Path2D();
  path.moveTo(pair.from[0] + 0.5, pair.from[1] + 0.5);
  path.lineTo(pair.to[0] + 0.5, pair.to[1] + 0.5);
  line(context, path, [255, 255, 255], 1.6);
  for (const [x, y] of [pair.from, pair.to]) {
    const dot = new Path2D();
    dot.arc(x + 0.5, y + 0.5, 3 * context.lineScale, 0, 7);
    line(context, dot, [255, 255, 255], 1.4);
  }
}

function sliceCounts(slice, card) {
  const found = layer(slice, card);
  if (!found.counts) {
    let tp = 0, marked = 0, real = 0;
    for (let i = 0; i < found.mask.length; i++) {
      marked += found.mask[i];
      if (slice.truth && slice.truth[i]) { real++; tp += found.mask[i]; }
    }
    found.counts = { tp, fp: marked - tp, fn: real - tp, marked };
  }
  return found.counts;
}

const above = (histogram, level) => {
  let sum = 0;
  for (let i = level + 1; i < 256; i++) sum += histogram[i];
  return sum;
};

function counts(slice, card) {
  if (message.scope === "slice") return sliceCounts(slice, card);
  const level = levelOf(card);
  const marked = above(card.counts, level);
  if (!card.trueCounts) return { marked };
  const tp = above(card.trueCounts, level);
  return { marked, tp, fp: above(card.seenCounts, level) - tp, fn: card.truthPixels - tp };
}

const ratio = (part, whole) => (whole ? (part / whole).toFixed(2) : "not defined");

function size(pixels) {
  if (!pixels) return "nothing";
  if (!message.spacing) return pixels.toLocaleString("en") + " px";
  const ml = pixels * message.spacing.reduce((a, b) => a * b) / 1000;
  return ml >= 0.1 ? ml.toFixed(1) + " ml" : "under 0.1 ml";
}

// What a card says: a heading and a line. Where a figure is not defined there are words, never a 0.
function verdict(card, c) {
  if (c.tp !== undefined && (message.scope !== "slice" || message.truth)) {
    const whole = 2 * c.tp + c.fp + c.fn;
    if (!whole) return ["Both empty", "none marked, none in truth: right, but Dice is not defined"];
    if (!(c.tp + c.fn)) return ["False alarm", size(c.marked) + " marked, none in truth"];
    const missed = c.marked ? size(c.marked) + " marked" : "no tumour marked";
    return ["Dice " + (2 * c.tp / whole).toFixed(2), missed];
  }
  const estimate = (message.estimates || {})[card.name];
  const marked = size(c.marked) + " marked";
  if (!c.marked) return ["Nothing marked", card.others ? "" : "the only model"];
  if (!card.others) return [marked, "the only model: nothing to compare it with"];
  if (card.agreement === null || card.agreement === undefined) return [marked, ""];
  const own = options.level === null ? "" : ", at own thresholds";
  if (estimate) {
    return [`Dice ≈ ${estimate.dice.toFixed(2)}`, `estimated, ${estimate.low.toFixed(2)} to `
      + `${estimate.high.toFixed(2)}; agreement ${card.agreement.toFixed(2)}${own}; ${marked}`];
  }
  return ["Agreement " + card.agreement.toFixed(2), "with the other models" + own + "; " + marked];
}

function details(slice, card, c) {
  const rows = [];
  if (c.tp !== undefined && message.truth) {
    rows.push(["IoU", ratio(c.tp, c.tp + c.fp + c.fn)]);
    rows.push(["Precision", ratio(c.tp, c.tp + c.fp)], ["Recall", ratio(c.tp, c.tp + c.fn)]);
  }
  if (slice.truth) {
    const s = sliceCounts(slice, card);
    const pair = hd95(slice, card);
    rows.push(["Dice, this slice", ratio(2 * s.tp, 2 * s.tp + s.fp + s.fn)]);
    rows.push(["HD95, this slice", pair === undefined ? "…" : pair
      ? pair.distance.toFixed(1) + (message.spacing ? " mm" : " px") : "a mask is empty"]);
  }
  rows.push(["Marked", size(c.marked)], ["Threshold", (levelText(card))]);
  return rows;
}

const levelText = (card) =>
  (options.level === null ? card.threshold : options.level / 255).toFixed(2);

// ------------------------------------------------------------------ the page

const make = (tag, className, text = "") =>
  Object.assign(document.createElement(tag), { className, textContent: text });

function build() {
  root.dataset.state = "shown";
  const list = find(".cards");
  const names = message.cards.map((card) => card.name);
  if (names.join("\n") !== [...cards.keys()].join("\n")) {
    cards = new Map();
    list.replaceChildren(...message.cards.map((card) => {
      const item = make("li", "card");
      const canvas = make("canvas", "");
      canvas.setAttribute("role", "img");
      const head = make("p", "title");
      head.append(make("strong", "", card.name));
      if (card.kind !== "model") head.append(make("span", "badge " + card.kind, card.kind));
      const figure = make("p", "figure");
      const line = make("p", "line");
      const table = make("dl", "details");
      item.append(canvas, head, figure, line, table);
      cards.set(card.name, { item, canvas, figure, line, table });
      listen(canvas);
      return item;
    }));
    for (const select of [find(".left"), find(".right")]) {
      select.replaceChildren(...names.map((text) => new Option(text, text)));
    }
    find(".right").selectedIndex = Math.min(1, names.length - 1);
  }
  if (message.chosen && names.includes(message.chosen) && message.chosen !== root.dataset.chosen) {
    find(".left").value = message.chosen;
    if (find(".right").value === message.chosen) {
      find(".right").value = names.find((other) => other !== message.chosen) || message.chosen;
    }
  }
  root.dataset.chosen = message.chosen || "";
  const slider = find(".slice");
  slider.max = message.slices;
  find(".slices").hidden = message.slices < 2;
  find(".slice-label").textContent = message.sliceLabel || "Slice";
  find(".slice-help").textContent = message.sliceHelp
    || "All cards show this slice; the left and right keys step through.";
  find(".jump").hidden = Boolean(message.scope);
  find(".save").hidden = Boolean(message.scope) || Boolean(message.running);
  find(".drawing").hidden = Boolean(message.scope) || Boolean(message.running);
  for (const item of findAll(".needs-truth")) item.hidden = !message.truth;
  if (!message.truth && options.mode === "errors") setMode("fill");
  find(".differ").hidden = names.length < 2;
  matrix();
  draw();
}

function draw() {
  const began = performance.now();
  if (!message) return;
  find(".slice").value = index + 1;
  find(".slice-value").textContent = message.sliceNames[index] || `${index + 1} / ${message.slices}`;
  const slice = slices.get(index);
  root.classList.toggle("waiting", !slice);
  if (!slice) return;
  const label = (message.sliceLabel || "Slice") + " " + (message.sliceNames[index] || index + 1);
  for (const card of message.cards) {
    const { item, canvas, figure, line, table } = cards.get(card.name);
    const isThere = Boolean(slice.maps[card.name]);
    item.classList.toggle("running", !isThere);
    item.classList.toggle("chosen", card.name === message.chosen);
    stack(prepare(canvas, slice), slice, card);
    const isNext = message.running === card.name;
    const c = isThere ? counts(slice, card) : null;
    const [head, rest] = c ? verdict(card, c) : [isNext ? "Running…" : "Waiting", ""];
    figure.textContent = head;
    line.textContent = rest;
    table.replaceChildren(...(c && find(".more").checked ? details(slice, card, c) : []).flatMap(
      ([term, value]) => [make("dt", "", term), make("dd", "", value)]));
    canvas.setAttribute("aria-label", `${label}, ${card.name}: ${head}. ${rest}`);
  }
  differ(slice, label);
  legend(slice);
  root.dataset.index = index;
  root.dataset.composed = (performance.now() - began).toFixed(1);
}

// Draw at once, and what takes longer once the visitor's hand rests.
function drawSoon() {
  isHurried = true;
  draw();
  isHurried = false;
  clearTimeout(resting);
  resting = setTimeout(draw, 150);
}

function differ(slice, label) {
  if (find(".differ").hidden) return;
  const voters = message.cards.filter((card) => card.kind !== "fusion" && slice.maps[card.name]);
  const masks = voters.map((card) => maskOf(slice, card));
  const votes = new Uint8Array(slice.width * slice.height);
  for (const mask of masks) for (let i = 0; i < votes.length; i++) votes[i] += mask[i];
  const shares = Array.from({ length: masks.length + 1 }, (_, n) => n / Math.max(1, masks.length));
  const bits = shares.map((p) => (p > 0 && p < 1
    ? -p * Math.log2(p) - (1 - p) * Math.log2(1 - p) : 0));
  const isSeveral = masks.length > 1;
  map(find(".votes"), slice, votes, shares, `${label}: votes of ${masks.length} models`);
  map(find(".entropy"), slice, votes, bits, `${label}: disagreement of ${masks.length} models`);
  for (const kind of ["votes", "entropy"]) find(`.${kind}`).parentNode.hidden = !isSeveral;
  find(".votes-scale").textContent = `1 to ${masks.length}`;
  find(".entropy-scale").textContent = "0 to 1 bit";
  swipe(slice, label);
}

function map(canvas, slice, votes, values, label) {
  const colours = values.map((value) => (value > 0 ? ramp(value) : null));
  const context = prepare(canvas, slice);
  context.globalAlpha = 0.55;
  context.drawImage(slice.image, 0, 0);
  context.globalAlpha = 0.9;
  context.imageSmoothingEnabled = false;
  context.drawImage(paint(slice, (i) => colours[votes[i]]), 0, 0);
  context.globalAlpha = 1;
  if (slice.truth && options.truth) line(context, truthPath(slice), TRUTH, 1.4);
  canvas.setAttribute("aria-label", label);
}

function ramp(value) {
  const at = value * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(at));
  return CIVIDIS[low].map((a, i) => Math.round(a + (CIVIDIS[low + 1][i] - a) * (at - low)));
}

function swipe(slice, label) {
  const canvas = find(".pair");
  const [left, right] = [find(".left").value, find(".right").value].map((text) =>
    message.cards.find((card) => card.name === text) || message.cards[0]);
  const context = prepare(canvas, slice);
  stack(context, slice, right);
  const at = canvas.width * find(".split").value / 100;
  const transform = context.getTransform();
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.beginPath();
  context.rect(0, 0, at, canvas.height);
  context.clip();
  context.setTransform(transform);
  const scale = context.lineScale;
  stack(Object.assign(context, { lineScale: scale }), slice, left);
  context.restore();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#fff";
  context.fillRect(at - 1, 0, 2, canvas.height);
  canvas.setAttribute("aria-label", `${label}: ${left.name} left, ${right.name} right of the line`);
}

function matrix() {
  const place = find(".matrix");
  place.hidden = !message.pairs;
  if (!message.pairs) return;
  const names = message.cards.map((card) => card.name);
  const table = make("table", "");
  const head = table.createTHead().insertRow();
  head.append(make("td", ""), ...names.map((text) => {
    const cell = make("th", "", text);
    cell.scope = "col";
    return cell;
  }));
  message.pairs.forEach((row, i) => {
    const line = table.insertRow();
    const first = make("th", "", names[i]);
    first.scope = "row";
    line.append(first);
    row.forEach((value, j) => {
      const cell = line.insertCell();
      cell.textContent = i === j ? "·" : value === null ? "–" : value.toFixed(2);
      if (value !== null && i !== j) cell.style.setProperty("--share", value);
    });
  });
  table.createCaption().textContent =
    "Dice of each mask with each other, whole scan, at own thresholds; – where both are empty.";
  place.replaceChildren(table);
  Object.assign(place, { tabIndex: 0 });
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", "Dice of each mask with each other");
}

function legend(slice) {
  const parts = [];
  const add = (colour, text, kind = "") => {
    const item = make("span", "swatch " + kind, text);
    item.style.setProperty("--colour", `rgb(${colour})`);
    parts.push(item);
  };
  if (options.mode === "errors" && slice.truth) {
    add(ERRORS.tp, "rightly marked (true positive)", "filled");
    add(ERRORS.fp, "wrongly marked (false positive)", "filled");
    add(ERRORS.fn, "missed (false negative)", "filled");
    const mark = make("span", "", "White line: the HD95 pair. 95 % of either outline lies nearer "
      + "to the other than this. Where truth and mask are both empty, Dice is not defined.");
    parts.push(mark);
  } else {
    if (options.mode !== "none") add(options.colour, "marked as tumour", options.mode === "fill" ? "filled" : "");
    if (slice.truth && options.truth) add(TRUTH, "truth");
  }
  const scope = message.scope === "slice" ? "this picture"
    : message.drawn.length ? "the slices you drew on" : "the whole scan";
  const words = message.truth ? `Dice is the overlap with the truth, 0 to 1, over ${scope}.`
    : message.cards.length > 1 ? "Agreement is the overlap with the other models over the whole "
      + "scan: how much they agree, not how right they are. " + (message.estimateNote || "") : "";
  parts.push(make("span", "", words));
  find(".legend").replaceChildren(...parts);
}

// ------------------------------------------------------------------ what the visitor does

function show(number) {
  index = Math.max(0, Math.min(message.slices - 1, number));
  drawSoon();
  const isMissing = (i) => i >= 0 && i < message.slices && !slices.has(i);
  if ([index, index + 1, index - 1].some(isMissing) && asked !== index) {
    asked = index;
    trigger("slice", { index });
  }
}

function setMode(mode) {
  options.mode = mode;
  for (const input of findAll("[data-mode]")) input.checked = input.dataset.mode === mode;
  find(".mode-help").textContent = {
    fill: "What each model marks as tumour.",
    outline: "The border of what each model marks.",
    errors: "Right, wrong and missed pixels.",
    none: "The scan alone.",
  }[mode];
}

function zoom(factor, x = look.x, y = look.y) {
  const before = look.zoom;
  look.zoom = Math.max(1, Math.min(16, before * factor));
  const share = 1 - before / look.zoom; // the point under the pointer stays where it is
  look.x += (x - look.x) * share;
  look.y += (y - look.y) * share;
  keepInside();
}

function keepInside() {
  const half = 0.5 / look.zoom;
  look.x = Math.max(half, Math.min(1 - half, look.x));
  look.y = Math.max(half, Math.min(1 - half, look.y));
  root.classList.toggle("zoomed", look.zoom > 1);
  draw();
}

function pointAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [
    look.x + ((event.clientX - box.left) / box.width - 0.5) / look.zoom,
    look.y + ((event.clientY - box.top) / box.height - 0.5) / look.zoom,
  ];
}

function listen(canvas) {
  const fingers = new Map();
  canvas.addEventListener("dblclick", (event) => {
    if (!isDrawing()) zoom(look.zoom > 1 ? 1 / look.zoom : 2.5, ...pointAt(canvas, event));
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), ...pointAt(canvas, event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (canvas.classList.contains("pair") && look.zoom === 1) moveSplit(canvas, event);
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    if (isDrawing()) dab(canvas, event, true);
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const box = canvas.getBoundingClientRect();
    if (isDrawing()) dab(canvas, event, false);
    else if (canvas.classList.contains("pair") && look.zoom === 1) moveSplit(canvas, event);
    else if (fingers.size === 1 && look.zoom > 1) {
      look.x -= (event.clientX - last.clientX) / box.width / look.zoom;
      look.y -= (event.clientY - last.clientY) / box.height / look.zoom;
      keepInside();
    } else if (fingers.size === 2) {
      const [other] = [...fingers.entries()].filter(([id]) => id !== event.pointerId);
      const apart = (a) => Math.hypot(a.clientX - other[1].clientX, a.clientY - other[1].clientY);
      zoom(apart(event) / Math.max(1, apart(last)), ...pointAt(canvas, event));
    }
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      if (isDrawing()) send();
    });
  }
}

function moveSplit(canvas, event) {
  const box = canvas.getBoundingClientRect();
  find(".split").value = 100 * (event.clientX - box.left) / box.width;
  draw();
}

// ------------------------------------------------------------------ drawing a truth

const isDrawing = () => find(".draw").checked;

function setDrawing(value) {
  find(".draw").checked = value;
  find(".brush").hidden = !value;
  root.classList.toggle("drawing-truth", value);
}

function dab(canvas, event, isFirst) {
  const slice = slices.get(index);
  if (!slice) return;
  const [x, y] = pointAt(canvas, event);
  const at = [x * slice.width, y * slice.height];
  const radius = Number(find(".brush-size").value) / 2 * slice.width / 256;
  slice.truth ??= new Uint8Array(slice.width * slice.height);
  const from = isFirst || !stroke ? at : stroke;
  const steps = Math.max(1, Math.ceil(Math.hypot(at[0] - from[0], at[1] - from[1]) / radius));
  const value = find(".erase").checked ? 0 : 1;
  for (let step = 0; step <= steps; step++) {
    const cx = from[0] + (at[0] - from[0]) * step / steps;
    const cy = from[1] + (at[1] - from[1]) * step / steps;
    for (let py = Math.max(0, Math.floor(cy - radius)); py <= cy + radius && py < slice.height; py++) {
      for (let px = Math.max(0, Math.floor(cx - radius)); px <= cx + radius && px < slice.width; px++) {
        if ((px + 0.5 - cx) ** 2 + (py + 0.5 - cy) ** 2 <= radius ** 2) {
          slice.truth[py * slice.width + px] = value;
        }
      }
    }
  }
  stroke = at;
  mine.add(index);
  redrawTruth(slice);
}

function redrawTruth(slice) {
  delete slice.truthPath;
  delete slice.truthBorder;
  slice.cache.clear();
  options.truth = find(".truth").checked = true;
  drawSoon();
}

function send() {
  const slice = slices.get(index);
  stroke = null;
  if (!slice || !slice.truth) return;
  const canvas = paint(slice, (i) => (slice.truth[i] ? [255, 255, 255] : [0, 0, 0]));
  trigger("drawn", { index, picture: canvas.toDataURL("image/png") });
}

// ------------------------------------------------------------------ wiring

for (const input of findAll("[data-mode]")) {
  input.name = name + "-mode";
  input.addEventListener("change", () => { setMode(input.dataset.mode); draw(); });
}
for (const input of findAll("[data-colour]")) {
  input.name = name + "-colour";
  const colour = input.dataset.colour.split(",").map(Number);
  input.parentNode.style.setProperty("--colour", `rgb(${colour})`);
  input.addEventListener("change", () => { options.colour = colour; draw(); });
}
const on = (selector, event, act) => find(selector).addEventListener(event, act);
on(".slice", "input", (event) => show(event.target.value - 1));
on(".jump", "click", () => show(message.start));
on(".threshold", "input", (event) => {
  options.level = Number(event.target.value);
  showLevel();
});
on(".own", "click", () => {
  options.level = null;
  showLevel();
});
function showLevel() {
  find(".threshold-value").textContent =
    options.level === null ? "own" : (options.level / 255).toFixed(2);
  find(".own").hidden = options.level === null;
  root.dataset.level = options.level === null ? "" : options.level;
  drawSoon();
}
on(".opacity", "input", (event) => {
  options.opacity = event.target.value / 100;
  find(".opacity-value").textContent = event.target.value + " %";
  drawSoon();
});
on(".truth", "change", (event) => { options.truth = event.target.checked; draw(); });
on(".more", "change", draw);
on(".draw", "change", (event) => setDrawing(event.target.checked));
on(".clear", "click", () => {
  const slice = slices.get(index);
  if (!slice || !slice.truth) return;
  slice.truth = new Uint8Array(slice.width * slice.height);
  mine.add(index);
  redrawTruth(slice);
  send();
});
on(".zoom-in", "click", () => zoom(1.6));
on(".zoom-out", "click", () => zoom(1 / 1.6));
on(".zoom-reset", "click", () => zoom(1 / look.zoom));
for (const selector of [".split", ".left", ".right"]) on(selector, "input", draw);
for (const selector of [".votes", ".entropy", ".pair"]) listen(find(selector));
root.addEventListener("keydown", (event) => {
  if (!message || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) { show(index + step); event.preventDefault(); }
});
on(".save", "click", () => trigger("download", { index, level: options.level }));
find(".extra").open = window.innerWidth > 700;
new ResizeObserver(() => requestAnimationFrame(draw)).observe(find(".body"));
root.state = () => ({ index, level: options.level, slice: slices.get(index), message, layer, hd95 });
watch("value", () => receive(props.value));
receive(props.value);
