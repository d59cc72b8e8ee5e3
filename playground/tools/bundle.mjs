// Writes the page: bundle.mjs PARTS SITE FILE, from a folder with the compressed parts of Python, as a
// site to serve and as one file to open from a disk.

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const [, , parts, site, file] = process.argv;
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

const read = (name) => readFile(path.join(parts, name));

// No package of Pyodide's own distribution is used, so its list of them stays out.
async function lock() {
  const { info } = JSON.parse(await readFile(require.resolve("pyodide/pyodide-lock.json"), "utf-8"));
  return JSON.stringify({ info, packages: {} });
}

const files = {
  "wasm.gz": gzipSync(await readFile(require.resolve("pyodide/pyodide.asm.wasm")), { level: 9 }),
  "library.gz": await read("library.gz"),
  "packages.gz": await read("packages.gz"),
};
const sizes = Object.fromEntries(Object.entries(files).map(([name, { length }]) => [name, length]));
const define = {
  EXAMPLES: String(await read("examples.json")),
  LOCK: JSON.stringify(await lock()),
  SIZES: JSON.stringify(sizes),
};

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
  String(await read("licences.txt")),
  ...(await npmLicences([...page.inputs, ...worker.inputs])),
].join("\n");
const [html, style] = [
  await readFile(source("page/index.html"), "utf-8"),
  await readFile(source("page/style.css"), "utf-8"),
];
const links = String(await read("links.html"));

function filled(policy, stylesheet, script, about) {
  const values = {
    POLICY: policy.join("; "),
    "<!-- LINKS -->": links,
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
  ...files,
};
for (const [name, content] of Object.entries(written)) await writeFile(path.join(site, name), content);

const script = inScript(diskPage.text);
const hash = `sha256-${createHash("sha256").update(script).digest("base64")}`;
const blocks = [
  block("worker.js", Buffer.from(diskWorker.text)),
  ...Object.entries(files).map(([name, bytes]) => block(name, bytes)),
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
