// Layers onto a card's canvas, at the window all cards share.

function prepare(canvas, slice) {
  const { wide, high } = sides(slice);
  canvas.style.aspectRatio = `${wide} / ${high}`;
  canvas.style.setProperty("--aspect", wide / high);
  const ratio = onScreen();
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(width * high / wide));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const [, , across, down] = frame();
  const sx = (width / slice.width / across) * look.zoom;
  const sy = (height / slice.height / down) * look.zoom;
  const [x, y] = ofSlice([look.x, look.y]);
  context.setTransform(sx, 0, 0, sy, width / 2 - x * slice.width * sx,
    height / 2 - y * slice.height * sy);
  context.lineScale = ratio / Math.sqrt(sx * sy); // one CSS pixel, in slice pixels
  return context;
}

function stack(context, slice, card) {
  context.imageSmoothingEnabled = true;
  context.globalAlpha = 1;
  context.drawImage(picture(slice), 0, 0);
  if (slice.maps[card.name]) overlay(context, slice, card);
  marks(context, slice);
}

function overlay(context, slice, card) {
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
