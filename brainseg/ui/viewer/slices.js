// From the server: slices and their 8-bit probabilities, decoded once and kept.

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

// `kept` are the slices of the comparison that asked: another may have come meanwhile.
async function decode(kept, number, planes) {
  const known = kept.get(number);
  const [image, truth] = await Promise.all([
    known ? known.image : grey(planes.image).then((found) => found.canvas),
    known && mine.has(number) ? known.truth
      : planes.truth ? grey(planes.truth).then((found) => found.values.map((v) => v > 127)) : null,
  ]);
  const maps = {};
  await Promise.all(Object.entries(planes.maps).map(async ([key, url]) => {
    if (!known || !known.maps[key]) maps[key] = (await grey(url)).values;
  }));
  Object.assign(maps, kept.get(number)?.maps); // answers may overtake each other
  kept.delete(number);
  kept.set(number,
    { image, truth, maps, width: image.width, height: image.height, cache: new Map() });
}

// False where another comparison came meanwhile.
async function decodeAll(planes) {
  const kept = slices;
  const numbers = Object.keys(planes).map(Number);
  numbers.sort((a, b) => Math.abs(a - index) - Math.abs(b - index));
  for (const number of numbers) {
    await decode(kept, number, planes[number]);
    if (kept !== slices || !message) return false;
    if (number === numbers[0]) build();
  }
  return true;
}

const countReady = (value) => value.cards.filter((card) => card.ready).length;

// Whether a slice has to be asked for, whole or because models have finished since.
function isMissing(number) {
  if (number < 0 || number >= message.slices) return false;
  const slice = slices.get(number);
  return !slice || message.cards.some((card) => card.ready && !slice.maps[card.name]);
}

// The shown slice, those ahead in the direction of travel, and one behind, as far as they have to
// be asked for. Requests that come too fast are dropped, so the shown one is asked for each time.
function wanted() {
  const near = [0, 1, 2, 3, -1].map((step) => index + step * heading).filter(isMissing);
  return near.filter((number) => number === index || !flying.has(number));
}

function ask() {
  if (asked === index || ![0, 1, 2].some((step) => isMissing(index + step * heading))) return;
  const numbers = wanted();
  if (!numbers.length) return;
  asked = index;
  for (const number of numbers) flying.add(number);
  trigger("slice", { index, wanted: numbers });
  clearTimeout(late);
  late = setTimeout(askAgain, PATIENCE_MS);
}

// Of requests that come too fast some are never answered; what is being decoded was.
function askAgain() {
  if (!message || decoding || !isMissing(index)) return;
  asked = -1;
  flying.clear();
  ask();
}

async function receive(value) {
  if (!value || !value.id) {
    message = null;
    root.dataset.state = "empty";
    return;
  }
  if (!value.cards) {
    if (message?.id === value.id) await take(value.planes);
    else if (!message) trigger("slice", { index, whole: true }); // the page was made anew
    return;
  }
  const isNew = !message || message.id !== value.id;
  // What was asked for a while ago may know less than what came since.
  if (isNew || countReady(value) >= countReady(message)) {
    const running = value.running === undefined && !isNew ? message.running : value.running;
    message = { ...value, running };
  }
  if (isNew) {
    slices = new Map();
    mine = new Set();
    index = value.index;
    Object.assign(look, { zoom: 1, x: 0.5, y: 0.5 });
    setDrawing(false);
    large = null;
    options.level = null; // chosen for another scan
    showLevel();
  } else if (value.jump) index = value.index;
  flying.clear();
  if (await take(value.planes) && wantedLook && !message.running) applyLook();
}

// Slices into what is kept; false where another comparison came meanwhile.
async function take(planes) {
  decoding++;
  const isCurrent = await decodeAll(planes);
  decoding--;
  if (!isCurrent) return false;
  for (const number of Object.keys(planes)) flying.delete(Number(number));
  for (const number of slices.keys()) {
    if (slices.size <= KEPT_SLICES) break;
    if (Math.abs(number - index) > 3 && !mine.has(number)) slices.delete(number);
  }
  draw();
  askAgain();
  return true;
}
