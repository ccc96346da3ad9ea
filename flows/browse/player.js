// Plays one recording at a time, and draws its waveform.
class Player {
  static WAIT_MS = 60; // so that nothing is loaded of what is passed over

  constructor({ audio, canvas, load }) {
    Object.assign(this, { audio, canvas, load });
    this.peaks = null;
    this.asked = 0;
    const draw = () => this.draw();
    for (const event of ["timeupdate", "seeked", "play", "pause", "ended", "loadedmetadata"])
      audio.addEventListener(event, draw);
    audio.addEventListener("play", () => this.follow());
    canvas.addEventListener("pointerdown", (event) => this.seekTo(event));
    canvas.addEventListener("pointermove", (event) => event.buttons === 1 && this.seekTo(event));
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  // Get the recording of a row ready, and play it if that is wanted by then.
  async open(row, isWanted) {
    this.close();
    const asked = this.asked;
    this.isWanted = isWanted;
    await new Promise((done) => setTimeout(done, Player.WAIT_MS));
    if (asked !== this.asked) return;
    const data = await this.load(row);
    if (asked !== this.asked) return;
    this.url = URL.createObjectURL(new Blob([data], { type: "audio/flac" }));
    this.audio.src = this.url;
    if (this.isWanted) this.play();
    const decoded = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(data);
    if (asked !== this.asked) return;
    this.samples = decoded.getChannelData(0);
    this.resize();
  }

  close() {
    this.asked += 1;
    this.isWanted = false;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = this.samples = this.peaks = null;
    this.draw();
  }

  toggle() {
    if (!this.url) this.isWanted = !this.isWanted;
    else if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  play() {
    this.audio.play().catch(() => {}); // it was paused or changed before it began
  }

  skip(seconds) {
    if (this.url) this.audio.currentTime = Math.max(0, this.audio.currentTime + seconds);
  }

  seekTo(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    if (this.audio.duration) this.audio.currentTime = share * this.audio.duration;
  }

  // Redraw at each frame while it plays: `timeupdate` comes four times a second.
  follow() {
    this.draw();
    if (!this.audio.paused && !this.audio.ended) requestAnimationFrame(() => this.follow());
  }

  resize() {
    const scale = devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * scale);
    if (!width) return;
    this.canvas.width = width;
    this.canvas.height = Math.round(this.canvas.clientHeight * scale);
    this.peaks = this.samples && Player.peaks(this.samples, Math.max(1, Math.floor(width / (2 * scale))));
    this.draw();
  }

  // The largest magnitude in each of `count` equal pieces.
  static peaks(samples, count) {
    const peaks = new Float32Array(count);
    for (let place = 0; place < count; place += 1) {
      const end = Math.floor(((place + 1) * samples.length) / count);
      for (let at = Math.floor((place * samples.length) / count); at < end; at += 1)
        peaks[place] = Math.max(peaks[place], Math.abs(samples[at]));
    }
    return peaks;
  }

  draw() {
    const { canvas, audio, peaks } = this;
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const duration = audio.duration || 0;
    const share = duration ? audio.currentTime / duration : 0;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    canvas.setAttribute("aria-valuemax", duration.toFixed(1));
    canvas.setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
    canvas.setAttribute("aria-valuetext", `${audio.currentTime.toFixed(1)} of ${duration.toFixed(1)} seconds`);
    if (!peaks) return;
    const loudest = Math.max(0.05, ...peaks);
    const step = canvas.width / peaks.length;
    const middle = canvas.height / 2;
    peaks.forEach((peak, place) => {
      const played = (place + 0.5) / peaks.length <= share;
      pen.fillStyle = style.getPropertyValue(played ? "--accent" : "--quiet");
      const half = Math.max(0.5, (peak / loudest) * (middle - 2));
      pen.fillRect(place * step, middle - half, Math.max(1, step * 0.6), 2 * half);
    });
    pen.fillStyle = style.getPropertyValue("--text");
    pen.fillRect(Math.min(canvas.width - 2, share * canvas.width), 0, 2, canvas.height);
  }
}
