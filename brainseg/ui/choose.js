// A click on anything with data-choose is an event with its name.
element.addEventListener("click", (event) => {
  const target = event.target.closest("[data-choose]");
  if (target) trigger("choose", { name: target.dataset.choose });
});
