// Which control does what; then the first value.

for (const input of findAll("[data-mode]")) {
  input.name = name + "-mode";
  input.addEventListener("change", () => { setMode(input.dataset.mode); draw(); });
}
for (const input of findAll("[data-colour]")) {
  input.name = name + "-colour";
  const colour = input.dataset.colour.split(",").map(Number);
  input.parentNode.style.setProperty("--colour", `rgb(${colour})`);
  input.addEventListener("change", () => { options.colour = colour; draw(); });
}
const on = (selector, event, act) => find(selector).addEventListener(event, act);
on(".slice", "input", (event) => show(event.target.value - 1));
on(".jump", "click", () => show(message.start));
on(".threshold", "input", (event) => {
  options.level = Number(event.target.value);
  showLevel();
});
on(".own", "click", () => {
  options.level = null;
  showLevel();
});
function showLevel() {
  find(".threshold-value").textContent =
    options.level === null ? "own" : (options.level / 255).toFixed(2);
  find(".own").hidden = options.level === null;
  root.dataset.level = options.level === null ? "" : options.level;
  drawSoon();
}
on(".opacity", "input", (event) => {
  options.opacity = event.target.value / 100;
  find(".opacity-value").textContent = event.target.value + " %";
  drawSoon();
});
on(".truth", "change", (event) => { options.truth = event.target.checked; draw(); });
on(".more", "change", draw);
on(".draw", "change", (event) => setDrawing(event.target.checked));
on(".clear", "click", () => {
  const slice = slices.get(index);
  if (!slice || !slice.truth) return;
  slice.truth = new Uint8Array(slice.width * slice.height);
  mine.add(index);
  redrawTruth(slice);
  send();
});
on(".zoom-in", "click", () => zoom(1.6));
on(".zoom-out", "click", () => zoom(1 / 1.6));
on(".zoom-reset", "click", () => zoom(1 / look.zoom));
for (const selector of [".split", ".left", ".right"]) on(selector, "input", draw);
for (const selector of [".votes", ".entropy", ".pair"]) listen(find(selector));
root.addEventListener("keydown", (event) => {
  if (!message || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) { show(index + step); event.preventDefault(); }
});
on(".save", "click", () => trigger("download", { index, level: options.level }));
find(".extra").open = window.innerWidth > 700;
new ResizeObserver(() => requestAnimationFrame(draw)).observe(find(".body"));
// How to look, as an address says it, and what the visitor chose: see ../links.js.
root.addEventListener("look", ({ detail }) => {
  if (!message) return;
  for (const side of ["left", "right"]) {
    if (cards.has(detail[side])) find("." + side).value = detail[side];
  }
  if (detail.view && (detail.view !== "errors" || message.truth)) setMode(detail.view);
  if (detail.slice && detail.slice <= message.slices) show(detail.slice - 1);
  else draw();
});
const looking = () => ({ left: find(".left").value, right: find(".right").value,
  view: options.mode, slice: index + 1, source: message?.source });
let told = "";
for (const event of ["input", "change", "keydown", "click"]) {
  root.addEventListener(event, () => {
    const detail = looking();
    if (!message || told === JSON.stringify(detail)) return;
    told = JSON.stringify(detail);
    root.dispatchEvent(new CustomEvent("looked", { bubbles: true, detail }));
  });
}
root.state = () => (
  { index, look, level: options.level, slice: slices.get(index), message, layer, hd95 });
watch("value", () => receive(props.value));
receive(props.value);
