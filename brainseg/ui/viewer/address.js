// What of the view belongs to an address: set by "look" events, told by "looked" ones; see
// ../links.js.

let wantedLook = null; // from an address, until the comparison it is meant for is there
let hasPair = false; // for the swipe, chosen by the visitor or an address
for (const side of [".left", ".right"]) {
  find(side).addEventListener("input", () => { hasPair = true; });
}

root.addEventListener("look", (event) => {
  wantedLook = event.detail;
  if (message && !message.running) applyLook();
});

function applyLook() {
  const { left, right, view, slice } = wantedLook || {};
  wantedLook = null;
  for (const [side, name] of [["left", left], ["right", right]]) {
    if (!message.cards.some((card) => card.name === name)) continue;
    find(`.${side}`).value = name;
    hasPair = true;
  }
  const mode = findAll("[data-mode]").find((input) => input.dataset.mode === view);
  if (mode && (message.truth || view !== "errors")) setMode(view);
  if (slice >= 1 && slice <= message.slices) show(slice - 1);
  draw();
}

const pair = () => (hasPair ? { left: find(".left").value, right: find(".right").value } : {});
const looking = () => ({ ...pair(), view: options.mode, slice: index + 1 });

// Whatever the visitor did: what an address set is no news.
let toldLook = "";
for (const event of ["input", "change", "keydown", "click"]) {
  root.addEventListener(event, () => {
    if (!message || message.running || message.scope) return;
    const detail = looking();
    if (toldLook === JSON.stringify(detail)) return;
    toldLook = JSON.stringify(detail);
    root.dispatchEvent(new CustomEvent("looked", { bubbles: true, detail }));
  });
}
