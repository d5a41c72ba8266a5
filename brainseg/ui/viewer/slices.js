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

// What to ask for: the shown slice alone or, where that is there, two of those that the visitor
// comes to next.
function wanted() {
  if (isMissing(index)) return [index];
  if (message.running) return []; // each model that finishes would have them sent again
  return [1, 2, 3, -1].map((step) => index + step * heading).filter(isMissing).slice(0, 2);
}

// One request at a time: what was asked for too fast would be dropped on the way.
function ask() {
  if (isAsking || decoding || !message) return;
  const numbers = wanted();
  if (!numbers.length) return;
  isAsking = true;
  trigger("slice", { index, wanted: numbers });
  late = setTimeout(answered, PATIENCE_MS);
}

function answered() {
  clearTimeout(late);
  isAsking = false;
  ask();
}

async function receive(value) {
  if (!value || !value.id) {
    message = null;
    root.dataset.state = "empty";
    return;
  }
  if (!value.cards) {
    if (message?.id === value.id) {
      await take(value.planes);
      // What brings nothing new, because the page knows more than the server yet, waits a while.
      if (message && Object.keys(value.planes).some((number) => !isMissing(Number(number)))) {
        answered();
      }
    } else if (!message) trigger("slice", { index, whole: true }); // the page was made anew
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
  if (!await take(value.planes)) return;
  if (wantedLook && !message.running) applyLook();
  answered();
}

// Slices into what is kept; false where another comparison came meanwhile.
async function take(planes) {
  decoding++; // what is being decoded need not be asked for
  const isCurrent = await decodeAll(planes);
  decoding--;
  if (!isCurrent) return false;
  for (const number of slices.keys()) {
    if (slices.size <= KEPT_SLICES) break;
    if (Math.abs(number - index) > 3 && !mine.has(number)) slices.delete(number);
  }
  draw();
  return true;
}
