// Which control does what; then the first value.

find(".slice").id = name + "-slice";
find(".slice-label").htmlFor = name + "-slice";
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
on(".jump", "click", () => show(mostTumour()));
on(".worst", "click", () => show(worstSlice()));
on(".differs-most", "click", (event) => show(Number(event.target.dataset.slice)));
listenToRuler(find(".ruler"));
on(".sort", "change", () => { arrange(); draw(); });
on(".fusions", "toggle", draw);
on(".uncropped", "change", draw);
on(".open-extras", "click", (event) => {
  const extras = find(".extras");
  extras.hidden = !extras.hidden;
  event.currentTarget.setAttribute("aria-expanded", String(!extras.hidden));
});
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
on(".draw", "change", (event) => { setDrawing(event.target.checked); arrange(); draw(); });
on(".clear", "click", () => {
  const slice = shownSlice();
  if (!slice || !slice.truth) return;
  remember(slice);
  slice.truth = new Uint8Array(slice.width * slice.height);
  redrawTruth(slice);
  send();
});
on(".undo", "click", undo);
root.addEventListener("keydown", (event) => {
  const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
  if (!isUndo || !isDrawing()) return;
  event.preventDefault();
  undo();
});
for (const key of ["width", "level"]) {
  on(`.window-${key}`, "input", (event) =>
    setWindow({ ...windowOf(), [key]: Number(event.target.value) }));
}
on(".window-reset", "click", () => setWindow(WHOLE));
on(".cut", "input", (event) => setCut(event.target.value - 1));
listenToCoronal(find(".plane"));
on(".zoom-in", "click", () => zoom(1.6));
on(".zoom-out", "click", () => zoom(1 / 1.6));
on(".zoom-reset", "click", () => zoom(1 / look.zoom));
for (const selector of [".split", ".left", ".right"]) on(selector, "input", draw);
for (const selector of [".votes", ".entropy", ".pair"]) listen(find(selector));
root.addEventListener("keydown", (event) => {
  if (!message || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  // The browser's own, and those that scroll a table.
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest(".matrix")) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) { show(index + step); event.preventDefault(); }
});
on(".save", "click", () => trigger("download", { index, level: options.level }));
new ResizeObserver(() => requestAnimationFrame(draw)).observe(find(".body"));
root.state = () => (
  { index, look, level: options.level, slice: slices.get(index), message, layer, fill, hd95,
    picture, coronal, sequence, isAsking });
watch("value", () => receive(props.value));
receive(props.value);
