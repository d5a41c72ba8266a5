// The strip under the slider: what is right, false, missed and disputed in each slice.

const THUMB = 16; // pixels of the slider's knob, whose middle is where a slice lies
const RULER_HEIGHT = 26;
const DISPUTED_HEIGHT = 5;

// Pixels of each slice at own thresholds: of one card or, without a name, as the mean of the models.
function errorsBySlice(one) {
  const { marked, right, truth } = message.ruler;
  const models = message.cards.filter((card) => card.kind !== "fusion" && marked[card.name]);
  const names = marked[one] ? [one] : models.map((card) => card.name);
  const mean = (of, i) => names.reduce((sum, name) => sum + of[name][i], 0) / names.length;
  return Array.from({ length: message.slices }, (_, i) => {
    const all = mean(marked, i);
    if (!truth || truth[i] === null) return { marked: all };
    const tp = mean(right, i);
    return { marked: all, tp, fp: all - tp, fn: truth[i] - tp };
  });
}

const wrongness = (one) => (one.fp === undefined ? 0 : one.fp + one.fn);
const argmax = (values) => values.indexOf(Math.max(...values));

// Where most is wrong or, without a truth, where the models differ most; -1 where nowhere.
function worstSlice(one) {
  if (!message.ruler) return -1;
  const wrong = errorsBySlice(one).map(wrongness);
  const values = message.truth ? wrong : message.ruler.disputed;
  return Math.max(...values) > 0 ? argmax(values) : -1;
}

function ruler() {
  const canvas = find(".ruler");
  canvas.hidden = !message.ruler;
  if (!message.ruler || !canvas.clientWidth) return;
  const ratio = onScreen();
  const width = canvas.clientWidth;
  const key = [message.id, told, width, ratio, large, options.colour].join();
  if (canvas.dataset.key === key) return;
  canvas.dataset.key = key;
  Object.assign(canvas, { width: width * ratio, height: RULER_HEIGHT * ratio });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const found = errorsBySlice(large);
  const total = (one) => (one.tp === undefined ? one.marked : one.tp + one.fp + one.fn);
  const most = Math.max(...found.map(total), 1);
  const disputed = message.ruler.disputed;
  const step = (width - THUMB) / (message.slices - 1);
  const thick = Math.max(1, step - (step > 4 ? 1 : 0));
  const high = RULER_HEIGHT - DISPUTED_HEIGHT - 2;
  const bar = (colour, i, y, height) => {
    context.fillStyle = `rgb(${colour})`;
    context.fillRect(THUMB / 2 + i * step - thick / 2, y, thick, height);
  };
  found.forEach((one, i) => {
    // The root, so that a small tumour is seen beside a large one.
    const height = total(one) ? Math.max(2, high * Math.sqrt(total(one) / most)) : 0;
    const parts = one.tp === undefined ? [[options.colour, one.marked]]
      : [[ERRORS.tp, one.tp], [ERRORS.fp, one.fp], [ERRORS.fn, one.fn]];
    let y = high;
    for (const [colour, pixels] of parts) {
      const part = total(one) ? height * pixels / total(one) : 0;
      bar(colour, i, y - part, part);
      y -= part;
    }
    const share = Math.sqrt(disputed[i] / Math.max(...disputed, 1));
    if (share) bar(ramp(share), i, RULER_HEIGHT - DISPUTED_HEIGHT, DISPUTED_HEIGHT);
  });
  canvas.setAttribute("aria-label", rulerLabel());
}

function rulerLabel() {
  const { truth, disputed } = message.ruler;
  const parts = [];
  const has = (truth || []).map((n, i) => (n ? i : -1)).filter((i) => i >= 0);
  if (has.length) parts.push(`tumour in the truth from slice ${has[0] + 1} to ${has.at(-1) + 1}`);
  const worst = worstSlice();
  if (message.truth && worst >= 0) parts.push(`most wrong in slice ${worst + 1}`);
  if (Math.max(...disputed) > 0) parts.push(`most disputed in slice ${argmax(disputed) + 1}`);
  return "Slices at a glance: " + (parts.join(", ") || "nothing is marked in any");
}

function rulerInWords() {
  const parts = message.truth
    ? [[ERRORS.tp, "right"], [ERRORS.fp, "wrong"], [ERRORS.fn, "missed"]]
    : [[options.colour, "marked"]];
  const said = [make("span", "", `Strip, by slice, ${large || "mean of the models"}:`)];
  for (const [colour, text] of parts) said.push(swatch(colour, text, "filled"));
  said.push(make("span", "scale", "models differ: little to much"));
  return said;
}

// Where most is true or, without a truth of the whole scan, marked; -1 where nowhere.
function mostTumour() {
  if (!message.ruler) return message.start;
  const isKnown = message.truth && !message.drawn.length;
  const values = isKnown ? message.ruler.truth : errorsBySlice().map((one) => one.marked);
  if (!Math.max(...values)) return -1;
  return isKnown ? argmax(values) : message.start;
}

// What a button says that goes to a slice.
const slicesName = (i) => message.sliceNames[i] || String(i + 1);

// The buttons that go to a slice say to which.
function offerSlices() {
  const most = mostTumour();
  find(".jump").hidden = Boolean(message.scope) || most < 0;
  find(".jump").textContent = message.ruler ? `Most tumour: ${slicesName(most)}` : "Most tumour";
  const worst = worstSlice();
  find(".worst").hidden = worst < 0;
  find(".worst").textContent =
    `${message.truth ? "Worst slice" : "Most disputed"}: ${slicesName(worst)}`;
  for (const [one, { worst: button }] of cards) {
    const own = message.truth ? worstSlice(one) : -1;
    button.hidden = own < 0;
    button.textContent = `Most wrong: slice ${slicesName(own)}`;
    button.dataset.slice = own;
  }
}

function listenToRuler(canvas) {
  const go = (event) => {
    const box = canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - THUMB / 2) / (box.width - THUMB);
    show(Math.round(share * (message.slices - 1)));
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    go(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
}
