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
