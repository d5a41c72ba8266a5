// Strokes of the drawn truth taken back, one by one, slice by slice.

const KEPT_STROKES = 40;
let strokes = new Map(); // slice -> its truth before each stroke, null where there was none

function remember(slice) {
  const before = strokes.get(index) || [];
  before.push(slice.truth && slice.truth.slice());
  strokes.set(index, before.slice(-KEPT_STROKES));
}

function undo() {
  const slice = shownSlice();
  if (!slice || !strokes.get(index)?.length) return;
  slice.truth = strokes.get(index).pop();
  redrawTruth(slice);
  send();
}

// The stroke on its way, as if it had not begun.
function takeBack() {
  stroke = null;
  const slice = shownSlice();
  slice.truth = strokes.get(index).pop();
  redrawTruth(slice);
  if (!strokes.get(index).length && !message.drawn.includes(index)) mine.delete(index);
}

const showUndo = () => { find(".undo").disabled = !strokes.get(index)?.length; };
