// Filters, marks and keys: what connects the list, the player and the server.
const by = (id) => document.getElementById(id);
const filters = by("filters");
const undoable = []; // for each change, the marks before it
const SEEK_S = 2;
const TYPING_MS = 120;

async function ask(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response;
  const told = await response.json().catch(() => ({ error: response.statusText }));
  throw new Error(told.error);
}

const focusList = () => by("viewport").focus({ preventScroll: true });

const report = (error) => {
  by("problem").textContent = error ? `${error.message ?? error}` : "";
  by("problem").hidden = !error;
};

// Keys are acted on in order, so that a mark is given to what was selected when it was pressed.
let queue = Promise.resolve();
const inOrder = (act) => (queue = queue.then(act).catch(report));

const list = new VirtualList({
  viewport: by("viewport"),
  canvas: by("canvas"),
  load: async (offset, limit) => {
    const query = new URLSearchParams([...asked(), ["offset", offset], ["limit", limit]]);
    const found = await (await ask(`rows?${query}`)).json();
    by("found").textContent = `${found.total.toLocaleString("en")} of ${total.toLocaleString("en")} utterances`;
    return found;
  },
  select: (row) => open(row.row),
  act: inOrder,
});

const player = new Player({
  audio: by("audio"),
  canvas: by("wave"),
  load: async (row) => (await ask(`audio/${row}`)).arrayBuffer(),
});

let total = 0;
let current = null; // the utterance that is shown

const openOther = (row) => inOrder(() => open(row));

async function open(row) {
  player.close();
  const found = await (await ask(`utterances/${row}`)).json();
  current = found;
  showDetails(found, openOther);
  const hasAudio = Boolean(found.file);
  by("no-audio").hidden = hasAudio;
  by("audio").hidden = by("wave").hidden = !hasAudio;
  if (hasAudio) player.open(row, by("follow").checked).catch(report);
  report(null);
}

// The filters that are set, as the server takes them.
function asked() {
  return [...new FormData(filters)].filter(([name, value]) => value !== "" && !(name === "sort" && value === "stored"));
}

function applyFilters() {
  history.replaceState(null, "", `#${new URLSearchParams(asked())}`);
  const set = new URLSearchParams(asked()).toString();
  for (const button of filters.querySelectorAll("[data-preset]"))
    button.setAttribute("aria-pressed", String(button.dataset.preset === set));
  return list.reset().then(() => report(null), report);
}

function setFilters(query) {
  filters.reset();
  for (const [name, value] of new URLSearchParams(query)) {
    const field = filters.elements.namedItem(name);
    if (field) field.value = value;
  }
  return applyFilters();
}

// Set marks on the server and show them; returns those that were there before.
async function setMarks(changes) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ changes });
  const found = await (await ask("marks", { method: "POST", headers, body })).json();
  const marks = new Map(found.now.map((one) => [one.row, one.mark]));
  list.mark(marks);
  if (current) {
    for (const one of [current, ...current.window]) if (marks.has(one.row)) one.mark = marks.get(one.row);
    showMark(current.mark);
    showWindow(current, openOther);
  }
  await summarise();
  report(null);
  return found.before;
}

// Mark the selected utterance, or its window; where it has that mark already, remove it.
async function mark(wanted, whole = false) {
  if (!current) return;
  const mark = current.mark === wanted ? null : wanted;
  const rows = whole && current.window.length ? current.window.map((one) => one.row) : [current.row];
  undoable.push(await setMarks(rows.map((row) => ({ row, mark }))));
  by("undo").disabled = !undoable.length;
}

async function undo() {
  if (!undoable.length) return;
  await setMarks(undoable[undoable.length - 1]);
  undoable.pop();
  by("undo").disabled = !undoable.length;
}

async function summarise() {
  const found = await (await ask("summary")).json();
  total = found.total;
  const { exclude, keep } = found.marks;
  by("totals").textContent = `${total.toLocaleString("en")} utterances · marked: ${exclude} to exclude, ${keep} to keep`;
  by("advice").textContent = found.advice;
  return found.counts;
}

function fillSelect(name, counts) {
  const numbers = new Map();
  for (const one of counts) if (one[name]) numbers.set(one[name], (numbers.get(one[name]) ?? 0) + one.count_all);
  for (const [value, number] of [...numbers].sort(([one], [other]) => (one < other ? -1 : 1))) {
    const option = make("option", "", `${value} (${number.toLocaleString("en")})`);
    option.value = value;
    filters.elements.namedItem(name).append(option);
  }
}

const choose = (place) => inOrder(() => list.choose(place()));
const KEYS = {
  " ": () => player.toggle(),
  ArrowDown: () => choose(() => list.place + 1),
  n: () => choose(() => list.place + 1),
  ArrowUp: () => choose(() => list.place - 1),
  p: () => choose(() => list.place - 1),
  PageDown: () => choose(() => Math.min(list.total - 1, list.place + 10)),
  PageUp: () => choose(() => Math.max(0, list.place - 10)),
  Home: () => choose(() => 0),
  End: () => choose(() => list.total - 1),
  ArrowLeft: () => player.skip(-SEEK_S),
  ArrowRight: () => player.skip(SEEK_S),
  x: () => inOrder(() => mark("exclude")),
  k: () => inOrder(() => mark("keep")),
  X: () => inOrder(() => mark("exclude", true)),
  K: () => inOrder(() => mark("keep", true)),
  u: () => inOrder(undo),
  a: () => by("follow").click(),
  "/": () => by("search").focus(),
  "?": () => by("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const isDone = event.key === "Escape" || (event.key === "Enter" && target.matches("input"));
  if (isDone && filters.contains(target)) focusList();
  if (event.ctrlKey || event.metaKey || event.altKey || by("keys").open) return;
  if (target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (event.key === " " && target.matches("button, input, audio")) return; // it presses them
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

let typing = 0;
filters.addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(applyFilters, event.target.matches("select") ? 0 : TYPING_MS);
});
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("click", (event) => {
  const preset = event.target.closest("[data-preset]");
  if (!preset) return;
  if (event.detail) focusList();
  setFilters(preset.dataset.preset);
});
// A button keeps the focus only where keys have pressed it, so that space plays after a click.
const pressed = (id, act) =>
  by(id).addEventListener("click", (event) => {
    if (event.detail) focusList();
    act(event);
  });
pressed("mark-exclude", (event) => inOrder(() => mark("exclude", event.shiftKey)));
pressed("mark-keep", (event) => inOrder(() => mark("keep", event.shiftKey)));
pressed("undo", () => inOrder(undo));
pressed("follow", () => {});
by("keys-button").addEventListener("click", () => by("keys").showModal());

summarise()
  .then((counts) => {
    for (const name of ["corpus", "outcome", "reason"]) fillSelect(name, counts);
    by("list").classList.toggle("one-corpus", new Set(counts.map((one) => one.corpus)).size < 2);
    return setFilters(location.hash.slice(1));
  })
  .then(focusList)
  .catch(report);
