// Python in a worker. The first message has the address or the blob of each of its parts, and is answered
// with the bytes that have come so far. Each later one is a call, answered with its result.

import createPyodideModule from "pyodide/pyodide.asm.mjs";
import { start } from "./interpreter.js";
import { PARTS } from "./parts.js";

// Pyodide refuses workers that are no modules, since they cannot import its module; here it is
// bundled. A page opened from a disk can have no other workers.
if (FROM_DISK) self.importScripts = undefined;

const HOME = "https://playground.invalid/"; // nothing is fetched from there
let call;

addEventListener("message", async ({ data }) => {
  try {
    if (data.places) {
      call = await begin(data.places);
      postMessage({ ready: true });
    } else {
      postMessage({ result: call(data.name, data.given) });
    }
  } catch (error) {
    postMessage({ failure: error.message });
  }
});

function begin(places) {
  return new Promise((resolve, reject) => {
    // Pyodide itself would wait forever for a part that does not come, or not whole.
    const [wasm, library, packages] = PARTS.map((part, index) => unpacked(part, places[index], reject));
    const files = { [`${HOME}pyodide.asm.wasm`]: wasm, [`${HOME}python_stdlib.zip`]: library };
    self.fetch = (address) => files[String(address?.url ?? address)];
    const settings = { indexURL: HOME, createPyodideModule, lockFileContents: LOCK };
    start(
      settings,
      packages.then((response) => response.arrayBuffer()),
    ).then(resolve, reject);
  });
}

const fetched = self.fetch.bind(self);

// Returns a response with the content of a part. If it does not come whole, `fail` is called first.
async function unpacked({ file, type }, place, fail) {
  const failing = (error) => {
    fail(new Error(`${file} could not be loaded (${error.message.replace(/\.$/, "")})`));
    throw error;
  };
  const response = place instanceof Blob ? new Response(place) : await fetched(place).catch(failing);
  if (!response.ok) failing(new Error(`${response.status} ${response.statusText}`));
  let loaded = 0;
  const counted = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.length;
      postMessage({ file, loaded });
      controller.enqueue(chunk);
    },
  });
  const reader = response.body.pipeThrough(counted).pipeThrough(new DecompressionStream("gzip")).getReader();
  const stream = new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read().catch(failing);
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  return new Response(stream, { headers: { "Content-Type": type } });
}
