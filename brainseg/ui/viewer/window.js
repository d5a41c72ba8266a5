// Window and level: which grey levels are black and white, chosen for each sequence.
// The server sends 256 levels; they are spread here, in the browser, and told in the file's values.

const WHOLE = { width: 255, level: 127.5 };
let windows = {}; // by sequence, where it is not WHOLE

const windowOf = () => windows[sequence] || WHOLE;
const isWhole = () => windowOf().width === WHOLE.width && windowOf().level === WHOLE.level;

// A slice as it is to be seen, a canvas of its size.
function picture(slice) {
  const { canvas, values } = slice.images[sequence];
  if (isWhole()) return canvas;
  const { width, level } = windowOf();
  const key = [sequence, width, level].join();
  if (slice.windowed?.key !== key) {
    const shown = slice.windowed?.canvas || document.createElement("canvas");
    Object.assign(shown, { width: slice.width, height: slice.height });
    const table = Uint8ClampedArray.from({ length: 256 },
      (_, value) => 127.5 + (value - level) / width * 255);
    const context = shown.getContext("2d");
    const pixels = context.createImageData(slice.width, slice.height);
    for (let i = 0; i < values.length; i++) {
      pixels.data.fill(table[values[i]], 4 * i, 4 * i + 3);
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    slice.windowed = { key, canvas: shown };
  }
  return slice.windowed.canvas;
}

function setWindow({ width, level }) {
  windows[sequence] = {
    width: Math.max(1, Math.min(510, Math.round(width))),
    level: Math.max(0, Math.min(255, Math.round(2 * level) / 2)),
  };
  showWindow();
  drawSoon();
}

// A number of the file's own values, as exact as 256 steps are.
function inValues(number) {
  const { low, high } = message.sequences[sequence];
  const digits = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(high - low || 1))));
  return number.toFixed(digits);
}

// The window as the scan's own values: width, level and the ends of what 256 steps hold.
function windowText() {
  const { low, high } = message.sequences[sequence];
  const step = (high - low) / 255;
  const { width, level } = windowOf();
  return [width * step, low + level * step, low, high].map(inValues);
}

function showWindow() {
  const [width, level, low, high] = windowText();
  for (const [key, text] of [["width", width], ["level", level]]) {
    const slider = find(`.window-${key}`);
    slider.value = windowOf()[key];
    slider.setAttribute("aria-valuetext", text);
    find(`.window-${key}-value`).textContent = text;
  }
  find(".window-reset").disabled = isWhole();
  find(".window-range").textContent = `In the file's values, of which ${low} to ${high} are kept `
    + "in 256 steps. Or drag on a picture with the right button, or with Alt: to the side for the "
    + "window, up for brighter.";
}

// To be called before what else listens to the canvas: that sees nothing of such a drag.
function listenToWindow(canvas) {
  let from = null;
  const on = (kind, act) => canvas.addEventListener(kind, (event) => {
    if (!act(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  on("pointerdown", (event) => {
    const isMeant = event.button === 2 || (event.button === 0 && event.altKey);
    if (!isMeant || event.pointerType === "touch") return false;
    from = { x: event.clientX, y: event.clientY, ...windowOf() };
    canvas.setPointerCapture(event.pointerId);
    return true;
  });
  on("pointermove", (event) => {
    if (!from) return false;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    setWindow({ width: from.width + x, level: from.level + y });
    return true;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    on(end, () => { const was = from; from = null; return was; });
  }
  on("click", (event) => event.altKey);
  on("contextmenu", (event) => event.button === 2);
}
