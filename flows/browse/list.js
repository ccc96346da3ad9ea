// A list of any length; only the rows in sight are in the page.
class VirtualList {
  static ROW_PX = 32;
  static PAGE = 100;
  static MAX_ROWS = 1_000_000; // browsers limit the height of an element

  constructor({ viewport, canvas, load, select, act }) {
    Object.assign(this, { viewport, canvas, load, select });
    this.total = 0;
    this.place = -1; // of the selected row in the list
    this.pages = new Map();
    this.version = 0;
    viewport.addEventListener("scroll", () => this.schedule(), { passive: true });
    new ResizeObserver(() => this.schedule()).observe(viewport);
    canvas.addEventListener("click", (event) => {
      const row = event.target.closest("[data-place]");
      if (row) act(() => this.choose(Number(row.dataset.place)));
    });
  }

  // Show the rows of another query; resolves when the first ones are there.
  async reset() {
    this.version += 1;
    this.pages.clear();
    this.place = -1;
    this.viewport.removeAttribute("aria-activedescendant");
    this.viewport.scrollTop = 0;
    await this.page(0);
    this.draw();
  }

  // The rows of a page, asked for once.
  page(number) {
    if (!this.pages.has(number)) {
      const version = this.version;
      const asked = this.load(number * VirtualList.PAGE, VirtualList.PAGE).then((found) => {
        if (version !== this.version) return [];
        this.total = Math.min(found.total, VirtualList.MAX_ROWS);
        asked.rows = found.rows;
        this.schedule();
        return found.rows;
      });
      asked.catch(() => this.pages.delete(number));
      this.pages.set(number, asked);
    }
    return this.pages.get(number);
  }

  row(place) {
    const page = this.pages.get(Math.floor(place / VirtualList.PAGE));
    return page?.rows?.[place % VirtualList.PAGE];
  }

  // Select a row and bring it into sight; resolves once it is shown. Nothing beyond the ends.
  async choose(place) {
    if (place < 0 || place >= this.total) return;
    const version = this.version;
    this.place = place;
    this.reveal(place);
    this.draw();
    await this.page(Math.floor(place / VirtualList.PAGE));
    if (version === this.version && place === this.place) await this.select(this.row(place));
  }

  reveal(place) {
    const top = place * VirtualList.ROW_PX;
    const { scrollTop, clientHeight } = this.viewport;
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + VirtualList.ROW_PX > scrollTop + clientHeight)
      this.viewport.scrollTop = top + VirtualList.ROW_PX - clientHeight;
  }

  schedule() {
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(() => {
      this.isScheduled = false;
      this.draw();
    });
  }

  draw() {
    const { scrollTop, clientHeight } = this.viewport;
    const first = Math.max(0, Math.floor(scrollTop / VirtualList.ROW_PX) - 4);
    const end = Math.min(this.total, Math.ceil((scrollTop + clientHeight) / VirtualList.ROW_PX) + 4);
    this.canvas.style.height = `${this.total * VirtualList.ROW_PX}px`;
    const rows = [];
    for (let place = first; place < end; place += 1) {
      this.page(Math.floor(place / VirtualList.PAGE)).catch(() => {});
      rows.push(this.element(place, this.row(place)));
    }
    this.canvas.replaceChildren(...rows);
    if (this.place >= first && this.place < end)
      this.viewport.setAttribute("aria-activedescendant", `place-${this.place}`);
    else this.viewport.removeAttribute("aria-activedescendant");
  }

  element(place, row) {
    const element = make("div", "row");
    element.id = `place-${place}`;
    element.dataset.place = place;
    element.style.transform = `translateY(${place * VirtualList.ROW_PX}px)`;
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", String(place === this.place));
    element.setAttribute("aria-posinset", place + 1);
    element.setAttribute("aria-setsize", this.total);
    if (!row) {
      element.append(make("span"), make("span", "quiet", "…"));
      return element;
    }
    element.append(
      make("span", `mark ${row.mark ?? ""}`, { exclude: "✕", keep: "✓" }[row.mark] ?? ""),
      make("span", `decision ${row.outcome}`, row.reason || row.outcome),
      make("span", "number", fixed(row.wer_percent, 1)),
      make("span", "number", row.insertions ?? ""),
      make("span", "number", fixed(row.duration_s, 1)),
      make("span", "corpus", row.corpus),
      make("span", "text", row.text || row.id),
    );
    if (row.mark) element.querySelector(".mark").setAttribute("aria-label", `marked ${row.mark}`);
    return element;
  }

  // Change the marks of rows that are loaded.
  mark(marks) {
    for (const page of this.pages.values())
      for (const row of page.rows ?? []) if (marks.has(row.row)) row.mark = marks.get(row.row);
    this.draw();
  }
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className.trim();
  element.textContent = text;
  return element;
}

function fixed(value, digits) {
  return value === null || value === undefined ? "" : value.toFixed(digits);
}
