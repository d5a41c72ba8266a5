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
// `of` is the sequence of the pictures; without maps, a picture is all that comes.
async function decode(kept, number, planes, of) {
  const known = kept.get(number);
  const [image, truth] = await Promise.all([
    known?.images[of] || grey(planes.image),
    planes.truth ? grey(planes.truth).then((found) => found.values.map((v) => v > 127)) : null,
  ]);
  if (!planes.maps) {
    if (kept.has(number)) kept.get(number).images[of] = image;
    return;
  }
  const maps = {};
  await Promise.all(Object.entries(planes.maps).map(async ([key, url]) => {
    if (!known || !known.maps[key]) maps[key] = (await grey(url)).values;
  }));
  const labels = async (url) => (url ? (await grey(url)).values : null);
  const classes = { ...known?.classes };
  for (const [key, url] of Object.entries(planes.classes || {})) {
    classes[key] ??= await labels(url);
  }
  const trueClasses = known ? known.trueClasses : await labels(planes.trueClasses);
  const now = kept.get(number); // answers may overtake each other, and a stroke may them
  Object.assign(maps, now?.maps);
  kept.delete(number);
  kept.set(number, { images: { ...now?.images, [of]: image }, maps, trueClasses,
    classes: { ...classes, ...now?.classes },
    truth: now && mine.has(number) ? now.truth : truth,
    width: image.canvas.width, height: image.canvas.height, cache: new Map() });
}

// False where another comparison came meanwhile.
async function decodeAll(planes, of) {
  const kept = slices;
  const numbers = Object.keys(planes).map(Number);
  numbers.sort((a, b) => Math.abs(a - index) - Math.abs(b - index));
  for (const number of numbers) {
    await decode(kept, number, planes[number], of);
    if (kept !== slices || !message) return false;
    if (number === numbers[0]) build();
  }
  return true;
}

const countReady = (value) => value.cards.filter((card) => card.ready).length;

const hasMaps = (slice) => slice
  && message.cards.every((card) => !card.ready || slice.maps[card.name]);

// Whether a slice has to be asked for: whole, because models have finished since, or its picture.
function isMissing(number) {
  if (number < 0 || number >= message.slices) return false;
  const slice = slices.get(number);
  return !hasMaps(slice) || !slice.images[sequence];
}

// What to ask for: the shown slice alone or, where that is there, two of those that the visitor
// comes to next.
function wanted() {
  if (isMissing(index)) return [index];
  if (message.running) return []; // each model that finishes would have them sent again
  return [1, 2, 3, -1].map((step) => index + step * heading).filter(isMissing).slice(0, 2);
}

// One request at a time, so that a slow line carries what is looked at now.
function ask() {
  if (isAsking || decoding || !message) return;
  const numbers = wanted();
  if (!numbers.length) return;
  isAsking = true;
  const pictures = numbers.filter((number) => hasMaps(slices.get(number)));
  const whole = numbers.filter((number) => !pictures.includes(number));
  trigger("slice", { index, wanted: whole, pictures, sequence });
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
    isEmptied = true;
    stroke = null;
    unsent = new Set();
    root.dataset.state = "empty";
    return;
  }
  if (!value.cards) {
    if (message?.id === value.id) {
      if (!value.planes) {
        await takeCoronal(value.coronal);
        return;
      }
      await take(value.planes, value.sequence);
      // What brings nothing new, because the page knows more than the server yet, waits a while.
      const isOfUse = (number) => value.sequence !== sequence || !isMissing(Number(number));
      if (message && Object.keys(value.planes).some(isOfUse)) answered();
    } else if (!message && !isEmptied) {
      trigger("slice", { index, whole: true }); // the page was made anew
    }
    return;
  }
  const isNew = !message || message.id !== value.id;
  // What was asked for a while ago may know less than what came since.
  if (isNew || countReady(value) >= countReady(message)) {
    const running = value.running === undefined && !isNew ? message.running : value.running;
    message = { ...value, running };
    told++;
  }
  isEmptied = false;
  if (isNew) {
    slices = new Map();
    mine = new Set();
    beginReading(value);
    index = value.index;
    Object.assign(look, { zoom: 1, x: 0.5, y: 0.5 });
    setDrawing(false);
    unsent = new Set();
    askedOf = null;
    hasPair = false;
    shrink();
    options.level = null; // chosen for another scan
    showLevel();
  } else if (value.jump && jumped !== value.id) index = value.index;
  if (large && !message.cards.some((card) => card.name === large)) shrink();
  if (value.jump) jumped = value.id; // a page may be told the last step of a run twice
  if (coronal) coronal.isOld = true; // the truth may be another now
  if (!await take(value.planes, value.sequence)) return;
  if (wantedLook && !message.running) applyLook();
  answered();
  scored(); // what was drawn meanwhile is sent now
  if (cut < 0) cut = value.cut ?? -1; // there is none until all models have finished
  if (value.coronal) await takeCoronal(value.coronal);
  else drawCoronal();
}

// Slices into what is kept; false where another comparison came meanwhile.
async function take(planes, of) {
  decoding++; // what is being decoded need not be asked for
  const isCurrent = await decodeAll(planes, of);
  decoding--;
  if (!isCurrent) return false;
  for (const number of slices.keys()) {
    if (slices.size <= KEPT_SLICES) break;
    if (Math.abs(number - index) > 3 && !mine.has(number)) slices.delete(number);
  }
  draw();
  return true;
}
