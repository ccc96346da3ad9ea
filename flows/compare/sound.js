// Sound as the models take it: one channel at 16 kHz, in windows.

export const RATE_HZ = 16000;
const FULL_SCALE = 32768;
const FRAME = RATE_HZ / 10;

// The samples of a file: those of a WAV with 16 bits at our rate exactly as they are, all others as
// the browser decodes and resamples them, with the mean of the channels.
export async function decodeSound(buffer) {
  return samplesOfWav(buffer) ?? decodeWithBrowser(buffer);
}

function samplesOfWav(buffer) {
  if (buffer.byteLength < 44) return null;
  const view = new DataView(buffer);
  const text = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  const isOurs =
    text(0) === "RIFF" && text(8) === "WAVE" && text(12) === "fmt " && text(36) === "data" &&
    view.getUint16(20, true) === 1 && view.getUint16(22, true) === 1 &&
    view.getUint32(24, true) === RATE_HZ && view.getUint16(34, true) === 16;
  if (!isOurs) return null;
  const numSamples = Math.min(view.getUint32(40, true), buffer.byteLength - 44) >> 1;
  return Float32Array.from({ length: numSamples }, (_, i) => view.getInt16(44 + 2 * i, true) / FULL_SCALE);
}

async function decodeWithBrowser(buffer) {
  const context = new OfflineAudioContext(1, 1, RATE_HZ);
  const decoded = await context.decodeAudioData(buffer);
  const samples = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
    decoded.getChannelData(channel).forEach((value, i) => {
      samples[i] += value / decoded.numberOfChannels;
    });
  }
  return samples;
}

// Windows of at most `limit` samples; longer sound is cut at the quietest 0.1 s of the last quarter
// of each window.
export function cutAtPauses(samples, limit) {
  const found = [];
  let start = 0;
  while (samples.length - start > limit) {
    let [best, cut] = [Infinity, start + limit];
    for (let at = start + Math.floor(0.75 * limit); at + FRAME <= start + limit; at += FRAME) {
      const energy = samples.subarray(at, at + FRAME).reduce((sum, one) => sum + one * one, 0);
      if (energy < best) [best, cut] = [energy, at + FRAME / 2];
    }
    found.push(samples.slice(start, cut));
    start = cut;
  }
  found.push(samples.slice(start));
  return found;
}

// Starts the microphone; the function that it returns stops it and gives what was recorded.
export async function startRecording() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.start();
  return () =>
    new Promise((resolve) => {
      recorder.onstop = () => {
        stream.getTracks().forEach((track) => track.stop());
        resolve(new Blob(parts, { type: recorder.mimeType }));
      };
      recorder.stop();
    });
}
