/* JSON editors: say at once what is wrong and where, lay out anew, keep the indent; a table of the fields of a schema. */
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("textarea.podi-json-editor").forEach((area) => {
    const bar = document.createElement("div");
    bar.className = "podi-json-bar";
    const note = document.createElement("span");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "podi-button podi-plain";
    button.textContent = "{ }";
    button.title = "Ctrl Shift F";
    bar.append(note, button);
    area.before(bar);
    const table = area.name === "input_schema" ? document.createElement("div") : null;
    if (table) { table.className = "podi-schema"; area.after(table); }

    function check() {
      let value = null;
      try {
        value = area.value.trim() ? JSON.parse(area.value) : {};
        note.textContent = `✓ JSON · ${area.value.split("\n").length}`;
        note.className = "podi-good";
      } catch (error) {
        note.textContent = `✗ ${where(error, area.value)}`;
        note.className = "podi-bad";
      }
      area.rows = Math.min(Math.max(area.value.split("\n").length + 1, 4), 30);
      if (table && value) drawFields(table, value);
    }
    function layOut() {
      try { area.value = JSON.stringify(JSON.parse(area.value), null, 2); } catch (error) { /* the note tells */ }
      check();
    }
    area.addEventListener("input", check);
    button.addEventListener("click", layOut);
    area.addEventListener("keydown", (event) => {
      if (event.ctrlKey && event.shiftKey && event.key.toLowerCase() === "f") { event.preventDefault(); layOut(); }
      if (event.key === "Tab" && !event.shiftKey) { event.preventDefault(); insert(area, "  "); }
      if (event.key === "Enter") {
        const line = area.value.slice(0, area.selectionStart).split("\n").pop();
        event.preventDefault();
        insert(area, `\n${line.match(/^\s*/)[0]}${/[[{]\s*$/.test(line) ? "  " : ""}`);
      }
    });
    check();
  });

  function insert(area, text) {
    area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input"));
  }

  /* Browsers say "at position 12" or "at line 2 column 3"; people want the line. */
  function where(error, text) {
    const position = /position (\d+)/.exec(error.message);
    if (!position || /line \d+/.test(error.message)) return error.message;
    const before = text.slice(0, Number(position[1])).split("\n");
    return `${before.length}:${before.pop().length + 1} ${error.message}`;
  }

  function drawFields(table, value) {
    table.replaceChildren();
    const fields = Array.isArray(value.fields) ? value.fields : [];
    fields.forEach((field, index) => {
      const row = document.createElement("div");
      const cells = [
        `${index}`, field.name, field.type || "text", field.label || "", field.required ? "*" : "",
        field.default === undefined ? "" : JSON.stringify(field.default),
        [field.min, field.max].some((edge) => edge !== undefined) ? `${field.min ?? ""}…${field.max ?? ""}${field.unit || ""}` : "",
        Array.isArray(field.options) ? field.options.map((o) => (o && typeof o === "object" ? o.value : o)).join(" | ") : "",
      ];
      cells.forEach((text) => { const cell = document.createElement("span"); cell.textContent = text ?? "?"; row.append(cell); });
      table.append(row);
    });
  }
});
