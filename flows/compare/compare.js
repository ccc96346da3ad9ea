// The page: chooses a recording, has each model transcribe it, and shows text and timings live.

import { megabytes, Model, seconds } from "./model.js";
import { Results } from "./results.js";
import { cutAtPauses, decodeSound, RATE_HZ, startRecording } from "./sound.js";
import { differing, words } from "./words.js";

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

const numThreads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, DATA.max_threads) : 1;
const models = DATA.models.map((one) => new Model(one, byId("model"), byId("models")));
const results = new Results(byId("results"), DATA.models.map(({ name }) => name));
const sources = DATA.recordings.map((one, number) => ({
  label: `${one.name} · ${one.duration_s.toFixed(1)} s`,
  name: one.name,
  reference: one.reference,
  read: async () => (await fetch(`recordings/${number}.wav`)).blob(),
}));
let chosen = null; // {name, reference, samples}
let isBusy = true;

function show(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

function update() {
  byId("transcribe").disabled = isBusy || chosen === null;
  for (const id of ["recording", "file", "microphone"]) byId(id).disabled = isBusy;
}

async function choose(source) {
  chosen = null;
  update();
  try {
    const blob = await source.read();
    const player = byId("player");
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(blob);
    const samples = await decodeSound(await blob.arrayBuffer());
    chosen = { name: source.name, reference: source.reference, samples };
    show("problem", "");
  } catch (error) {
    show("problem", `${source.name} cannot be read (${error.message}); try WAV, FLAC, MP3 or Opus.`);
  }
  show("reference", source.reference ? `Read out: ${source.reference}` : "");
  models.forEach((model) => model.clear());
  update();
}

function add(source) {
  sources.push(source);
  byId("recording").add(new Option(source.label, sources.length - 1, true, true));
  return choose(source);
}

// Each alone, so that it has all threads, or all of them at once.
async function transcribe() {
  isBusy = true;
  update();
  models.forEach((model) => model.clear());
  const run = (model) =>
    model.transcribe(cutAtPauses(chosen.samples, model.settings.window_samples), drawBars);
  try {
    if (byId("together").checked) {
      await Promise.all(models.map(run));
    } else {
      for (const model of models) {
        byId("summary").textContent = `The ${model.settings.name} is transcribing …`;
        await run(model);
      }
    }
    summarise();
  } catch (error) {
    byId("summary").textContent = "";
    show("problem", error.message);
  }
  isBusy = false;
  update();
  showFacts();
}

function drawBars() {
  const longest = Math.max(...models.map((model) => model.elapsed_ms), 1);
  models.forEach((model) => model.draw(longest));
}

function summarise() {
  drawBars();
  const [first, ...others] = models;
  const summary = byId("summary");
  summary.replaceChildren();
  const differences = others.map((model) => {
    const marks = differing(first.found.text, model.found.text);
    model.mark(marks);
    const number = marks.filter(Boolean).length;
    const fast = document.createElement("strong");
    fast.textContent = `${(first.found.total_ms / model.found.total_ms).toFixed(2)}×`;
    const rest =
      ` as fast as the ${first.settings.name} end to end, ` +
      `${(first.found.decoder_ms / model.found.decoder_ms).toFixed(2)}× in the decoder; ` +
      `${number} of its ${words(model.found.text).length} words differ.`;
    const line = document.createElement("div");
    line.append(`The ${model.settings.name} is `, fast, rest);
    summary.append(line);
    return number;
  });
  byId("so-far").hidden = false;
  results.add({
    name: chosen.name,
    duration_s: chosen.samples.length / RATE_HZ,
    found: models.map(({ found }) => found),
    differences,
  });
}

async function record() {
  const button = byId("microphone");
  try {
    const stop = await startRecording();
    button.textContent = "Stop";
    button.setAttribute("aria-pressed", "true");
    await new Promise((resolve) => button.addEventListener("click", resolve, { once: true }));
    const blob = await stop();
    const name = `recorded at ${new Date().toLocaleTimeString()}`;
    await add({ label: name, name, reference: "", read: async () => blob });
  } catch (error) {
    show("problem", `The microphone cannot be used (${error.message}); allow it, or open a file.`);
  }
  button.textContent = "Record";
  button.setAttribute("aria-pressed", "false");
}

function showFacts() {
  const ofEach = (state) => models.map((one) => `${one.settings.name} ${state(one)}`).join(", ");
  const sharing = models.filter(({ settings }) => settings.shares_encoder);
  const facts = {
    Weights: DATA.dtype === "fp32" ? "32-bit floats" : "8-bit integers",
    Device: "CPU, by WebAssembly",
    Threads: ofEach(({ num_threads }) => num_threads),
    Isolated: crossOriginIsolated ? "yes, so threads can share memory" : "no, so one thread only",
    Loading: ofEach(({ load_ms }) => seconds(load_ms)),
    Memory: ofEach(({ memory_bytes }) => (memory_bytes ? megabytes(memory_bytes) : "unknown")),
    Encoder: sharing.length
      ? `${sharing.map(({ settings }) => settings.name).join(", ")}: the ${models[0].settings.name}'s`
      : "each model has its own",
    Versions: Object.entries(DATA.versions).map((pair) => pair.join(" ")).join(", "),
  };
  byId("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => {
      const [term, definition] = ["dt", "dd"].map((one) => document.createElement(one));
      term.textContent = name;
      definition.textContent = value;
      return [term, definition];
    }),
  );
}

async function start() {
  byId("recording").append(...sources.map((one, number) => new Option(one.label, number)));
  byId("recording").onchange = ({ target }) => choose(sources[target.value]);
  byId("file").onchange = ({ target: { files: [file] } }) =>
    file && add({ label: file.name, name: file.name, reference: "", read: async () => file });
  byId("microphone").onclick = ({ target }) => target.textContent === "Record" && record();
  byId("transcribe").onclick = transcribe;
  update();
  for (const model of models) await model.load(DATA.dtype, numThreads);
  isBusy = false;
  update();
  byId("summary").textContent = "Ready.";
  showFacts();
  if (sources.length) await choose(sources[0]);
}

start().catch((error) => {
  byId("summary").textContent = "";
  show("problem", error.message);
});
