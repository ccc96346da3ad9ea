// The table of all comparisons so far, with their sums.

const seconds = (ms) => (ms / 1000).toFixed(2);
const times = (first, other) => `${(first / other).toFixed(2)}×`;
const sum = (values) => values.reduce((before, one) => before + one, 0);

export class Results {
  rows = [];

  constructor(table, names) {
    this.table = table;
    const top = [["", 2]];
    const head = ["recording", "length, s"];
    names.forEach((name, number) => {
      top.push([`${name}, s`, 2]);
      head.push("end to end", "decoder");
      if (number === 0) return;
      top.push([`${name}, speed`, 2], ["words", 1]);
      head.push("end to end", "decoder", "differ");
    });
    table.tHead.append(groups(top), row("th", head, starts(names.length)));
  }

  // `found` is what each model found, `differences` for each but the first.
  add(result) {
    this.rows.push(result);
    const numModels = result.found.length;
    this.table.tBodies[0].append(row("td", cells(result), starts(numModels)));
    if (this.rows.length < 2) return;
    const total = {
      name: `${this.rows.length} recordings`,
      duration_s: sum(this.rows.map((one) => one.duration_s)),
      found: Array.from({ length: numModels }, (_, i) => ({
        total_ms: sum(this.rows.map(({ found }) => found[i].total_ms)),
        decoder_ms: sum(this.rows.map(({ found }) => found[i].decoder_ms)),
      })),
      differences: result.differences.map((_, i) =>
        sum(this.rows.map(({ differences }) => differences[i])),
      ),
    };
    this.table.tFoot.replaceChildren(row("td", cells(total), starts(numModels)));
  }
}

function cells({ name, duration_s, found, differences }) {
  const values = [name, duration_s.toFixed(1)];
  const [first] = found;
  found.forEach((one, number) => {
    values.push(seconds(one.total_ms), seconds(one.decoder_ms));
    if (number === 0) return;
    values.push(times(first.total_ms, one.total_ms), times(first.decoder_ms, one.decoder_ms));
    values.push(String(differences[number - 1]));
  });
  return values;
}

// The columns in which the groups of the header begin: two of the first model, five of each other.
function starts(numModels) {
  const others = Array.from({ length: numModels - 1 }, (_, number) => 4 + 5 * number);
  return [2, ...others.flatMap((first) => [first, first + 2, first + 4])];
}

function groups(names) {
  const found = document.createElement("tr");
  for (const [name, colSpan] of names) {
    const cell = document.createElement(name ? "th" : "td");
    Object.assign(cell, { textContent: name, colSpan, className: name && "of-group" });
    if (name) cell.scope = "colgroup";
    found.append(cell);
  }
  return found;
}

function row(kind, values, groupsBegin) {
  const found = document.createElement("tr");
  values.forEach((value, column) => {
    const cell = document.createElement(kind);
    cell.textContent = value;
    if (kind === "th") cell.scope = "col";
    if (column > 0) cell.classList.add("number");
    if (groupsBegin.includes(column)) cell.classList.add("of-group");
    found.append(cell);
  });
  return found;
}
