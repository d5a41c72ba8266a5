// Which sequence is shown. Its pictures are asked for when they are to be seen, see slices.js.

let sequence = 0; // its number among those of the message

// What a reader chose for the scan before this one.
function beginReading(value) {
  sequence = value.sequence;
  windows = {};
  strokes = new Map();
  cut = -1;
  coronal = null;
}

// Named in full for who points at it or has it read aloud.
const inFull = (text) => text.replace("T1c", "T1 after contrast")
  .replace(" = ", " and ") + (text.includes(" = ") ? ", which are one image in this scan" : "");

function offerSequences() {
  const group = find(".sequences");
  const names = message.sequences.map((one) => one.name);
  group.hidden = names.length < 2;
  if (group.dataset.names !== names.join()) {
    group.dataset.names = names.join();
    group.replaceChildren(...names.map((text, i) => {
      const label = Object.assign(make("label", ""), { title: inFull(text) });
      const input = Object.assign(document.createElement("input"),
        { type: "radio", name: name + "-sequence", value: i });
      input.addEventListener("change", () => chooseSequence(i));
      label.append(input, make("span", "", text));
      return label;
    }));
  }
  group.querySelectorAll("input").forEach((input, i) => { input.checked = i === sequence; });
  showWindow();
}

function chooseSequence(number) {
  sequence = number;
  showWindow();
  drawSoon();
  ask();
}

// The slice to draw, once the picture that shall be seen is there.
function shownSlice() {
  const slice = slices.get(index);
  return slice?.images[sequence] ? slice : undefined;
}
