// A truth drawn by the visitor.

const SCORED_MS = 60_000; // before a stroke that was not answered no longer holds up the next
let unsent = new Set(); // slices drawn on since they were sent
let isSending = false;
let sent = 0;

const isDrawing = () => find(".draw").checked;

function setDrawing(value) {
  if (!value) stroke = null;
  find(".draw").checked = value;
  find(".brush").hidden = !value;
  if (value) {
    find(".brush-words").textContent = message?.truth && !message.drawn.length
      ? "Draw on any card: you correct the truth that came with the scan. Scores stay those of all of it."
      : "Draw on any card. Scores then count the slices you drew on, and only those.";
  }
  root.classList.toggle("drawing-truth", value);
}

function dab(canvas, event, isFirst) {
  const slice = shownSlice(); // what is not seen is not drawn on
  if (!slice) return;
  const [x, y] = ofSlice(pointAt(canvas, event));
  const at = [x * slice.width, y * slice.height];
  const radius = Number(find(".brush-size").value) / 2 * slice.width / 256;
  if (isFirst) remember(slice);
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
  redrawTruth(slice);
}

function redrawTruth(slice) {
  mine.add(index);
  delete slice.truthPath;
  delete slice.truthBorder;
  slice.cache.clear();
  options.truth = find(".truth").checked = true;
  drawSoon();
}

function send() {
  stroke = null;
  if (!mine.has(index)) return;
  unsent.add(index);
  sendNext();
}

// One at a time, each scored with all that came before it.
function sendNext() {
  const [number] = unsent;
  if (isSending || number === undefined || !message) return;
  unsent.delete(number);
  const slice = slices.get(number);
  if (!slice) return;
  isSending = true;
  sent = setTimeout(scored, SCORED_MS);
  const canvas = slice.truth && paint(slice, (i) => (slice.truth[i] ? [255, 255, 255] : [0, 0, 0]));
  trigger("drawn", { id: message.id, index: number, picture: canvas ? canvas.toDataURL("image/png") : null });
}

function scored() {
  clearTimeout(sent);
  isSending = false;
  sendNext();
}
