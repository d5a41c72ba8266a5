// What belongs to the whole page. Gradio calls it once, when the page is there.
() => {
  // The second click of a double click would begin the same work again.
  document.addEventListener("click", (event) => {
    const starts = "#run, #anyway, #run-stress, [data-choose]";
    if (event.detail > 1 && event.target.closest(starts)) event.stopImmediatePropagation();
  }, true);
  // A file that is pasted takes the same way as one that is dropped.
  document.addEventListener("paste", (event) => {
    const input = document.querySelector(".scan-drop input[type=file]");
    if (!input || !event.clipboardData.files.length) return;
    const files = new DataTransfer();
    files.items.add(event.clipboardData.files[0]);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
