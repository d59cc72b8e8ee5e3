// Compiles the Python modules of the page: compile.mjs PACKAGES OUT, from an archive of source to a
// folder of two archives, compressed.

import { readFile, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { FOLDER, load } from "../python/interpreter.js";

const [, , packages, out] = process.argv;
const here = import.meta.dirname;
const gallery = path.join(here, "../../specs");
const names = (await readdir(gallery)).filter((name) => name.endsWith(".yaml"));
const specs = await Promise.all(names.map((name) => readFile(path.join(gallery, name), "utf-8")));

const archive = new Uint8Array(await readFile(packages));
const library = createRequire(import.meta.url).resolve("pyodide/python_stdlib.zip");
const python = await load({}, archive);
python.FS.mkdir("/in");
python.FS.writeFile("/in/packages", archive);
python.FS.writeFile("/in/library", new Uint8Array(await readFile(library)));
python.runPython(await readFile(path.join(here, "compile.py"), "utf-8"));
python.globals.get("run")(JSON.stringify(specs), FOLDER);
for (const name of ["packages", "library"]) {
  const content = gzipSync(python.FS.readFile(`/out/${name}`), { level: 9 });
  await writeFile(path.join(out, `${name}.gz`), content);
}
