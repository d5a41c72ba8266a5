// Masks whose pixels are told apart: kinds of tumour, or regions of one.

const classesOf = (slice, card) => slice.classes?.[card.name];
const classColour = (value) => message.classColours[(value - 1) % message.classColours.length];

// A truth's class as this card numbers it; 255 for one that it does not know.
function trueClass(slice, card, i) {
  const value = slice.trueClasses[i];
  if (!value) return 0;
  return card.classes.indexOf(message.classNames[value - 1]) + 1 || 255;
}

// Rightly marked, but as something else: neither right nor missed.
function isWrongClass(slice, card, i) {
  const found = classesOf(slice, card);
  return Boolean(found && message.classNames.length && slice.trueClasses && slice.truth[i] && slice.trueClasses[i]
    && found[i] !== trueClass(slice, card, i));
}

// What a card says of classes: the kind, or how much there is of each region.
function classesInWords(card, c) {
  if (!card.classes || options.level !== null) return "";
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
  if (first.isKind) {
    said.push(make("span", "", "The number after a kind is its share of the marked pixels."));
  }
  return said;
}
