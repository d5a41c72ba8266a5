// Two models on one picture, left and right of a line.

// The pair to begin with: the closest to the truth, or to the others, and the furthest from it; or
// the model that the visitor marked, and the best other.
function choosePair() {
  if (message.running || message.scope || !message.pairs || root.dataset.paired === message.id) return;
  root.dataset.paired = message.id;
  const models = message.cards.filter((card) => card.kind !== "fusion");
  if (models.length < 2) return;
  const best = [...models].sort((a, b) => scoreOf(b) - scoreOf(a));
  const left = message.cards.find((card) => card.name === message.chosen) || best[0];
  const right = left === best[0] ? best.at(-1) : best[0];
  find(".left").value = left.name;
  find(".right").value = right.name;
}

const pairOf = () => [find(".left").value, find(".right").value].map((text) =>
  message.cards.find((card) => card.name === text) || message.cards[0]);

// Once for each comparison, the line goes through what the two say differently.
function placeSplit(slice) {
  if (message.running || !message.pairs || root.dataset.split === message.id) return;
  const masks = pairOf().map((card) => slice.maps[card.name] && maskOf(slice, card));
  if (!masks[0] || !masks[1]) return;
  root.dataset.split = message.id;
  let [sum, count] = [0, 0];
  for (let i = 0; i < masks[0].length; i++) {
    if (masks[0][i] !== masks[1][i]) { sum += i % slice.width; count++; }
  }
  const [left, , width] = frame();
  const share = count ? ((sum / count + 0.5) / slice.width - left) / width : 0.5;
  find(".split").value = Math.max(5, Math.min(95, 100 * share));
}

function swipe(slice, label) {
  const canvas = find(".pair");
  const [left, right] = pairOf();
  const [i, j] = [left, right].map((card) => message.cards.indexOf(card));
  const most = message.apart && message.slices > 1 ? message.apart[i][j] : -1;
  const button = find(".differs-most");
  button.hidden = most < 0;
  button.textContent = `Most different: slice ${slicesName(most)}`;
  button.dataset.slice = most;
  placeSplit(slice);
  const context = prepare(canvas, slice);
  stack(context, slice, right);
  const at = canvas.width * find(".split").value / 100;
  const transform = context.getTransform();
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.beginPath();
  context.rect(0, 0, at, canvas.height);
  context.clip();
  context.setTransform(transform);
  const scale = context.lineScale;
  stack(Object.assign(context, { lineScale: scale }), slice, left);
  context.restore();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#fff";
  context.fillRect(at - 1, 0, 2, canvas.height);
  const edge = 6 * onScreen();
  write(context, left.name, [edge, edge], 12, "left", "top");
  write(context, right.name, [canvas.width - edge, canvas.height - edge], 12, "right", "bottom");
  canvas.setAttribute("aria-label", `${label}: ${left.name} left, ${right.name} right of the line`);
}
