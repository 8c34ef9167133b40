// Images on their way in and out: what is picked is scaled until it fits into one message, what arrives is checked
// before it is shown.

const LONGEST_SIDE = 1600;
const LARGEST = 640_000; // leaves room for base64, which polling needs, in a message of 1 MB
const SHOWN = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"]);
// Sent as they are when they fit. Photos are always drawn anew, because their files may tell where they were taken.
const KEPT = new Set(["image/png", "image/gif"]);

/**
 * Makes an image ready for one message of at most `maxPayload` bytes.
 * @returns {Promise<{type: string, bytes: Uint8Array}>}
 */
export async function prepare(file, maxPayload) {
  const limit = Math.min(LARGEST, Math.floor(maxPayload * 0.7));
  if (KEPT.has(file.type) && file.size <= limit) return { type: file.type, bytes: await bytesOf(file) };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name || "This file"} is not an image that this browser can read.`);
  }
  try {
    for (let side = LONGEST_SIDE, quality = 0.86; side >= 200; side *= 0.75, quality = Math.max(0.6, quality - 0.08)) {
      const blob = await draw(bitmap, side, quality);
      if (blob.size <= limit) return { type: blob.type, bytes: await bytesOf(blob) };
    }
  } finally {
    bitmap.close();
  }
  throw new Error(`${file.name || "This image"} does not get small enough to send.`);
}

/** A blob of what another page sent, or null if it is nothing that may be shown. */
export function receive(type, bytes) {
  return SHOWN.has(type) && bytes instanceof Uint8Array && bytes.length > 0 ? new Blob([bytes], { type }) : null;
}

async function draw(bitmap, side, quality) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  // A browser that cannot write WebP answers with PNG, which keeps transparency too.
  return new Promise((resolve) => canvas.toBlob(resolve, "image/webp", quality));
}

async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}
