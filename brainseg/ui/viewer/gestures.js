// What the visitor does: slices, modes, zoom, pan and the swipe's handle.

const NOTCH = 99; // pixels that a wheel's notch scrolls, at least

function show(number) {
  if (stroke) return; // it belongs to the slice on which it began
  const next = Math.max(0, Math.min(message.slices - 1, number));
  heading = Math.sign(next - index) || heading;
  index = next;
  drawSoon();
  ask();
}

function setMode(mode) {
  options.mode = mode;
  for (const input of findAll("[data-mode]")) input.checked = input.dataset.mode === mode;
}

function zoom(factor, x = look.x, y = look.y) {
  const before = look.zoom;
  look.zoom = Math.max(1, Math.min(16, before * factor));
  const share = 1 - before / look.zoom; // the point under the pointer stays where it is
  look.x += (x - look.x) * share;
  look.y += (y - look.y) * share;
  keepInside();
}

function keepInside() {
  const half = 0.5 / look.zoom;
  look.x = Math.max(half, Math.min(1 - half, look.x));
  look.y = Math.max(half, Math.min(1 - half, look.y));
  root.classList.toggle("zoomed", look.zoom > 1);
  draw();
}

function pointAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [
    look.x + ((event.clientX - box.left) / box.width - 0.5) / look.zoom,
    look.y + ((event.clientY - box.top) / box.height - 0.5) / look.zoom,
  ];
}

// `name`: of the card that a click enlarges, if the canvas is a card's.
function listen(canvas, name = null) {
  const fingers = new Map();
  let pressed = null;
  let clicked = 0;
  let turned = 0; // how far the wheel, towards the next slice
  listenToWindow(canvas);
  canvas.addEventListener("click", (event) => {
    const isStill = pressed && Math.hypot(event.clientX - pressed.clientX,
      event.clientY - pressed.clientY) < 5;
    clearTimeout(clicked);
    if (name && isStill && event.detail === 1 && !isDrawing()) {
      cutAt(pointAt(canvas, event));
      clicked = setTimeout(() => enlarge(name), 250); // unless it becomes a double click
    }
  });
  canvas.addEventListener("dblclick", (event) => {
    if (!isDrawing()) zoom(look.zoom > 1 ? 1 / look.zoom : 2.5, ...pointAt(canvas, event));
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) { // a plain wheel scrolls the page
      if (document.activeElement !== canvas || message.slices < 2) return; // or goes to others
      event.preventDefault();
      const by = event.deltaY * (event.deltaMode ? 33 : 1); // in lines or in pixels
      turned = turned * by < 0 ? by : turned + by;
      const steps = Math.trunc(turned / NOTCH);
      turned -= steps * NOTCH;
      if (steps) show(index + steps);
      return;
    }
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), ...pointAt(canvas, event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (canvas.classList.contains("pair") && look.zoom === 1) moveSplit(canvas, event);
    pressed = fingers.size ? null : event;
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    if (name && isDrawing() && fingers.size === 1) dab(canvas, event, true);
    else if (stroke) takeBack(); // two fingers zoom, and the first meant no stroke
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const box = canvas.getBoundingClientRect();
    if (name && isDrawing() && fingers.size === 1) {
      if (stroke) dab(canvas, event, false);
    } else if (canvas.classList.contains("pair") && look.zoom === 1) moveSplit(canvas, event);
    else if (fingers.size === 1 && look.zoom > 1) {
      look.x -= (event.clientX - last.clientX) / box.width / look.zoom;
      look.y -= (event.clientY - last.clientY) / box.height / look.zoom;
      keepInside();
    } else if (fingers.size === 2) {
      const [other] = [...fingers.entries()].filter(([id]) => id !== event.pointerId);
      const apart = (a) => Math.hypot(a.clientX - other[1].clientX, a.clientY - other[1].clientY);
      zoom(apart(event) / Math.max(1, apart(last)), ...pointAt(canvas, event));
    }
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => {
      if (fingers.delete(event.pointerId) && name && isDrawing()) send();
    });
  }
}

function moveSplit(canvas, event) {
  const box = canvas.getBoundingClientRect();
  find(".split").value = 100 * (event.clientX - box.left) / box.width;
  draw();
}
