// Masks whose pixels are told apart: kinds of tumour, or regions of one.

const classesOf = (slice, card) => slice.classes?.[card.name];
const classColour = (value) => message.classColours[(value - 1) % message.classColours.length];

// Whether a card's classes are those that the truth tells apart.
const judgesClasses = (card) => (card.wrongClass ?? null) !== null;

// Rightly marked, but as something else: neither right nor missed. By name, since the card may number
// classes otherwise than the truth.
function isWrongClass(slice, card, i) {
  const value = judgesClasses(card) && slice.truth[i] && slice.trueClasses?.[i];
  return Boolean(value)
    && classesOf(slice, card)[i] !== card.classes.indexOf(message.classNames[value - 1]) + 1;
}

// What a card says of classes: the kind, or how much there is of each region. Nothing where each
// slice counts for itself, since the figures are of all of them.
function classesInWords(card, c) {
  if (!card.classes || options.level !== null || message.scope === "slice") return "";
  if (card.isKind) {
    return card.tumourKind ? `${card.tumourKind} ${card.tumourShare.toFixed(2)}`
      : "Can't tell the kind: nothing is marked.";
  }
  if (!c.marked) return "";
  const parts = card.classes.map((name, i) => [name, card.classPixels[i]]).filter(([, n]) => n);
  return parts.map(([name, pixels]) => `${name} ${size(pixels)}`).join(", ");
}

function classesLegend() {
  const names = [...new Set(message.cards.flatMap((card) => card.classes || []))];
  const first = message.cards.find((card) => card.classes);
  if (!first || options.mode === "none" || options.mode === "outline") return [];
  const said = names.map((text) => {
    const card = message.cards.find((one) => one.classes?.includes(text));
    return swatch(classColour(card.classes.indexOf(text) + 1), text, "filled");
  });
  if (message.cards.some((card) => card.isKind)) {
    said.push(make("span", "", "The number after a kind is its share of the marked pixels."));
  }
  return said;
}
