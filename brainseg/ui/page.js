// What belongs to the whole page. Gradio calls it once, when the page is there.
() => {
  // The second click of a double click would begin the same work again.
  document.addEventListener("click", (event) => {
    const starts = "#run, #anyway, #run-stress, [data-choose]";
    if (event.detail > 1 && event.target.closest(starts)) event.stopImmediatePropagation();
  }, true);
  // Whoever brings a file sees where it goes.
  const unfold = () => document.querySelector("#given [aria-expanded=false]")?.click();
  document.addEventListener("dragenter", (event) => {
    if (event.dataTransfer?.types.includes("Files")) unfold();
  });
  // A file that is pasted takes the same way as one that is dropped, and the place of an earlier.
  document.addEventListener("paste", async (event) => {
    const drop = document.querySelector(".scan-drop");
    if (!drop || !event.clipboardData.files.length) return;
    unfold();
    const files = new DataTransfer();
    files.items.add(event.clipboardData.files[0]);
    drop.querySelector("[aria-label=Clear]")?.click();
    await new Promise((done) => setTimeout(done, 100)); // the input is there again after that
    const input = drop.querySelector("input[type=file]");
    if (!input) return;
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
  // Each place for a file is named after its label; Gradio gives all of them the same name.
  const nameSlots = () => {
    for (const slot of document.querySelectorAll("#inputs .slot")) {
      const label = slot.querySelector("[data-testid=block-label]")?.textContent.trim();
      for (const place of slot.querySelectorAll("[aria-dropeffect], input[type=file]")) {
        const name = `${label}: drop a file or choose one`;
        if (place.ariaLabel !== name) place.ariaLabel = name;
      }
    }
  };
  nameSlots();
  new MutationObserver(nameSlots).observe(
    document.querySelector("#inputs"), { subtree: true, childList: true });
  document.addEventListener("given", ({ detail }) => {
    for (const button of document.querySelectorAll("#examples [data-choose]")) {
      button.ariaCurrent = button.dataset.choose === detail?.example ? "true" : null;
    }
  });
}
