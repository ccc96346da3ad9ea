// A model in its worker, and its column of the page.

export const megabytes = (bytes) => `${Math.round(bytes / 1e6).toLocaleString("en")} MB`;
export const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

export class Model {
  load_ms = null;
  num_threads = null;
  memory_bytes = null; // of WebAssembly, as of the last message
  found = null; // once transcribed: text, features_ms, encoder_ms, decoder_ms, total_ms, num_tokens

  constructor(settings, template, parent) {
    this.settings = settings;
    this.column = template.content.cloneNode(true).firstElementChild;
    parent.append(this.column);
    this.part("h2").textContent = settings.name;
    this.part(".about").textContent =
      `${settings.encoder_layers} encoder and ${settings.decoder_layers} decoder layers, ` +
      megabytes(settings.num_bytes);
    this.part(".transcript").setAttribute("aria-label", `Transcript of the ${settings.name}`);
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  }

  part(selector) {
    return this.column.querySelector(selector);
  }

  // Sends a message; resolves with the one that ends it, and gives all others to `onprogress`.
  ask(message, last, onprogress) {
    return new Promise((resolve, reject) => {
      const fail = (reason) => reject(new Error(`The ${this.settings.name} failed: ${reason}`));
      this.worker.onerror = ({ message: reason }) => fail(reason || "its worker did not start");
      this.worker.onmessage = ({ data }) => {
        if (data.kind === "failed") fail(data.message);
        else if (data.kind === last) {
          this.memory_bytes = data.memory_bytes;
          resolve(data);
        } else onprogress(data);
      };
      this.worker.postMessage(message);
    });
  }

  async load(dtype, num_threads) {
    const { name, generation } = this.settings;
    const message = { kind: "load", name, dtype, generation, num_threads };
    const ready = await this.ask(message, "ready", ({ loaded, total }) => {
      this.part("progress").value = loaded / total;
      this.part(".loading span").textContent = `${megabytes(loaded)} of ${megabytes(total)}`;
    });
    this.load_ms = ready.load_ms;
    this.num_threads = ready.num_threads;
    this.part(".loading").hidden = true;
  }

  clear() {
    this.found = null;
    this.started = this.encoded = null;
    this.part(".transcript").textContent = "";
    for (const name of ["total", "encoder-time", "decoder-time", "rate"]) {
      this.part(`.${name}`).textContent = "–";
    }
    this.draw(1);
  }

  // Transcribes windows; `ondraw` is called for each frame of the screen.
  async transcribe(windows, ondraw) {
    const transcript = this.part(".transcript");
    transcript.classList.add("running");
    this.started = performance.now();
    const tick = () => {
      if (this.found !== null || this.started === null) return;
      ondraw();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    try {
      const done = await this.ask({ kind: "transcribe", windows }, "done", ({ kind, text }) => {
        if (kind === "encoded") this.encoded ??= performance.now();
        else transcript.append(text);
      });
      this.found = { ...done, total_ms: done.features_ms + done.encoder_ms + done.decoder_ms };
      transcript.textContent = done.text;
    } catch (error) {
      this.started = null;
      throw error;
    } finally {
      transcript.classList.remove("running");
    }
  }

  // So long it has been transcribing, or took in the end.
  get elapsed_ms() {
    if (this.found) return this.found.total_ms;
    return this.started === null ? 0 : performance.now() - this.started;
  }

  // Shows the timings, with the bar as a part of `longest_ms`.
  draw(longest_ms) {
    const total_ms = this.elapsed_ms;
    const { features_ms, encoder_ms, decoder_ms } = this.found ?? this.#running(total_ms);
    const widths = { features: features_ms, encoder: encoder_ms, decoder: decoder_ms };
    for (const [name, ms] of Object.entries(widths)) {
      this.part(`.bar .${name}`).style.width = `${(100 * ms) / longest_ms}%`;
    }
    if (total_ms === 0) return;
    this.part(".total").textContent = seconds(total_ms);
    this.part(".encoder-time").textContent = seconds(encoder_ms);
    this.part(".decoder-time").textContent = decoder_ms ? seconds(decoder_ms) : "–";
    if (this.found) {
      const rate = (1000 * this.found.num_tokens) / decoder_ms;
      this.part(".rate").textContent = rate.toFixed(rate < 10 ? 1 : 0);
      const label = `features ${seconds(features_ms)}, encoder ${seconds(encoder_ms)}`;
      this.part(".bar").setAttribute("aria-label", `${label}, decoder ${seconds(decoder_ms)}`);
    }
  }

  // Until the worker gives its own timings, what the page sees: the first window's encoder.
  #running(total_ms) {
    const encoder_ms = this.encoded ? this.encoded - this.started : total_ms;
    return { features_ms: 0, encoder_ms, decoder_ms: total_ms - encoder_ms };
  }

  // Marks the words whose mark is true; the text stays the same.
  mark(marks) {
    const parts = this.found.text.split(/(\s+)/);
    let number = 0;
    const nodes = parts.map((part) => {
      if (!part.trim() || !marks[number++]) return document.createTextNode(part);
      const marked = document.createElement("mark");
      marked.textContent = part;
      return marked;
    });
    this.part(".transcript").replaceChildren(...nodes);
  }
}
