/* Menus of the list filters go where they point. */
"use strict";
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-podi-goto]")) location.assign(event.target.value);
});
