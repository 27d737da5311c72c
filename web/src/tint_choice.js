// Which colors to try on hair and lips.

const COLORS = {
  hair: [["Black", "#1c1a1d"], ["Chestnut", "#5d3a25"], ["Copper", "#b4532a"], ["Blond", "#d9b36c"], ["Silver", "#b9bcc4"],
    ["Rose", "#d4708f"], ["Violet", "#7443b5"], ["Blue", "#2f6fd0"]],
  lips: [["Red", "#b3122d"], ["Coral", "#e0583f"], ["Rose", "#cf5f80"], ["Nude", "#b47a68"], ["Berry", "#7d1f4a"],
    ["Plum", "#4f1d3f"], ["Violet", "#7443b5"]],
};
const WORDS = { hair: "Hair", lips: "Lips" };
const OWN = "#8844aa"; // where a color of one's own starts

const rgbOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

export class TintChoice {
  /** `onChange` is called when a color is chosen. */
  constructor(element, onChange) {
    this.chosen = { hair: null, lips: null };
    this.onChange = onChange;
    element.replaceChildren(...Object.keys(COLORS).map((what) => this.#row(what)));
  }

  /** [red, green, blue] for each of what is colored, or null where nothing is. */
  get colors() {
    return Object.values(this.chosen).some(Boolean) ? this.chosen : null;
  }

  #row(what) {
    const row = document.createElement("div");
    row.className = "tint";
    row.setAttribute("role", "radiogroup");
    row.setAttribute("aria-label", `Color of ${what}`);
    const name = document.createElement("span");
    name.textContent = WORDS[what];
    const off = this.#swatch(what, "As it is", null);
    off.classList.add("off");
    off.querySelector("input").checked = true;
    row.append(name, off, ...COLORS[what].map(([words, hex]) => this.#swatch(what, words, hex)), this.#own(what));
    return row;
  }

  #swatch(what, words, hex) {
    const label = document.createElement("label");
    label.title = words;
    label.innerHTML = '<input type="radio"><i></i>';
    if (hex) label.style.setProperty("--color", hex);
    const input = label.querySelector("input");
    Object.assign(input, { name: `tint-${what}`, value: words });
    input.setAttribute("aria-label", words);
    input.addEventListener("change", () => this.#choose(what, hex));
    return label;
  }

  #own(what) {
    const label = document.createElement("label");
    label.className = "own";
    label.title = "A color of your own";
    label.innerHTML = '<input type="color"><i></i>';
    const input = label.querySelector("input");
    input.value = OWN;
    input.setAttribute("aria-label", `A color of your own for ${what}`);
    input.addEventListener("input", () => {
      document.querySelectorAll(`[name="tint-${what}"]`).forEach((one) => (one.checked = false));
      this.#choose(what, input.value);
    });
    return label;
  }

  #choose(what, hex) {
    this.chosen[what] = hex ? rgbOf(hex) : null;
    this.onChange();
  }
}
