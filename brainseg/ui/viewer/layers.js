// From pixels to layers: masks, outlines and errors as pictures to put on a slice.

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
  const classes = classesOf(slice, card);
  found.fills[key] ??= paint(slice, (i) => found.mask[i]
    && (classes && classes[i] ? classColour(classes[i]) : options.colour));
  return found.fills[key];
}

function errors(slice, card) {
  const found = layer(slice, card);
  found.errors ??= paint(slice, (i) => {
    if (found.mask[i] && isWrongClass(slice, card, i)) return ERRORS.other;
    if (found.mask[i]) return slice.truth[i] ? ERRORS.tp : ERRORS.fp;
    return slice.truth[i] ? ERRORS.fn : null;
  });
  return found.errors;
}

function truthPath(slice) {
  slice.truthPath ??= edges(slice.truth, slice.width, slice.height);
  return slice.truthPath;
}
