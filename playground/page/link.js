// A spec in the fragment of a link, which no server sees: deflated, in the alphabet of base64url.

const KEY = "spec=";
const MOST_CHARACTERS = 30_000; // longer links break in chats and mail
const MOST_BYTES = 2 ** 19; // as in rnnspec

export async function toFragment(text) {
  const packed = await bytesOf(new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw")));
  const letters = packed.reduce((so_far, byte) => so_far + String.fromCharCode(byte), "");
  const fragment = `#${KEY}${btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
  if (fragment.length > MOST_CHARACTERS) throw new Error("The spec is too long for a link; save it instead.");
  return fragment;
}

// Returns the text in a fragment, or null if it holds none.
export async function fromFragment(fragment) {
  const found = fragment.replace(/^#/, "");
  if (!found.startsWith(KEY)) return null;
  try {
    const letters = atob(found.slice(KEY.length).replaceAll("-", "+").replaceAll("_", "/"));
    const packed = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await bytesOf(stream));
  } catch {
    throw new Error("The link is damaged: its spec cannot be read. Ask for it again, or copy the whole link.");
  }
}

// A few characters can stand for gigabytes.
async function bytesOf(stream) {
  const parts = [];
  let size = 0;
  for (const reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    if (size > MOST_BYTES) throw new Error("too long");
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
