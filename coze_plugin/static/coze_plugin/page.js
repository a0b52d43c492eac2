/* Copying the import address, and reading it as Coze's dialog does: a plain GET without credentials. */
"use strict";

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

async function checkAddress(button) {
  const outcome = document.querySelector("[data-coze-outcome]");
  button.disabled = true;
  outcome.hidden = true;
  try {
    const response = await fetch(button.dataset.cozeCheck, { credentials: "omit", cache: "no-store" });
    const found = response.ok ? Object.keys((await response.json()).paths).length : 0;
    outcome.textContent = response.ok ? button.dataset.good.replace("#", found) : `${button.dataset.bad} (${response.status})`;
    outcome.className = `podi-pill podi-is-${response.ok ? "succeeded" : "failed"}`;
  } catch (error) {
    outcome.textContent = String(error);
    outcome.className = "podi-pill podi-is-failed";
  }
  outcome.hidden = false;
  button.disabled = false;
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-coze-copy]");
  const check = event.target.closest("[data-coze-check]");
  if (copy) {
    await copyText(copy.dataset.cozeCopy);
    const before = copy.textContent;
    copy.textContent = copy.dataset.done;
    setTimeout(() => { copy.textContent = before; }, 1500);
  }
  if (check) {
    await checkAddress(check);
  }
});
