/* Keeps a part of a page like the task it shows: told by the event stream, and asking again where that is silent. */
"use strict";
window.podiWatch = function (box, url, taskId, options = {}) {
  let timer = null, socket = null, done = false, loading = false, again = false, shown = box.innerHTML;
  const pause = () => (socket && socket.readyState === WebSocket.OPEN ? 3000 : 1000);

  async function load() {
    if (done) return;
    if (loading) { again = true; return; }
    loading = true;
    clearTimeout(timer);
    try {
      const response = await fetch(url, { credentials: "same-origin", headers: { "X-Requested-With": "podi" } });
      if (response.ok && !response.redirected) {
        show(await response.text());
        if (response.headers.get("X-Task-Final") === "1") return stop();
      }
    } catch (error) { /* the server restarts: ask again */ }
    finally { loading = false; }
    if (done) return;
    if (again) { again = false; load(); } else timer = setTimeout(load, pause());
  }

  function show(html) {
    if (html === shown) return;
    shown = html;
    const open = new Set([...box.querySelectorAll("details[open][data-keep]")].map((d) => d.dataset.keep));
    box.innerHTML = html;
    box.querySelectorAll("details[data-keep]").forEach((d) => { d.open = open.has(d.dataset.keep); });
    if (options.onShow) options.onShow(box);
  }

  function listen() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}/api/notify/v1/stream${options.foreign ? "?all=1" : ""}`, ["podi.v1"]);
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "ping") socket.send(JSON.stringify({ type: "pong" }));
      else if (event.type === "hello" || (event.payload && event.payload.taskId === taskId)) load();
    };
  }

  function stop() {
    done = true;
    clearTimeout(timer);
    if (socket) socket.close();
    if (options.onEnd) options.onEnd(box);
  }

  try { listen(); } catch (error) { /* without the stream we ask every second */ }
  load();
  return { stop() { options.onEnd = null; stop(); } };
};

document.querySelectorAll("[data-podi-live]").forEach((box) => {
  if (box.dataset.final) return;
  window.podiWatch(box, box.dataset.podiLive, box.dataset.task, {
    foreign: box.dataset.foreign === "1",
    onEnd() {
      const state = box.querySelector("[data-state]")?.dataset.state;
      document.querySelectorAll("[data-while=open]").forEach((form) => { form.hidden = true; });
      document.querySelectorAll("[data-while=failed]").forEach((form) => { form.hidden = state === "succeeded"; });
    },
  });
});
