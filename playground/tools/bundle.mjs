// Writes the page: bundle.mjs PARTS LICENCES SITE FILE, from the compressed parts of Python, as a site
// to serve and as one file to open from a disk.

import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const [, , parts, licences, site, file] = process.argv;
const root = path.join(import.meta.dirname, "..");
const source = (name) => path.join(root, name);
const require = createRequire(import.meta.url);

const POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline' 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
];
const SERVED = [...POLICY, "script-src 'self' 'wasm-unsafe-eval'", "connect-src 'self'", "worker-src 'self'"];
const fromDisk = (hash) => [...POLICY, `script-src '${hash}' 'wasm-unsafe-eval' blob:`, "worker-src blob:"];

async function examples() {
  const folder = path.join(root, "../specs");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".yaml")).sort();
  const texts = await Promise.all(names.map((name) => readFile(path.join(folder, name), "utf-8")));
  return Object.fromEntries(names.map((name, index) => [path.basename(name, ".yaml"), texts[index]]));
}

// No package of Pyodide's own distribution is used, so its list of them stays out.
async function lock() {
  const { info } = JSON.parse(await readFile(require.resolve("pyodide/pyodide-lock.json"), "utf-8"));
  return JSON.stringify({ info, packages: {} });
}

const define = { EXAMPLES: JSON.stringify(await examples()), LOCK: JSON.stringify(await lock()) };

async function bundle(entry, isFromDisk) {
  const given = { FROM_DISK: String(isFromDisk), ...define };
  if (isFromDisk) given["import.meta.url"] = '"file:///"';
  const made = await build({
    entryPoints: [source(entry)],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    legalComments: "none",
    format: isFromDisk ? "iife" : "esm",
    target: "es2022",
    external: ["node:*", "ws"],
    define: given,
    logLevel: "error",
  });
  return { text: made.outputFiles[0].text, inputs: Object.keys(made.metafile.inputs) };
}

async function npmLicences(inputs) {
  const found = inputs.map((name) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(name)?.[1]);
  const names = [...new Set(found.filter((name) => name && name !== "pyodide"))].sort();
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(path.join(root, "node_modules", name, "LICENSE"), "utf-8");
      return `${name}\n\n${text.trim()}\n`;
    }),
  );
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const inScript = (text) => text.replaceAll(/<(?=\/script|!--)/gi, "\\x3c");
const block = (id, bytes) => `<script type="text/plain" id="${id}">${bytes.toString("base64")}</script>`;

const [page, worker] = [await bundle("page/page.js", false), await bundle("python/worker.js", false)];
const [diskPage, diskWorker] = [await bundle("page/page-from-disk.js", true), await bundle("python/worker.js", true)];
const notices = [
  await readFile(path.join(root, "NOTICES"), "utf-8"),
  await readFile(licences, "utf-8"),
  ...(await npmLicences([...page.inputs, ...worker.inputs])),
].join("\n");
const [html, style] = [
  await readFile(source("page/index.html"), "utf-8"),
  await readFile(source("page/style.css"), "utf-8"),
];
const wasm = gzipSync(await readFile(require.resolve("pyodide/pyodide.asm.wasm")), { level: 9 });

function filled(policy, stylesheet, script, about) {
  const values = {
    POLICY: policy.join("; "),
    "<!-- STYLE -->": stylesheet,
    "<!-- SCRIPT -->": script,
    "<!-- LICENCES -->": about,
  };
  return Object.entries(values).reduce((text, [name, value]) => text.replace(name, () => value), html);
}

await mkdir(site, { recursive: true });
const written = {
  "index.html": filled(
    SERVED,
    '<link rel="stylesheet" href="style.css" />',
    '<script type="module" src="page.js"></script>',
    '<a href="licences.txt">Licences</a>',
  ),
  "style.css": style,
  "page.js": page.text,
  "worker.js": worker.text,
  "licences.txt": notices,
  "wasm.gz": wasm,
};
for (const [name, content] of Object.entries(written)) await writeFile(path.join(site, name), content);
for (const name of ["packages.gz", "library.gz"]) await copyFile(path.join(parts, name), path.join(site, name));

const script = inScript(diskPage.text);
const hash = `sha256-${createHash("sha256").update(script).digest("base64")}`;
const read = (name) => readFile(path.join(parts, name));
const blocks = [
  block("worker", Buffer.from(diskWorker.text)),
  block("wasm", wasm),
  block("library", await read("library.gz")),
  block("packages", await read("packages.gz")),
];
await writeFile(
  file,
  filled(
    fromDisk(hash),
    `<style>${style}</style>`,
    `${blocks.join("\n")}\n<script>${script}</script>`,
    `<details><summary>Licences</summary><pre>${escaped(notices)}</pre></details>`,
  ),
);
