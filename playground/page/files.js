// Copying and saving what the page shows.

import { element } from "./dom.js";

export const asImage = (svg) => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;

export function save(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export async function savePng(name, svg) {
  const image = new Image();
  image.src = asImage(svg);
  await image.decode();
  const scale = Math.min(2, 8_192 / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = element("canvas");
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  save(name, blob, "image/png");
}

// A button that says for a moment that it has worked, or why it has not.
export function button(label, done, action) {
  const made = element("button", { type: "button" }, label);
  made.addEventListener("click", async () => {
    made.textContent = await action().then(
      () => done,
      (error) => error.message,
    );
    setTimeout(() => (made.textContent = label), 2_000);
  });
  return made;
}

export const copyButton = (label, text) => button(label, "Copied", () => navigator.clipboard.writeText(text()));
