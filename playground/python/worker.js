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

function begin({ wasm, library, packages }) {
  const files = new Map([
    [`${HOME}pyodide.asm.wasm`, unpacked(wasm, "application/wasm")],
    [`${HOME}python_stdlib.zip`, unpacked(library, "application/zip")],
  ]);
  self.fetch = (address) => files.get(String(address?.url ?? address));
  const settings = { indexURL: HOME, createPyodideModule, lockFileContents: LOCK };
  const archive = unpacked(packages, "application/zip");
  return start(settings, archive.then((response) => response.arrayBuffer()));
}

const fetched = self.fetch.bind(self);

async function unpacked(part, type) {
  const response = part instanceof Blob ? new Response(part) : await fetched(part);
  if (!response.ok) throw new Error(`${part}: ${response.status} ${response.statusText}`);
  const stream = response.body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream, { headers: { "Content-Type": type } });
}
