// A coronal plane through one row of all slices: what is marked in it, and which slice is shown.

let coronal = null; // the plane as it came, decoded; like a slice, with its first row at the feet
let cut = -1; // the row that the plane shall go through; -1 where there is none
let cutting = 0; // while a plane is asked for
let askedOf = null; // the model that the last plane was asked of, "" for all

async function takeCoronal(value) {
  if (!value) return;
  const of = message.id;
  const [image, map, truth] = await Promise.all(
    [value.image, value.map, value.truth].map((url) => url && grey(url)));
  if (message?.id !== of) return;
  const { width, height } = image.canvas;
  coronal = { ...value, images: { [value.sequence]: image }, map: map.values,
    truth: truth && truth.values.map((v) => v > 127), width, height };
  clearTimeout(cutting);
  cutting = 0;
  draw();
}

// Ask for the plane that is wanted, again where the answer does not come.
function askCoronal() {
  if (cut < 0 || cutting) return;
  const wanted = { row: cut, sequence, name: large || "" };
  // The answer may say less than what was asked for: of a model that has not run it is of all.
  const known = coronal && { ...coronal, name: askedOf ?? coronal.name };
  const isThere = coronal && !coronal.isOld;
  if (isThere && Object.keys(wanted).every((key) => wanted[key] === known[key])) return;
  askedOf = wanted.name;
  trigger("coronal", wanted);
  cutting = setTimeout(() => { cutting = 0; askCoronal(); }, PATIENCE_MS);
}

function setCut(row) {
  cut = Math.max(0, Math.min(message.height - 1, Math.round(row)));
  drawSoon();
}

function cutAt(point) {
  if (cut >= 0) setCut(Math.floor(ofSlice(point)[1] * message.height));
}

function drawCoronal() {
  const figure = find(".coronal");
  figure.hidden = cut < 0;
  if (cut < 0) return;
  askCoronal();
  const canvas = find(".plane");
  find(".cut").max = message.height;
  find(".cut").value = cut + 1;
  find(".cut-value").textContent = cut + 1;
  if (!coronal?.images[sequence] || !canvas.clientWidth) return;
  const [left, , across] = frame();
  const mm = message.spacing;
  const wide = across * message.width * (mm ? mm[2] : 1);
  const high = mm ? message.slices * mm[0] : wide * 0.6;
  canvas.style.aspectRatio = `${wide} / ${high}`;
  canvas.style.maxWidth = `calc(12rem * ${wide / high})`;
  const width = Math.round(canvas.clientWidth * onScreen());
  const height = Math.max(1, Math.round(width * high / wide));
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const [sx, sy] = [width / coronal.width / across, height / coronal.height];
  const place = new DOMMatrix([sx, 0, 0, -sy, -left * coronal.width * sx, height]); // head up
  context.setTransform(place);
  context.drawImage(picture(coronal), 0, 0);
  untransformed(context, () => {
    const put = (path) => { const all = new Path2D(); all.addPath(path, place); return all; };
    if (options.mode !== "none") line(context, put(coronalPath()), options.colour, 1.6);
    if (coronal.truth && options.truth) line(context, put(truthPath(coronal)), TRUTH, 1.6);
    const y = height * (1 - (index + 0.5) / message.slices);
    line(context, new Path2D(`M0 ${y}H${width}`), WRITING, 1);
    letters(context);
  });
  tellCoronal();
}

function coronalPath() {
  const level = coronal.name ? levelOf(message.cards.find((card) => card.name === coronal.name))
    : 127;
  if (coronal.level !== level) {
    const mask = coronal.map.map((v) => v > level);
    Object.assign(coronal, { level, path: edges(mask, coronal.width, coronal.height) });
  }
  return coronal.path;
}

function tellCoronal() {
  const models = message.cards.filter((card) => card.kind !== "fusion").length;
  const by = coronal.name || (models > 1 ? `more than half of the ${models} models` : "the model");
  const drawn = message.drawn.length ? ", where you drew it" : "";
  const parts = [
    options.mode === "none" ? "" : `Outlined: what ${by} marked`,
    coronal.truth && options.truth ? `${options.mode === "none" ? "T" : "t"}he truth${drawn}` : "",
  ].filter(Boolean).join("; ");
  find(".plane-words").textContent = (parts && parts + ". ")
    + "The line is the shown slice; press to go to another, and on a card to cut there."
    + (message.spacing ? "" : " Not in proportion: the file states no size of its voxels.");
  find(".plane").setAttribute("aria-label", `Coronal plane through row ${coronal.row + 1}, `
    + `head up; a line at slice ${index + 1} of ${message.slices}`);
}

function listenToCoronal(canvas) {
  const go = (event) => {
    const box = canvas.getBoundingClientRect();
    show(Math.floor((1 - (event.clientY - box.top) / box.height) * message.slices));
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    go(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
}
