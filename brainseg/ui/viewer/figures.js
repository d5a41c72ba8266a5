// Figures of the shown slice: Dice, HD95, area.

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
  if (message.scope === "slice") {
    // Of large slices smaller pictures come.
    const scale = message.width * message.height / (slice.width * slice.height);
    return Object.fromEntries(Object.entries(sliceCounts(slice, card))
      .map(([key, pixels]) => [key, Math.round(pixels * scale)]));
  }
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
    if (!(c.tp + c.fn)) return ["False alarm", size(c.tp + c.fp) + " marked, none in truth"];
    const missed = c.marked ? size(c.marked) + " marked" : "no tumour marked";
    return ["Dice " + (2 * c.tp / whole).toFixed(2), missed];
  }
  const estimate = (message.estimates || {})[card.name];
  const marked = size(c.marked) + " marked";
  const only = message.isCut ? "the only one that ran" : "the only model";
  if (!c.marked) return ["Nothing marked", card.others ? "" : only];
  if (!card.others) return [marked, `${only}: nothing to compare it with`];
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
  if (judgesClasses(card) && options.level === null) {
    rows.push(["Right place, wrong class", size(card.wrongClass)]);
  }
  rows.push(["Marked", size(c.marked)], ["Threshold", (levelText(card))]);
  return rows;
}

const levelText = (card) =>
  (options.level === null ? card.threshold : options.level / 255).toFixed(2);
