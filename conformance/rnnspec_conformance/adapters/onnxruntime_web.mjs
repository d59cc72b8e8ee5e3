// Runs ONNX files in onnxruntime-web, which is found in the folders of NODE_PATH.
// A line of standard input is {"file"}, which opens a session, or a list of {"type", "shape", "data"}, which runs it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const ort = createRequire(import.meta.url)("onnxruntime-web/wasm");
// More threads need workers.
ort.env.wasm.numThreads = 1;
console.log(JSON.stringify({ version: ort.env.versions.web }));

const ARRAYS = { int64: BigInt64Array, float32: Float32Array, bool: Uint8Array };
let session;

async function open({ file }) {
  await session?.release();
  session = await ort.InferenceSession.create(new Uint8Array(readFileSync(file)));
  return {};
}

async function run(inputs) {
  const feeds = inputs.map(({ type, shape, data }, index) => {
    const bytes = Uint8Array.from(Buffer.from(data, "base64"));
    return [session.inputNames[index], new ort.Tensor(type, new ARRAYS[type](bytes.buffer), shape)];
  });
  const results = await session.run(Object.fromEntries(feeds));
  const outputs = session.outputNames.map((name) => {
    const { type, dims, data } = results[name];
    return { type, shape: dims, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
  });
  return { outputs };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const reply = await (request.file ? open : run)(request).catch((error) => ({ error: String(error.message ?? error) }));
  console.log(JSON.stringify(reply));
}
