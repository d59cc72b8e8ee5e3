// Compiles the Python modules of the page: compile.mjs PARTS, a folder with an archive of source, which
// gets two archives, compressed.

import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { FOLDER, load } from "../python/interpreter.js";

const [, , parts] = process.argv;
const here = import.meta.dirname;
const examples = JSON.parse(await readFile(path.join(parts, "examples.json"), "utf-8"));
const specs = examples.map(({ text }) => text);

const archive = new Uint8Array(await readFile(path.join(parts, "packages.zip")));
const library = createRequire(import.meta.url).resolve("pyodide/python_stdlib.zip");
const python = await load({}, archive);
python.FS.mkdir("/in");
python.FS.writeFile("/in/packages", archive);
python.FS.writeFile("/in/library", new Uint8Array(await readFile(library)));
python.runPython(await readFile(path.join(here, "compile.py"), "utf-8"));
python.globals.get("run")(JSON.stringify(specs), FOLDER);
for (const name of ["packages", "library"]) {
  const content = gzipSync(python.FS.readFile(`/out/${name}`), { level: 9 });
  await writeFile(path.join(parts, `${name}.gz`), content);
}
