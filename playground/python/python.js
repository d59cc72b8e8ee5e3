// The worker in which Python runs, as the page sees it. It is asked one thing at a time. If an answer
// takes longer than LIMIT, the worker is ended and another one started.

export const LIMIT = 5_000;

export class Python {
  #create;
  #parts;
  #changed;
  #worker;
  #ready = false;
  #waiting = new Map();
  #asked = null;
  #timer;

  // `changed` is called with "loading", "ready", or a sentence about what failed.
  constructor(create, parts, changed) {
    this.#create = create;
    this.#parts = parts;
    this.#changed = changed;
    this.#begin();
  }

  // Returns the result of a function, or null if the same was asked again before it came to its turn.
  ask(name, given, key = name) {
    this.#waiting.get(key)?.resolve(null);
    return new Promise((resolve, reject) => {
      this.#waiting.set(key, { key, name, given, resolve, reject });
      this.#next();
    });
  }

  #begin() {
    this.#ready = false;
    this.#changed("loading");
    this.#worker = this.#create();
    this.#worker.onmessage = ({ data }) => this.#take(data);
    this.#worker.onerror = (event) => this.#take({ failure: event.message || "the worker did not start" });
    this.#worker.postMessage({ parts: this.#parts });
  }

  #take({ ready, result, failure }) {
    clearTimeout(this.#timer);
    if (ready) this.#ready = true;
    if (ready) this.#changed("ready");
    if (this.#asked && failure) this.#asked.reject(new Error(`Python failed: ${failure}`));
    else if (this.#asked) this.#asked.resolve(result);
    else if (failure) this.#changed(`Python could not be started: ${failure}. Reload the page to try again.`);
    this.#asked = null;
    this.#next();
  }

  #next() {
    const [first] = this.#waiting.values();
    if (!this.#ready || this.#asked || !first) return;
    this.#waiting.delete(first.key);
    this.#asked = first;
    this.#timer = setTimeout(() => this.#stop(), LIMIT);
    this.#worker.postMessage({ name: first.name, given: first.given });
  }

  #stop() {
    this.#worker.terminate();
    const slow = this.#asked;
    this.#asked = null;
    this.#begin();
    slow.reject(
      new Error("This took longer than 5 seconds and was stopped. Python starts again; change the spec to go on."),
    );
  }
}
