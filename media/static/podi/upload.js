/* The upload page: for each file a key, what it is exchanged for, the form to the store, and what became of it. */
"use strict";
(() => {
  const form = document.getElementById("podi-upload");
  const list = document.getElementById("podi-uploads");
  const words = form.dataset;
  const csrf = form.querySelector("[name=csrfmiddlewaretoken]").value;

  class Refusal extends Error {}

  async function read(response) {
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      const fields = Object.entries(answer.fields || {}).map(([name, text]) => `${name}: ${text}`);
      throw new Refusal([answer.detail, answer.message, ...fields].filter(Boolean).join(" · ") || String(response.status));
    }
    return answer;
  }

  /* Our own pages need the session and its CSRF token; the API needs neither, the upload key is the proof. */
  const ask = (address, values) => fetch(address, {
    method: "POST", headers: { "X-CSRFToken": csrf }, body: new URLSearchParams(values),
  }).then(read);

  const exchange = (uploadKey, file) => fetch(words.sts, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      uploadKey, taskId: "admin", action: "upload", fileName: file.name,
      mimeType: file.type || "text/plain", fileSize: file.size, channel: "admin",
    }),
  }).then(read);

  function send(grant, file, progress) {
    return new Promise((resolve, reject) => {
      const body = new FormData();
      Object.entries(grant.upload.fields).forEach(([name, value]) => body.append(name, value));
      body.append(grant.upload.fileField, file, file.name);
      const request = new XMLHttpRequest();
      /* PODI's own address is reached under the name this page has, which may be another than PODI_PUBLIC_URL. */
      request.open("POST", grant.upload.putUrl ? new URL(grant.upload.url).pathname : grant.upload.url);
      request.upload.onprogress = (event) => { if (event.lengthComputable) progress(event.loaded / event.total); };
      request.onerror = () => reject(new Refusal(words.broken));
      request.onload = () => {
        if (request.status >= 200 && request.status < 300) { resolve(); return; }
        const code = /<Code>([^<]*)/.exec(request.responseText);
        let text = code ? code[1] : String(request.status);
        try {
          const answer = JSON.parse(request.responseText);
          text = [answer.detail, answer.message].filter(Boolean).join(" · ");
        } catch { /* XML of OSS, read above */ }
        reject(new Refusal(text));
      };
      request.send(body);
    });
  }

  function addRow(file) {
    const row = document.createElement("p");
    const name = document.createElement("strong");
    name.textContent = file.name;
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = 0;
    const state = document.createElement("span");
    state.className = "podi-quiet";
    row.append(name, " ", bar, " ", state);
    list.prepend(row);
    return {
      say: (text) => { state.textContent = text; },
      progress: (part) => { bar.value = part; },
      fail: (text) => { bar.remove(); state.className = "podi-error"; state.textContent = text; },
      done: (found) => {
        bar.remove();
        row.dataset.objectKey = found.objectKey;
        state.textContent = `${words.done}: ${found.contentType} · ${Math.ceil(found.sizeBytes / 1024)} KB` +
          (found.width ? ` · ${found.width} × ${found.height} ` : " ");
        const link = document.createElement("a");
        link.href = found.page;
        link.textContent = words.open;
        row.append(" ", link);
        if (found.thumbnail) {
          const image = new Image();
          image.src = found.thumbnail;
          image.alt = "";
          image.style.maxHeight = "72px";
          row.prepend(image, " ");
        }
      },
    };
  }

  async function upload(file) {
    const row = addRow(file);
    try {
      if (file.size > Number(words.max)) throw new Refusal(words.tooLarge);
      row.say(words.stepKey);
      const { uploadKey } = await ask(words.key, {});
      row.say(words.stepGrant);
      const grant = await exchange(uploadKey, file);
      row.say(words.stepSend);
      await send(grant, file, row.progress);
      row.say(words.stepLook);
      row.done(await ask(words.result, { objectKey: grant.objectKey }));
    } catch (error) {
      row.fail(error instanceof Refusal ? error.message : words.broken);
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = form.querySelector("input[type=file]");
    const files = [...input.files];
    input.value = "";
    for (const file of files) await upload(file);
  });
})();
