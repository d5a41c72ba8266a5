// A click on a figure, or on its button, shows it as large as the window. Esc closes the dialog, as
// do its button and a click beside it; the focus goes back to the figure's button.
element.addEventListener("click", (event) => {
  const dialog = element.querySelector("dialog.large");
  if (!dialog) return;
  if (event.target === dialog || event.target.closest("dialog .close")) return dialog.close();
  const figure = event.target.closest(".plots figure");
  const picture = figure?.querySelector("img");
  if (!picture || !event.target.closest(".enlarge, img")) return;
  const title = figure.querySelector("figcaption span").textContent;
  const shown = dialog.querySelector("img");
  shown.src = picture.src;
  shown.alt = picture.alt;
  dialog.setAttribute("aria-label", title);
  dialog.querySelector(".title").textContent = title;
  dialog.classList.toggle("tall", picture.naturalHeight > picture.naturalWidth);
  dialog.addEventListener("close", () => figure.querySelector(".enlarge").focus(), { once: true });
  dialog.showModal();
});
