// The list of classes: which are in the photo, and which of them are shown.

import { CLASSES } from "./classes.js";

const BACKGROUND = 0;

function percent(share) {
  if (share < 0.001) return "less than 0.1 %";
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** The legend in an element. `onChange` is called when classes are switched. */
export class Legend {
  constructor(element, onChange) {
    this.onChange = onChange;
    this.element = element;
    this.shown = new Set(CLASSES.map(({ id }) => id).filter((id) => id !== BACKGROUND));
    this.rows = CLASSES.map((one) => this.#row(one));
    element.replaceChildren(...this.rows);
  }

  #row({ id, words, color }) {
    const row = document.createElement("label");
    row.className = "class";
    row.innerHTML = '<input type="checkbox"><i></i><span></span>';
    row.style.setProperty("--color", `rgb(${color})`);
    row.querySelector("span").textContent = words;
    const box = row.querySelector("input");
    box.checked = this.shown.has(id);
    box.addEventListener("change", () => {
      if (box.checked) this.shown.add(id);
      else this.shown.delete(id);
      this.onChange();
    });
    return row;
  }

  /** List the classes of which a photo has pixels: `counts` of each. */
  list(counts) {
    const all = counts.reduce((sum, count) => sum + count, 0);
    this.rows.forEach((row, id) => {
      row.hidden = !counts[id];
      row.title = `${CLASSES[id].words}: ${percent(counts[id] / all)} of the photo`;
    });
  }

  /** Show the classes that `choose` says yes to, by id and by whether it is shown now. */
  choose(choose) {
    this.shown = new Set(CLASSES.map(({ id }) => id).filter((id) => choose(id, this.shown.has(id))));
    this.rows.forEach((row, id) => (row.querySelector("input").checked = this.shown.has(id)));
    this.onChange();
  }

  /** Mark the class that is pointed at, or none. */
  point(id) {
    this.rows.forEach((row, at) => row.classList.toggle("pointed", at === id));
  }
}
