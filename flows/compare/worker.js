// One model in a thread of its own: loads it, and transcribes windows of speech greedily.
//
// Messages to it: `load` with the model's name and settings, `transcribe` with windows of samples at
// 16 kHz. Messages from it: `loading` with bytes, `ready`, `encoded`, `text`, `done`, `failed`.

import {
  AutoFeatureExtractor,
  AutoTokenizer,
  env,
  LogLevel,
  TextStreamer,
  WhisperForConditionalGeneration,
} from "./assets/transformers.min.js";

// The runtime makes its memory where threads share it, and tells nobody how large that is.
const memories = [];
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(...values) {
    super(...values);
    memories.push(this);
  }
};
const memoryBytes = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);

const HERE = new URL(".", import.meta.url);

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = new URL("models/", HERE).pathname; // of a URL it looks for no tokenizer
env.useBrowserCache = false;
env.useWasmCache = false; // it would import code from blobs
env.logLevel = LogLevel.ERROR;
env.backends.onnx.wasm.wasmPaths = {
  mjs: new URL("assets/ort-wasm-simd-threaded.mjs", HERE).href,
  wasm: new URL("assets/ort-wasm-simd-threaded.wasm", HERE).href,
};

let model;
let extractor;
let tokenizer;
let settings;

async function load({ name, dtype, generation, num_threads }) {
  const start = performance.now();
  env.backends.onnx.wasm.numThreads = num_threads;
  settings = generation;
  const bytes = new Map();
  const progress_callback = ({ status, file, loaded, total }) => {
    if (status !== "progress") return;
    bytes.set(file, [loaded, total]);
    const sum = (index) => [...bytes.values()].reduce((before, one) => before + one[index], 0);
    postMessage({ kind: "loading", loaded: sum(0), total: sum(1) });
  };
  extractor = await AutoFeatureExtractor.from_pretrained(name);
  tokenizer = await AutoTokenizer.from_pretrained(name);
  model = await WhisperForConditionalGeneration.from_pretrained(name, {
    device: "wasm",
    dtype,
    progress_callback,
  });
  postMessage({
    kind: "ready",
    load_ms: performance.now() - start,
    num_threads: env.backends.onnx.wasm.numThreads,
    memory_bytes: memoryBytes(),
  });
}

// What reaches the streamer first is the prompt, once the encoder is done.
class Timed extends TextStreamer {
  encoded_at = null;
  num_tokens = 0;

  put(tokens) {
    if (this.encoded_at === null) {
      this.encoded_at = performance.now();
      postMessage({ kind: "encoded" });
    } else {
      this.num_tokens += 1;
    }
    super.put(tokens);
  }
}

async function transcribe({ windows }) {
  const found = { features_ms: 0, encoder_ms: 0, decoder_ms: 0, num_tokens: 0 };
  const texts = [];
  for (const samples of windows) {
    const start = performance.now();
    const { input_features } = await extractor(samples);
    const extracted = performance.now();
    const streamer = new Timed(tokenizer, {
      skip_prompt: true,
      callback_function: (text) => postMessage({ kind: "text", text }),
    });
    const tokens = await model.generate({
      inputs: input_features,
      do_sample: false,
      num_beams: 1,
      ...settings,
      streamer,
    });
    const end = performance.now();
    found.features_ms += extracted - start;
    found.encoder_ms += streamer.encoded_at - extracted;
    found.decoder_ms += end - streamer.encoded_at;
    found.num_tokens += streamer.num_tokens;
    const [text] = tokenizer.batch_decode(tokens, { skip_special_tokens: true });
    texts.push(text.trim());
  }
  const text = texts.filter(Boolean).join(" ");
  postMessage({ kind: "done", text, memory_bytes: memoryBytes(), ...found });
}

const ACTIONS = { load, transcribe };

self.onmessage = async ({ data: { kind, ...values } }) => {
  try {
    await ACTIONS[kind](values);
  } catch (error) {
    postMessage({ kind: "failed", message: String(error?.message ?? error) });
  }
};
