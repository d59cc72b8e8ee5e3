// Answers calls with the Python of the built playground, in Node: answers.mjs SITE. Reads a list of
// [name, arguments] from standard input as JSON, and writes the list of results.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { json } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { start } from "../python/interpreter.js";

const site = process.argv[2];
const unpacked = async (name) => gunzipSync(await readFile(path.join(site, name)));
const folder = await mkdtemp(path.join(tmpdir(), "playground-"));
try {
  const library = path.join(folder, "library.zip");
  await writeFile(library, await unpacked("library.gz"));
  const call = await start({ stdLibURL: library }, new Uint8Array(await unpacked("packages.gz")));
  const results = (await json(process.stdin)).map(([name, given]) => call(name, given));
  process.stdout.write(JSON.stringify(results));
} finally {
  await rm(folder, { recursive: true });
}
