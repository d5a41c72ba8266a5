// What of a slice is shown, and in which order the cards lie.

// The head and all that is marked, as shares of the slice; the whole slice where that is wanted.
const frame = () => (find(".uncropped").checked || !message.frame ? [0, 0, 1, 1] : message.frame);

// The frame's size in mm where it is known, so that pixels that are not square look right.
function sides(slice) {
  const mm = message.spacing;
  const wide = mm ? message.width * mm[2] : slice.width;
  const high = mm ? message.height * mm[1] : slice.height;
  const [, , width, height] = frame();
  return { wide: wide * width, high: high * height };
}

// From shares of the frame to shares of the slice.
function ofSlice([x, y]) {
  const [left, top, width, height] = frame();
  return [left + x * width, top + y * height];
}

// What cards are sorted by: Dice, or agreement without a truth. Rightly empty is the best.
const scoreOf = (card) => (message.truth ? card.dice ?? 2 : card.agreement ?? -1);

function sorted() {
  const all = [...message.cards];
  const by = find(".sort").value;
  const places = [...root.querySelectorAll(".cards > *")];
  if (isDrawing() && places.length === all.length) { // no card moves from under the brush
    const place = (card) => places.indexOf(cards.get(card.name)?.item);
    return all.sort((a, b) => place(a) - place(b));
  }
  if (message.scope || message.running || by === "given") return all; // cards keep their places
  if (by === "name") return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  return all.sort((a, b) => scoreOf(b) - scoreOf(a));
}

// Cards into their lists: models in sight, several fusions of them folded.
function arrange() {
  const all = sorted();
  const fusions = all.filter((card) => card.kind === "fusion");
  const isFolded = !message.scope && fusions.length > 1 && fusions.length < all.length;
  const fold = find(".fusions");
  fold.hidden = !isFolded;
  const focused = document.activeElement;
  place(find(".cards"), isFolded ? all.filter((card) => card.kind !== "fusion") : all);
  place(fold.querySelector(".cards"), isFolded ? fusions : []);
  if (root.contains(focused)) focused.focus({ preventScroll: true }); // moved, it would lose it
  if (!isFolded) return;
  const values = fusions.map(scoreOf).filter((value) => value >= 0 && value <= 1);
  const what = message.truth ? "Dice" : "agreement";
  const range = !values.length || message.running ? ""
    : `, ${what} ${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`;
  fold.querySelector("summary").textContent = `${fusions.length} fusions of these masks${range}`;
  if (fusions.some((card) => card.name === message.chosen)) fold.open = true;
}

function place(list, wanted) {
  const items = wanted.map((card) => cards.get(card.name).item);
  const isPlaced = items.length === list.children.length
    && items.every((item, i) => item === list.children[i]);
  if (!isPlaced) list.replaceChildren(...items);
}

// One card at a time may be large; the ruler then shows its errors.
function setLarge(name) {
  large = name;
  for (const [other, { item, button }] of cards) {
    item.classList.toggle("large", other === large);
    button.setAttribute("aria-pressed", String(other === large));
  }
}

const shrink = () => setLarge(null);

function enlarge(name) {
  setLarge(large === name ? null : name);
  draw();
  if (large) cards.get(large).item.scrollIntoView({ block: "nearest" });
}
