// One line on what is compared, in the place of the inputs, once there is something of it to see.
// Its value is that of `given` in compare_actions.py; it tells the page of it as an event, "given".
const line = element.querySelector(".given");
const change = line.querySelector("button");
let value = null;
let folded = null; // the run that the inputs were folded for
let viewer = null;

function fold(isFolded) {
  change.setAttribute("aria-expanded", String(!isFolded)); // the style sheet does the rest
  change.textContent = isFolded ? "change" : "close";
}

change.addEventListener("click", () => {
  const wasFolded = change.getAttribute("aria-expanded") === "false";
  fold(!wasFolded);
  const places = ["#examples [aria-current]", ".scan-drop button"];
  if (wasFolded) document.querySelector(places[value.example ? 0 : 1])?.focus();
});

// Once for each run, together with its first picture, so that the page moves once.
function foldOnce() {
  if (!value?.isShown || value.run === folded || viewer.dataset.state !== "shown") return;
  folded = value.run;
  const hadFocus = document.querySelector("#inputs").contains(document.activeElement);
  fold(true);
  if (hadFocus) change.focus({ preventScroll: true });
  if (!line.offsetParent) return; // the visitor looks at another tab
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  line.scrollIntoView({ block: "start", behavior: isCalm ? "auto" : "smooth" });
}

function receive() {
  value = props.value;
  line.hidden = !value?.name;
  line.firstElementChild.textContent = value?.name || "";
  if (line.hidden) fold(false);
  if (!viewer) {
    viewer = document.querySelector("#compare-viewer .viewer");
    new MutationObserver(foldOnce).observe(viewer, { attributeFilter: ["data-state"] });
  }
  foldOnce();
  element.dispatchEvent(new CustomEvent("given", { bubbles: true, detail: value }));
}

element.addEventListener("leave", () => trigger("leave")); // see links.js
watch("value", receive);
