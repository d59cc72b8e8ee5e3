// The page as one file, with everything in it, as text in elements that a browser does not execute.

import { find } from "./dom.js";
import { run } from "./main.js";

const bytes = (id) => Uint8Array.from(atob(find(id).textContent.trim()), (letter) => letter.charCodeAt(0));
const blob = (id, type) => new Blob([bytes(id)], { type });

run(() => new Worker(URL.createObjectURL(blob("worker.js", "text/javascript"))), blob);
