// What is written on the pictures: the patient's sides, the sequence, and where the coronal plane
// cuts. In the canvas's own pixels, so that it stays in place and in size when zoomed.

const WRITING = [255, 255, 255];
const onScreen = () => Math.min(2, window.devicePixelRatio || 1); // of a canvas, in one CSS pixel

function marks(context, slice) {
  const { width, height } = context.canvas;
  const placed = context.getTransform();
  const unit = onScreen();
  untransformed(context, () => {
    letters(context);
    write(context, caption(), [6 * unit, height - 5 * unit], 11, "left", "alphabetic");
    if (!coronal) return;
    const y = placed.f + (cut + 0.5) / message.height * slice.height * placed.d;
    line(context, new Path2D(`M0 ${y}h${5 * unit}M${width} ${y}h${-5 * unit}`), WRITING, 1.4);
  });
}

function untransformed(context, act) {
  const { lineScale } = context;
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.lineScale = onScreen();
  act();
  context.restore();
  context.lineScale = lineScale;
}

// The letters of the patient's sides, where the scan tells them.
function letters(context) {
  if (!message.sides) return;
  const { width, height } = context.canvas;
  const away = 7 * onScreen();
  write(context, message.sides[0], [away, height / 2], 13, "left", "middle");
  write(context, message.sides[1], [width - away, height / 2], 13, "right", "middle");
}

function caption() {
  const [width, level] = windowText();
  const { name: text } = message.sequences[sequence];
  return [text, isWhole() ? "" : `W ${width} L ${level}`].filter(Boolean).join("  ");
}

function write(context, text, at, size, align, baseline) {
  context.font = `600 ${size * onScreen()}px system-ui, sans-serif`;
  Object.assign(context, { textAlign: align, textBaseline: baseline, lineJoin: "round" });
  context.lineWidth = 3 * onScreen();
  context.strokeStyle = "rgba(0, 0, 0, .75)";
  context.strokeText(text, ...at);
  context.fillStyle = `rgb(${WRITING})`;
  context.fillText(text, ...at);
}

// The same for the legend, in words.
function marksInWords() {
  const said = [];
  const { name: text } = message.sequences[sequence];
  if (text) said.push(`Picture: ${inFull(text)}${isWhole() ? "" : ", with a window of your own"}.`);
  const names = { R: "right", L: "left", A: "front", P: "back", F: "feet", H: "head" };
  if (message.sides) {
    said.push(`${message.sides.join(", ")}: the patient's `
      + `${message.sides.map((letter) => names[letter]).join(" and ")}.`);
  }
  return said;
}
