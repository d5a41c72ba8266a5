// The address says what is shown: `?tab=study`, or an example and how the viewer looks at it,
// `?example=small&left=unet-bce&right=unetpp-bce&view=errors&slice=12`. Files of visitors have none.
// Between this and the viewer are two events: "look" sets what an address says, "looked" tells what
// the visitor chose. Gradio calls this once the page has greeted.
() => {
  const html = document.documentElement;
  if (html.dataset.linked) return []; // greeted again, after a lost connection
  html.dataset.linked = "";
  const VIEWS = ["fill", "outline", "errors", "none"];
  const REST_MS = 200; // browsers refuse an address that changes too often
  const viewer = document.querySelector("#compare-viewer .viewer");
  const bar = document.querySelector("#tabs > .tab-wrapper");
  const selected = () => bar.querySelector("[role=tab][aria-selected=true]")?.dataset.tabId;
  let tab = selected() || "compare";
  let example = null; // what is shown, or on its way
  let run = null; // the newest that the page has told of
  let look = {}; // left, right, view and slice, where an address or the visitor chose them
  let drawn = viewer.dataset.id;
  let resting = 0;

  const tabButton = (id) => [...bar.querySelectorAll("[role=tab], .overflow-dropdown button")].find(
    (button) => (button.dataset.tabId || button.textContent.trim().toLowerCase()) === id);
  const exampleButton = (kind) => document.querySelector(
    `#examples [data-choose="${CSS.escape(kind)}"]`);

  // What an address says, without what this page does not know.
  function read(search) {
    const given = new URLSearchParams(search);
    const kind = given.get("example");
    const found = {
      tab: tabButton(given.get("tab")) ? given.get("tab") : "compare",
      example: kind && exampleButton(kind) ? kind : null,
      look: {},
    };
    for (const side of ["left", "right"]) if (given.get(side)) found.look[side] = given.get(side);
    if (VIEWS.includes(given.get("view"))) found.look.view = given.get("view");
    if (/^[1-9]\d{0,3}$/.test(given.get("slice"))) found.look.slice = Number(given.get("slice"));
    return found;
  }

  // This page's address with that in it. What others keep there stays: Gradio's panels are a "view".
  function write(shown) {
    const url = new URL(location.href);
    const isCompare = shown.tab === "compare";
    const kind = isCompare ? shown.example : null;
    const said = { tab: isCompare ? null : shown.tab, example: kind };
    for (const key of ["left", "right", "view", "slice"]) said[key] = kind && shown.look[key];
    if (/^(api|settings)/.test(url.searchParams.get("view"))) delete said.view;
    for (const [key, value] of Object.entries(said)) {
      if (value) url.searchParams.set(key, value);
      else url.searchParams.delete(key);
    }
    return url;
  }

  // Keep the address in step. A tab and an example are places to come back to.
  function keep(isReplaced = false) {
    clearTimeout(resting);
    const url = write({ tab, example, look });
    if (url.search === location.search) return;
    const before = read(location.search);
    const isNew = before.tab !== tab || (tab === "compare" && before.example !== example);
    history[isNew && !isReplaced ? "pushState" : "replaceState"](null, "", url);
  }

  function tell() {
    if (!example || !Object.keys(look).length) return;
    viewer.dispatchEvent(new CustomEvent("look", { detail: { ...look } }));
  }

  // Show what an address says. What is there already does not run again.
  function open(wanted) {
    clearTimeout(resting);
    tabButton(wanted.tab)?.click();
    if (wanted.tab !== "compare" && !wanted.example) return;
    const isThere = wanted.example === example;
    look = { ...wanted.look };
    example = wanted.example;
    if (isThere) tell();
    else if (example) exampleButton(example).click();
    else document.querySelector("#given .given").dispatchEvent(new Event("leave", { bubbles: true }));
  }

  document.addEventListener("given", ({ detail: value }) => {
    if (value && value.run === run) return;
    run = value?.run;
    const kind = value?.example ?? null;
    if (kind !== example) look = look.view ? { view: look.view } : {};
    example = kind;
    keep(!value);
  });
  document.addEventListener("looked", ({ target, detail }) => {
    if (target !== viewer) return; // the Stress tab has one too
    const { left, right, view, slice } = detail;
    look = { left, right, view, slice };
    clearTimeout(resting);
    resting = setTimeout(keep, REST_MS, true);
  });
  new MutationObserver(() => { // something else is shown, or all of it now
    if (viewer.dataset.id === drawn) return;
    drawn = viewer.dataset.id;
    tell();
  }).observe(viewer, { attributeFilter: ["data-id"] });
  new MutationObserver(() => {
    tab = selected() || tab;
    keep();
  }).observe(bar, { subtree: true, attributeFilter: ["aria-selected"] });
  window.addEventListener("popstate", () => open(read(location.search)));
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="?"]:not([target])');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const wanted = read(link.search);
    const url = write(wanted);
    if (url.search !== location.search) history.pushState(null, "", url);
    open(wanted);
    window.scrollTo(0, 0);
  });
  // Whoever was faster than the greeting stays at the tab that he chose.
  if (tab === "compare") open(read(location.search));
  else keep();
  return [];
}
