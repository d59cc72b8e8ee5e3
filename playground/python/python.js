// The worker in which Python runs, as the page sees it. It is asked one thing at a time. If an answer
// takes longer than LIMIT, the worker is ended and another one started. The first answer of a worker may
// be slow because the worker has just started: it is asked once more of the next worker. Until the page
// has had an answer, the machine may be slow: it waits, unless something newer is asked.

export const LIMIT = 5_000;

export class Python {
  #create;
  #places;
  #changed;
  #loaded;
  #worker;
  #ready = false;
  #first = true; // nothing has been answered since the start
  #patient = true; // nothing has ever been answered
  #waiting = new Map();
  #asked = null;
  #timer;

  // `create` makes the worker, and `places` are where each of its parts is. `changed` is called with
  // "loading", "ready", or a sentence about what failed; `loaded` with a file and its bytes so far.
  constructor(create, places, changed, loaded) {
    this.#create = create;
    this.#places = places;
    this.#changed = changed;
    this.#loaded = loaded;
    this.begin();
  }

  // Returns the result of a function, or null if the same was asked again before it came to its turn.
  ask(name, given, key = name) {
    this.#waiting.get(key)?.resolve(null);
    return new Promise((resolve, reject) => {
      this.#waiting.set(key, { key, name, given, resolve, reject });
      this.#next();
    });
  }

  // Starts, or starts again.
  begin() {
    this.#worker?.terminate();
    this.#ready = false;
    this.#first = true;
    this.#changed("loading");
    this.#worker = this.#create();
    this.#worker.onmessage = ({ data }) => (data.file ? this.#loaded(data.file, data.loaded) : this.#take(data));
    this.#worker.onerror = (event) => this.#take({ failure: event.message || "the worker did not start" });
    this.#worker.postMessage({ places: this.#places });
  }

  #take({ ready, result, failure }) {
    clearTimeout(this.#timer);
    if (ready) this.#ready = true;
    if (ready) this.#changed("ready");
    if (this.#asked && failure) this.#asked.reject(new Error(`Python failed: ${failure}`));
    else if (this.#asked) {
      this.#first = this.#patient = false;
      this.#asked.resolve(result);
    } else if (failure) this.#fail(failure);
    this.#asked = null;
    this.#next();
  }

  #fail(failure) {
    this.#worker.terminate(); // its other parts may still be loading
    this.#changed(`Python could not be started: ${failure}.`);
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
    const [slow, first] = [this.#asked, this.#first];
    if (this.#patient && !this.#waiting.has(slow.key)) {
      this.#changed("slow");
      this.#timer = setTimeout(() => this.#stop(), LIMIT);
      return;
    }
    this.#asked = null;
    this.begin();
    if (this.#waiting.has(slow.key)) {
      slow.resolve(null); // something newer is asked
      return;
    }
    if (first && !slow.again) {
      // Before what else waits, so that it is the first again.
      this.#waiting = new Map([[slow.key, { ...slow, again: true }], ...this.#waiting]);
      return;
    }
    slow.reject(
      new Error("This took longer than 5 seconds and was stopped. Python starts again; change the spec to go on."),
    );
  }
}
