// Python in a worker. The first message has the parts that it is made of, each compressed: an address
// or a blob. Each later one is a call, answered with its result.

import createPyodideModule from "pyodide/pyodide.asm.mjs";
import { start } from "./interpreter.js";

// Pyodide refuses workers that are no modules, since they cannot import its module; here it is
// bundled. A page opened from a disk can have no other workers.
if (FROM_DISK) self.importScripts = undefined;

const HOME = "https://playground.invalid/"; // nothing is fetched from there
let call;

addEventListener("message", async ({ data }) => {
  try {
    if (data.parts) {
      call = await begin(data.parts);
      postMessage({ ready: true });
    } else {
      postMessage({ result: call(data.name, data.given) });
    }
  } catch (error) {
    postMessage({ failure: String(error) });
  }
});

async function begin(parts) {
  // Pyodide would wait forever for a part that is missing.
  const [wasm, library, packages] = await Promise.all([
    unpacked(parts.wasm, "application/wasm"),
    unpacked(parts.library, "application/zip"),
    unpacked(parts.packages, "application/zip"),
  ]);
  const files = { [`${HOME}pyodide.asm.wasm`]: wasm, [`${HOME}python_stdlib.zip`]: library };
  self.fetch = async (address) => files[String(address?.url ?? address)];
  const settings = { indexURL: HOME, createPyodideModule, lockFileContents: LOCK };
  return start(settings, packages.arrayBuffer());
}

const fetched = self.fetch.bind(self);

async function unpacked(part, type) {
  const response = part instanceof Blob ? new Response(part) : await fetched(part);
  if (!response.ok) throw new Error(`${part}: ${response.status} ${response.statusText}`);
  const stream = response.body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream, { headers: { "Content-Type": type } });
}
