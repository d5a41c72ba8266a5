// What belongs to the whole page. Gradio calls it once, when the page is there.
() => {
  // The second click of a double click would begin the same work again.
  document.addEventListener("click", (event) => {
    const starts = "#run, #anyway, #run-stress, [data-choose]";
    if (event.detail > 1 && event.target.closest(starts)) event.stopImmediatePropagation();
  }, true);
  // A file that is pasted takes the same way as one that is dropped, and the place of an earlier.
  document.addEventListener("paste", async (event) => {
    const drop = document.querySelector(".scan-drop");
    if (!drop || !event.clipboardData.files.length) return;
    const files = new DataTransfer();
    files.items.add(event.clipboardData.files[0]);
    drop.querySelector("[aria-label=Clear]")?.click();
    await new Promise((done) => setTimeout(done, 100)); // the input is there again after that
    const input = drop.querySelector("input[type=file]");
    if (!input) return;
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
