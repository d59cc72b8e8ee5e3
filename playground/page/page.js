// The page from a server.

import { run } from "./main.js";

const address = (name) => new URL(name, document.baseURI).href;

run(() => new Worker(address("worker.js"), { type: "module" }), address);
