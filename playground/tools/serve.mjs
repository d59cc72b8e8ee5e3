// Serves a folder on this machine, compressed as any static host does it: serve.mjs FOLDER [PORT].

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { gzipSync } from "node:zlib";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".gz": "application/gzip",
};

// Returns the server's address, the bytes it has sent by file, and a function that ends it.
export async function serve(folder, port = 0) {
  const sent = {};
  const server = createServer(async (request, response) => {
    const name = path.basename(new URL(request.url, "http://localhost").pathname) || "index.html";
    const type = TYPES[path.extname(name)];
    const content = type && (await readFile(path.join(folder, name)).catch(() => null));
    if (!content) {
      response.writeHead(404).end();
      return;
    }
    const isCompressed = type === TYPES[".gz"];
    const body = isCompressed ? content : gzipSync(content, { level: 9 });
    sent[name] = body.length;
    response
      .writeHead(200, { "Content-Type": type, ...(isCompressed ? {} : { "Content-Encoding": "gzip" }) })
      .end(body);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${server.address().port}/`;
  return { address, sent, close: () => server.close() };
}

if (process.argv[1] === import.meta.filename) {
  const { address } = await serve(process.argv[2], Number(process.argv[3] ?? 8000));
  console.log(`The playground is at ${address} until you press Ctrl-C.`);
}
