/* The test panel: previews, drag and paste, run and dry run, errors at their fields, the same call with curl. */
"use strict";
(() => {
  const form = document.getElementById("podi-panel");
  const outcome = document.getElementById("podi-outcome");
  const curl = form.querySelector("[data-curl]");
  let watch = null;

  /* Pictures */
  form.querySelectorAll("[data-drop]").forEach((drop) => {
    const input = drop.querySelector("input[type=file]");
    const previews = drop.querySelector("[data-previews]");
    const address = drop.querySelector("[data-address]");
    const multiple = drop.dataset.multiple === "1";

    function preview(source, note, remove) {
      const figure = document.createElement("figure");
      const frame = document.createElement("span");
      frame.className = "podi-frame";
      const image = new Image();
      const caption = document.createElement("figcaption");
      image.onload = () => { caption.textContent = `${note} ${image.naturalWidth} × ${image.naturalHeight}`; };
      image.onerror = () => { caption.textContent = note; };
      image.src = source;
      frame.append(image);
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "×";
      button.addEventListener("click", () => { remove(); draw(); });
      figure.append(frame, caption, button);
      previews.append(figure);
    }

    function draw() {
      previews.querySelectorAll("figure:not([data-kept])").forEach((figure) => figure.remove());
      [...input.files].forEach((file, index) => {
        preview(URL.createObjectURL(file), `${file.name} · ${Math.ceil(file.size / 1024)} KB ·`, () => {
          const rest = new DataTransfer();
          [...input.files].forEach((other, at) => { if (at !== index) rest.items.add(other); });
          input.files = rest.files;
        });
      });
      address.value.split("\n").map((line) => line.trim()).filter((line) => /^https?:\/\//.test(line)).forEach((line) => {
        preview(line, "URL", () => { address.value = address.value.split("\n").filter((other) => other.trim() !== line).join("\n"); });
      });
      changed();
    }

    function take(files) {
      const pictures = [...files].filter((file) => file.type.startsWith("image/"));
      if (!pictures.length) return;
      const all = new DataTransfer();
      if (multiple) [...input.files].forEach((file) => all.items.add(file));
      (multiple ? pictures : pictures.slice(0, 1)).forEach((file) => all.items.add(file));
      input.files = all.files;
      replaceOthers("file");
      draw();
    }

    /* One picture means one: the newest choice wins. */
    function replaceOthers(by) {
      if (multiple) return;
      previews.querySelectorAll("[data-kept]").forEach((figure) => figure.remove());
      if (by === "file") address.value = "";
      else input.value = "";
    }

    input.addEventListener("change", () => { if (input.files.length) replaceOthers("file"); draw(); });
    address.addEventListener("change", () => { if (address.value.trim()) replaceOthers("address"); draw(); });
    previews.querySelectorAll("[data-remove]").forEach((button) => button.addEventListener("click", () => { button.closest("figure").remove(); changed(); }));
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("podi-over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("podi-over"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("podi-over"); take(event.dataTransfer.files); });
    drop.addEventListener("paste", (event) => take(event.clipboardData.files));
    drop.podiTake = take;
    draw();
  });
  document.addEventListener("paste", (event) => {
    const drop = form.querySelector("[data-drop]");
    if (drop && event.clipboardData.files.length && !event.target.closest("[data-drop]")) drop.podiTake(event.clipboardData.files);
  });

  /* The same call with curl */
  function inputs() {
    const found = {};
    const uploads = [];
    form.querySelectorAll("[data-field]").forEach((field) => {
      const name = field.dataset.field;
      const control = field.querySelector(`[name="in-${name}"]:not([type=hidden])`);
      if (field.classList.contains("podi-kind-image")) {
        const lines = control.value.split("\n").map((line) => line.trim()).filter(Boolean);
        const files = [...field.querySelector("input[type=file]").files].map((file) => file.name);
        field.querySelectorAll("[data-kept] figcaption").forEach((caption) => files.push(caption.firstChild.textContent));
        const pictures = [...lines];
        files.forEach((file) => { uploads.push(file); pictures.push(`@@${uploads.length - 1}@@`); });
        if (pictures.length) found[name] = field.querySelector("[data-drop]").dataset.multiple ? pictures : pictures[0];
      } else if (control.type === "checkbox") found[name] = control.checked;
      else if (control.value.trim() !== "") found[name] = control.type === "number" ? Number(control.value) : control.value;
    });
    return { found, uploads };
  }

  function changed() {
    const { found, uploads } = inputs();
    const body = { inputs: found };
    const pick = (name) => form.elements[name]?.value.trim();
    if (pick("executor")) body.executorId = pick("executor");
    if (pick("version")) body.version = pick("version");
    if (pick("priority")) body.priority = Number(pick("priority"));
    if (pick("deadline")) body.deadlineSeconds = Number(pick("deadline"));
    if (pick("trace")) body.metadata = { traceId: pick("trace") };
    const quote = (text) => text.replaceAll("'", "'\\''");
    const json = quote(JSON.stringify(body, null, 2)).replace(/@@(\d+)@@/g, (_match, at) => `'"$(base64 < '${quote(uploads[at])}' | tr -d '\\n')"'`);
    curl.textContent = `curl -sS '${form.dataset.invoke}' \\\n  -H "Authorization: Bearer $PODI_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  --data-binary @- <<< '${json}'`;
  }
  form.addEventListener("input", changed);
  form.querySelector("[data-copy]").addEventListener("click", async (event) => {
    event.preventDefault();
    const button = event.currentTarget, before = button.textContent;
    if (navigator.clipboard) await navigator.clipboard.writeText(curl.textContent);
    else {
      form.querySelector(".podi-curl").open = true;
      getSelection().selectAllChildren(curl);
      document.execCommand("copy");
    }
    button.textContent = form.dataset.copied;
    setTimeout(() => { button.textContent = before; }, 1500);
  });
  form.querySelector("[data-version]").addEventListener("change", (event) => {
    const address = new URL(location.href);
    if (event.target.value) address.searchParams.set("version", event.target.value);
    else address.searchParams.delete("version");
    location.assign(address);
  });

  /* Run and dry run */
  function clearErrors() {
    form.querySelectorAll(".podi-wrong").forEach((field) => field.classList.remove("podi-wrong"));
    form.querySelectorAll("[data-error], [data-other-errors]").forEach((place) => { place.hidden = true; place.textContent = ""; });
  }

  function showErrors(fields) {
    const elsewhere = [];
    Object.entries(fields || {}).forEach(([name, text]) => {
      const field = [...form.querySelectorAll("[data-field]")].find((candidate) => candidate.dataset.field === name);
      if (!field) { elsewhere.push(`${name}: ${text}`); return; }
      field.classList.add("podi-wrong");
      const place = field.querySelector("[data-error]");
      place.textContent = text;
      place.hidden = false;
    });
    const place = form.querySelector("[data-other-errors]");
    place.textContent = elsewhere.join(" ");
    place.hidden = !elsewhere.length;
    form.querySelector(".podi-wrong")?.scrollIntoView({ block: "nearest" });
  }

  async function send(isDry) {
    clearErrors();
    if (watch) watch.stop();
    const data = new FormData(form);
    if (isDry) data.append("dry_run", "1");
    const buttons = form.querySelectorAll("[data-run], [data-dry]");
    buttons.forEach((button) => { button.disabled = true; });
    outcome.innerHTML = '<progress class="podi-progress"></progress><p class="podi-quiet"></p>';
    outcome.lastChild.textContent = form.dataset.sending;
    try {
      const response = await fetch(form.action, { method: "POST", body: data, credentials: "same-origin" });
      const answer = await response.json();
      if (answer.html) outcome.innerHTML = answer.html;
      if (!response.ok) showErrors(answer.fields);
      if (answer.live) watch = window.podiWatch(outcome, answer.live, answer.taskId, { onEnd: loadRuns });
    } catch (error) {
      outcome.innerHTML = '<div class="podi-problem" role="alert"><p></p></div>';
      outcome.querySelector("p").textContent = form.dataset.broken;
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  }

  async function loadRuns() {
    const response = await fetch(form.dataset.runs, { credentials: "same-origin" });
    if (response.ok) document.getElementById("podi-runs").innerHTML = await response.text();
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); send(false); });
  form.querySelector("[data-dry]").addEventListener("click", () => send(true));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(false); }
  });
  changed();
})();
