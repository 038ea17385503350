// A table whose rows are keyed: cells change in place, and no row moves, comes or goes under the pointer or the focus.

import { make, setAttribute, setText } from "./dom.js";

const CAN_HOVER = matchMedia("(hover: hover)");
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

// columns: {label, number, flash, cell: (row) => text or {text, note, tone, title}}
// actions: [{label, name: (row) => text, run: (row, button), fits: (row) => whether it applies to this row}, …]
export class Table {
  #body;
  #columns;
  #actions;
  #newestFirst;
  #empty;
  #rows = new Map(); // key -> {tr, cells, row}
  #last = null;

  constructor(panel, { columns, actions = [], newestFirst = false, empty }) {
    this.#columns = columns;
    this.#actions = actions;
    this.#newestFirst = newestFirst;
    this.#empty = panel.querySelector(".empty");
    this.#empty.textContent = empty;
    const head = make("tr");
    for (const column of columns) head.append(make("th", { scope: "col", text: column.label, class: column.number && "number" }));
    if (actions.length) head.append(make("th", { scope: "col" }, make("span", { class: "unseen", text: "Action" })));
    this.#body = make("tbody");
    panel.querySelector("table").append(make("thead", {}, head), this.#body);
    for (const event of ["pointerleave", "focusout"]) {
      this.#body.addEventListener(event, () => this.#last && requestAnimationFrame(() => this.show(this.#last)));
    }
  }

  // entries: [[key, row], …] in the order to show
  show(entries) {
    this.#last = entries;
    const keys = new Set(entries.map(([key]) => key));
    const held = this.#held(keys);
    for (const [key, { tr }] of this.#rows) {
      if (keys.has(key)) continue;
      if (held) this.#gone(tr);
      else {
        tr.remove();
        this.#rows.delete(key);
      }
    }
    let place = this.#body.firstElementChild;
    for (const [key, row] of entries) {
      if (held && this.#newestFirst && !this.#rows.has(key)) continue;
      const { tr } = this.#update(key, row);
      if (held) {
        if (!tr.isConnected) this.#body.append(tr);
      } else if (tr === place) place = place.nextElementSibling;
      else this.#body.insertBefore(tr, place);
    }
    this.#empty.hidden = this.#rows.size > 0;
  }

  // Write the cells again, because what they say also depends on the time.
  refresh() {
    for (const entry of this.#rows.values()) this.#write(entry);
  }

  #held(keys) {
    if (CAN_HOVER.matches && this.#body.matches(":hover")) return true;
    return keys.has(this.#body.querySelector(":focus-visible")?.closest("tr").dataset.key);
  }

  #gone(tr) {
    tr.classList.add("gone");
    for (const button of tr.querySelectorAll("button")) button.disabled = true;
  }

  #update(key, row) {
    let entry = this.#rows.get(key);
    if (!entry) this.#rows.set(key, (entry = this.#create(key)));
    if (entry.row !== row) {
      entry.row = row;
      this.#write(entry);
    }
    return entry;
  }

  #write(entry) {
    const { row } = entry;
    this.#columns.forEach((column, index) => this.#fill(entry.cells[index], column.cell(row), column.flash));
    this.#actions.forEach((action, index) => {
      setAttribute(entry.buttons[index], "aria-label", action.name(row));
      entry.buttons[index].hidden = action.fits ? !action.fits(row) : false;
    });
  }

  #create(key) {
    const tr = make("tr", { "data-key": key });
    const cells = this.#columns.map((column, index) => {
      const cell = make(index === 0 ? "th" : "td", { scope: index === 0 ? "row" : null, "data-label": column.label });
      if (column.number) cell.classList.add("number");
      cell.append(make("span", { class: "value" }), make("small"));
      tr.append(cell);
      return cell;
    });
    const entry = { tr, cells, row: null, buttons: [] };
    for (const action of this.#actions) {
      const button = make("button", { type: "button", class: "row-action", "data-acts": "", text: action.label });
      button.addEventListener("click", () => action.run(entry.row, button));
      entry.buttons.push(button);
    }
    if (entry.buttons.length) tr.append(make("td", { class: "action" }, ...entry.buttons));
    return entry;
  }

  #fill(cell, content, flash) {
    const { text, note = "", tone = "", title = null } = typeof content === "string" ? { text: content } : content;
    const [value, small] = cell.children;
    if (flash && value.textContent && value.textContent !== text && !STILL.matches) {
      value.animate({ backgroundColor: ["var(--flash)", "transparent"] }, 300);
    }
    setText(value, text);
    setText(small, note);
    setAttribute(value, "class", `value ${tone}`.trim());
    setAttribute(cell, "title", title);
  }
}
