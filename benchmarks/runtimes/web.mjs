// Runs ONNX files in onnxruntime-web: node web.mjs FOLDER, where FOLDER has its node_modules.
// A line of standard input is {"file"}, which opens a session, or {"type", "shape", "data"}, which runs a batch.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const ort = createRequire(`${process.argv[2]}/`)("onnxruntime-web/wasm");
// More threads need workers, and a network of the gallery gains nothing from them.
ort.env.wasm.numThreads = 1;

const ARRAYS = { int64: BigInt64Array, float32: Float32Array };
let session;

async function open({ file }) {
  await session?.release();
  session = await ort.InferenceSession.create(new Uint8Array(readFileSync(file)));
  return {};
}

async function run({ type, shape, data }) {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  const batch = new ort.Tensor(type, new ARRAYS[type](bytes.buffer), shape);
  const output = (await session.run({ inputs: batch }))[session.outputNames[0]];
  return { shape: output.dims, data: Buffer.from(output.data.buffer, output.data.byteOffset, output.data.byteLength).toString("base64") };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const answer = await (asked.file ? open : run)(asked).catch((error) => ({ error: String(error.message ?? error) }));
  console.log(JSON.stringify(answer));
}
