// The files of which Python is made, each compressed: their names for a reader, types, and sizes in bytes.

const part = (file, title, type) => ({ file, title, type, size: SIZES[file] });

export const PARTS = [
  part("wasm.gz", "Pyodide, which runs Python", "application/wasm"),
  part("library.gz", "Python's standard library", "application/zip"),
  part("packages.gz", "rnnspec and its packages", "application/zip"),
];
