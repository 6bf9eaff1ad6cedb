/** A short tone for new serious alarms: off until somebody switches it on, then remembered. Made here, not loaded. */

import { remember, remembered } from "./memory.js";

const MEMORY = "sound";
const TONES_HZ = [880, 660];
const TONE_S = 0.16;
const LOUDNESS = 0.12;

export class Sound {
  on = remembered(MEMORY) === "on";
  /** @type {AudioContext | null} */
  #context = null;

  constructor() {
    // Browsers let nothing sound before somebody has touched the page.
    const ready = () => void (this.on && this.#prepare());
    addEventListener("pointerdown", ready);
    addEventListener("keydown", ready);
  }

  /** Whether it would be heard now. */
  get ready() {
    return this.on && this.#context !== null;
  }

  /** To be called from a click or a key. @param {boolean} on */
  switch(on) {
    this.on = on;
    remember(MEMORY, on ? "on" : "");
    if (on) {
      this.#prepare();
      this.play();
    }
  }

  play() {
    const context = this.#context;
    if (!this.on || !context) return;
    TONES_HZ.forEach((hz, n) => {
      const start = context.currentTime + n * TONE_S;
      const tone = new OscillatorNode(context, { frequency: hz });
      const gain = new GainNode(context, { gain: LOUDNESS });
      gain.gain.setTargetAtTime(0, start + TONE_S * 0.6, 0.03);
      tone.connect(gain).connect(context.destination);
      tone.start(start);
      tone.stop(start + TONE_S);
    });
  }

  #prepare() {
    // A key like Ctrl or Esc alone does not count as a touch.
    if (navigator.userActivation?.isActive !== false) this.#context ??= new AudioContext();
  }
}
