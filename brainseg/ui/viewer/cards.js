// The page: a card per model, where they differ, the swipe and the matrix.

const make = (tag, className, text = "") =>
  Object.assign(document.createElement(tag), { className, textContent: text });

function build() {
  root.dataset.state = "shown";
  const names = message.cards.map((card) => card.name);
  if (names.join("\n") !== [...cards.keys()].join("\n")) {
    cards = new Map();
    for (const card of message.cards) {
      const item = make("li", "card");
      const canvas = make("canvas", "");
      canvas.setAttribute("role", "img");
      canvas.tabIndex = 0; // so that the left and right keys reach it
      const head = make("p", "title");
      head.append(make("strong", "", card.name));
      if (card.kind !== "model") head.append(make("span", "badge " + card.kind, card.kind));
      if (card.about) head.append(make("span", "about", card.about));
      const figure = make("p", "figure");
      const line = make("p", "line");
      const kind = make("p", "kind");
      const table = make("dl", "details");
      const button = make("button", "enlarge", "⤢");
      button.type = "button";
      button.setAttribute("aria-label", `Enlarge ${card.name}`);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => enlarge(card.name));
      const worst = make("button", "goes-to");
      worst.type = "button";
      worst.hidden = true;
      worst.addEventListener("click", () => show(Number(worst.dataset.slice)));
      item.append(canvas, button, head, figure, kind, line, worst, table);
      cards.set(card.name, { item, canvas, button, figure, kind, line, worst, table });
      listen(canvas, card.name);
    }
    for (const select of [find(".left"), find(".right")]) {
      select.replaceChildren(...names.map((text) => new Option(text, text)));
    }
    find(".right").selectedIndex = Math.min(1, names.length - 1);
  }
  if (message.chosen && names.includes(message.chosen) && message.chosen !== root.dataset.chosen) {
    find(".left").value = message.chosen;
    if (find(".right").value === message.chosen) {
      find(".right").value = names.find((other) => other !== message.chosen) || message.chosen;
    }
  }
  root.dataset.chosen = message.chosen || "";
  arrange();
  choosePair();
  const slider = find(".slice");
  slider.max = message.slices;
  find(".slices").hidden = message.slices < 2;
  find(".slice-label").textContent = message.sliceLabel || "Slice";
  find(".slices").title = message.sliceHelp
    || "All cards show this slice; the left and right keys step through.";
  offerSlices();
  find(".sorting").hidden = Boolean(message.scope) || names.length < 2;
  find(".save").hidden = Boolean(message.scope) || Boolean(message.running);
  find(".drawing").hidden = Boolean(message.scope) || Boolean(message.running);
  for (const item of findAll(".needs-truth")) item.hidden = !message.truth;
  if (!message.truth && options.mode === "errors") setMode("fill");
  find(".differ").hidden = names.length < 2;
  matrix();
  offerSequences();
  draw();
}

const numberOf = (i) => message.sliceNames[i] || `${i + 1} / ${message.slices}`;

function draw() {
  const began = performance.now();
  if (!message) return;
  find(".slice").value = index + 1;
  const slice = shownSlice();
  root.classList.toggle("waiting", !slice);
  // Until a slice is there, the pictures are those of another: they keep their number.
  const isDrawn = root.dataset.id === message.id && root.dataset.index !== undefined;
  find(".slice-value").textContent = slice ? numberOf(index)
    : (isDrawn ? numberOf(Number(root.dataset.index)) + ", " : "") + `loading ${message.sliceNames[index] || index + 1}`;
  if (!slice) return;
  const label = (message.sliceLabel || "Slice") + " " + (message.sliceNames[index] || index + 1);
  for (const card of message.cards) {
    const { item, canvas, figure, kind, line, table } = cards.get(card.name);
    const isThere = Boolean(slice.maps[card.name]);
    item.classList.toggle("running", !isThere);
    item.classList.toggle("chosen", card.name === message.chosen);
    if (canvas.clientWidth) stack(prepare(canvas, slice), slice, card); // else it is folded away
    const isNext = message.running === card.name;
    const c = isThere ? counts(slice, card) : null;
    const [head, rest] = c ? verdict(card, c) : [isNext ? "Running…" : "Waiting", ""];
    figure.textContent = head;
    line.textContent = [rest, c && card.trained].filter(Boolean).join("; ");
    kind.textContent = c ? classesInWords(card, c) : "";
    kind.hidden = !kind.textContent;
    table.replaceChildren(...(c && find(".more").checked ? details(slice, card, c) : []).flatMap(
      ([term, value]) => [make("dt", "", term), make("dd", "", value)]));
    canvas.setAttribute("aria-label", `${label}, ${card.name}: ${head}. ${rest}`);
  }
  ruler();
  drawCoronal();
  showUndo();
  differ(slice, label);
  legend(slice);
  answer();
  Object.assign(root.dataset, { id: message.id, index });
  root.dataset.composed = (performance.now() - began).toFixed(1);
}

function answer() {
  const text = message.answer || "";
  const said = text && options.level !== null ? text + " (At the models' own thresholds.)" : text;
  find(".answer").hidden = !said;
  if (find(".answer").textContent !== said) find(".answer").textContent = said;
}

// Draw at once, and what takes longer once the visitor's hand rests.
function drawSoon() {
  isHurried = true;
  draw();
  isHurried = false;
  clearTimeout(resting);
  resting = setTimeout(draw, 150);
}

function differ(slice, label) {
  if (find(".differ").hidden) return;
  const voters = message.cards.filter((card) => card.kind !== "fusion" && slice.maps[card.name]);
  const masks = voters.map((card) => maskOf(slice, card));
  const votes = new Uint8Array(slice.width * slice.height);
  for (const mask of masks) for (let i = 0; i < votes.length; i++) votes[i] += mask[i];
  const shares = Array.from({ length: masks.length + 1 }, (_, n) => n / Math.max(1, masks.length));
  const bits = shares.map((p) => (p > 0 && p < 1
    ? -p * Math.log2(p) - (1 - p) * Math.log2(1 - p) : 0));
  const isSeveral = masks.length > 1;
  map(find(".votes"), slice, votes, shares, `${label}: votes of ${masks.length} models`);
  map(find(".entropy"), slice, votes, bits, `${label}: disagreement of ${masks.length} models`);
  for (const kind of ["votes", "entropy"]) find(`.${kind}`).parentNode.hidden = !isSeveral;
  find(".votes-scale").textContent = `1 to ${masks.length}`;
  find(".entropy-scale").textContent = "0 to 1 bit";
  swipe(slice, label);
}

function map(canvas, slice, votes, values, label) {
  const colours = values.map((value) => (value > 0 ? ramp(value) : null));
  const context = prepare(canvas, slice);
  context.globalAlpha = 0.55;
  context.drawImage(picture(slice), 0, 0);
  context.globalAlpha = 0.9;
  context.imageSmoothingEnabled = false;
  context.drawImage(paint(slice, (i) => colours[votes[i]]), 0, 0);
  context.globalAlpha = 1;
  if (slice.truth && options.truth) line(context, truthPath(slice), TRUTH, 1.4);
  marks(context, slice);
  canvas.setAttribute("aria-label", label);
}

function ramp(value) {
  const at = value * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(at));
  return CIVIDIS[low].map((a, i) => Math.round(a + (CIVIDIS[low + 1][i] - a) * (at - low)));
}

function matrix() {
  const place = find(".matrix");
  place.hidden = !message.pairs;
  if (!message.pairs) return;
  const names = message.cards.map((card) => card.name);
  const table = make("table", "");
  const head = table.createTHead().insertRow();
  head.append(make("td", ""), ...names.map((text) => {
    const cell = make("th", "", text);
    cell.scope = "col";
    return cell;
  }));
  message.pairs.forEach((row, i) => {
    const line = table.insertRow();
    const first = make("th", "", names[i]);
    first.scope = "row";
    line.append(first);
    row.forEach((value, j) => {
      const cell = line.insertCell();
      cell.textContent = i === j ? "·" : value === null ? "–" : value.toFixed(2);
      if (value !== null && i !== j) cell.style.setProperty("--share", value);
    });
  });
  table.createCaption().textContent =
    "Dice of each mask with each other, whole scan, at own thresholds; – where both are empty.";
  place.replaceChildren(table);
  Object.assign(place, { tabIndex: 0 });
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", "Dice of each mask with each other");
}

function swatch(colour, text, kind = "") {
  const item = make("span", "swatch " + kind, text);
  item.style.setProperty("--colour", `rgb(${colour})`);
  return item;
}

function legend(slice) {
  const parts = [];
  const add = (...what) => parts.push(swatch(...what));
  if (options.mode === "errors" && slice.truth) {
    add(ERRORS.tp, "rightly marked (true positive)", "filled");
    add(ERRORS.fp, "wrongly marked (false positive)", "filled");
    add(ERRORS.fn, "missed (false negative)", "filled");
    if (message.cards.some(judgesClasses)) {
      add(ERRORS.other, "right place, wrong class", "filled");
    }
    const mark = make("span", "", "White line: the HD95 pair. 95 % of either outline lies nearer "
      + "to the other than this. Where truth and mask are both empty, Dice is not defined.");
    parts.push(mark);
  } else {
    if (options.mode !== "none") add(options.colour, "marked as tumour", options.mode === "fill" ? "filled" : "");
    if (slice.truth && options.truth) add(TRUTH, "truth");
    parts.push(...classesLegend());
  }
  parts.push(...marksInWords().map((text) => make("span", "", text)));
  if (message.ruler) parts.push(...rulerInWords());
  const scope = message.scope === "slice" ? "this picture"
    : message.drawn.length ? "the slices you drew on" : "the whole scan";
  const truth = message.truthName ? `the truth, ${message.truthName},` : "the truth,";
  const words = message.truth ? `Dice is the overlap with ${truth} 0 to 1, over ${scope}.`
    : message.cards.length > 1 ? "Agreement is the overlap with the other models over the whole "
      + "scan: how much they agree, not how right they are. " + (message.estimateNote || "") : "";
  parts.push(make("span", "", words));
  if (!message.scope) parts.push(make("strong", "", "Not for clinical use."));
  const legend = find(".legend"); // read aloud when it changes, so not at every step of a slider
  const said = parts.map((part) => part.className + part.style.cssText + part.textContent).join();
  if (legend.dataset.said !== said) legend.replaceChildren(...parts);
  legend.dataset.said = said;
}
