// Everything about the selected utterance, written as text and never as markup.
function showDetails(found, choose) {
  const by = (id) => document.getElementById(id);
  by("nothing").hidden = true;
  by("chosen").hidden = false;
  by("name").textContent = found.id;
  const decision = make("span", `decision ${found.outcome}`, found.outcome);
  const reason = found.reason ? `: ${found.reason}` : "";
  const detail = found.detail ? ` (${found.detail})` : "";
  by("decision").replaceChildren(decision, ` at ${found.stage}${reason}${detail}`);
  by("alignment").replaceChildren(alignment(found.alignment));
  by("texts").replaceChildren(
    ...pairs([
      ["Transcript", found.raw_text],
      ["Label", found.label?.trim()],
    ]),
  );
  by("scores").replaceChildren(...pairs(scores(found)));
  showWindow(found, choose);
  const place = found.shard === null ? "" : `/${String(found.shard).padStart(5, "0")}`;
  const file = found.file ? ` · row group ${found.row_group} of ${found.file}` : "";
  by("source").textContent = `${found.corpus}/${found.split}${place}${file}`;
  showMark(found.mark);
}

function showWindow(found, choose) {
  document.getElementById("window").replaceChildren(...windowOf(found, choose));
}

function showMark(mark) {
  for (const name of ["exclude", "keep"])
    document.getElementById(`mark-${name}`).setAttribute("aria-pressed", String(mark === name));
}

function scores(found) {
  const percent = (value) => (value === null ? null : `${value.toFixed(1)} %`);
  const errors = ["substitutions", "deletions", "insertions"];
  return [
    ["WER", percent(found.wer_percent)],
    ["WER of its window", found.window.length > 1 ? percent(found.window_wer_percent) : null],
    ["CER", percent(found.cer_percent)],
    ["Errors", found.insertions === null ? null : errors.map((name) => `${found[name]} ${name}`).join(", ")],
    ["Duration", found.duration_s === null ? null : `${found.duration_s.toFixed(2)} s`],
    ["Speaker", found.speaker_id],
    ["Recording", found.recording_id],
    ["Average log-probability", fixed(found.avg_logprob, 3)],
    ["No-speech probability", fixed(found.no_speech_prob, 3)],
    ["Compression ratio", fixed(found.compression_ratio, 2)],
    ["Most repeats of a phrase", found.most_repeats],
    ["Characters per second", fixed(found.chars_per_s, 1)],
    ["Language", found.language],
    ["Failed checks", found.flags],
  ];
}

function pairs(values) {
  return values
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => {
      const pair = make("div");
      pair.append(make("dt", "", name), make("dd", "", value));
      return pair;
    });
}

// As the macro of `alignment.html` writes it.
function alignment(chunks) {
  const line = make("p", "alignment");
  if (!chunks.length) line.append(make("span", "quiet", "nothing to compare"));
  chunks.forEach((chunk, number) => {
    if (number) line.append(" ");
    if (chunk.kind === "hit") {
      line.append(make("span", "", chunk.reference));
      return;
    }
    const span = make("span", chunk.kind);
    if (chunk.reference) span.append(titled("del", chunk.reference, "in the reference alone"));
    if (chunk.reference && chunk.hypothesis) span.append(" ");
    if (chunk.hypothesis) span.append(titled("ins", chunk.hypothesis, "in the label alone"));
    line.append(span);
  });
  return line;
}

function titled(tag, text, title) {
  const element = make(tag, "", text);
  element.title = title;
  return element;
}

function windowOf(found, choose) {
  if (found.window.length < 2) return [];
  const whole = found.unit === "window";
  const line = make(
    "p",
    "quiet",
    whole
      ? `Kept or dropped with its window. A mark to keep counts against a rule on the window once all ${found.window.length} utterances have it (shift k).`
      : `One of ${found.window.length} utterances of its window, which is cut down to the good ones.`,
  );
  const list = make("ul", "window");
  for (const one of found.window) {
    const item = make("li");
    if (one.row === found.row) item.append(make("strong", "", one.id));
    else {
      const button = make("button", "link", one.id);
      button.type = "button";
      button.addEventListener("click", () => choose(one.row));
      item.append(button);
    }
    if (one.mark) item.append(` · ${one.mark}`);
    list.append(item);
  }
  return [make("h3", "", `Window of ${found.window.length}`), line, list];
}
