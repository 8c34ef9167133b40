// Looks at a page as a critic would. These functions run in the browser, so each stands alone.

/** Elements that stick out at the right, and a page that scrolls sideways. */
export function overflowing() {
  const width = document.documentElement.clientWidth;
  const out = document.documentElement.scrollWidth > width ? ["the page scrolls sideways"] : [];
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("svg, dialog, .unseen, .skip, nav, #packets") || element.matches(".drop, .drop *")) continue;
    const { right, left } = element.getBoundingClientRect();
    if (right > width + 0.5 || left < -0.5) out.push(`${element.tagName} ${element.id || element.className}: ${left} to ${right}`);
  }
  return out;
}

/** Controls without a name, or too small for a finger. */
export function unnamedControls() {
  const out = [];
  for (const element of document.querySelectorAll("button, input, textarea, summary, a[href], img")) {
    if (element.closest("[hidden], dialog:not([open])") || element.getAttribute("aria-hidden") === "true") continue;
    const label = element.labels?.length ? [...element.labels].map((label) => label.textContent).join(" ") : "";
    const name = element.getAttribute("aria-label") || label || element.textContent || element.alt;
    if (!name?.trim()) out.push(`${element.outerHTML.slice(0, 80)}: no name`);
    const { height, width } = element.getBoundingClientRect();
    const inText = element.tagName === "A" || element.tagName === "IMG" || element.matches(".unseen");
    if (!inText && (height < 24 || width < 24)) out.push(`${element.outerHTML.slice(0, 80)}: ${width}×${height}`);
  }
  return out;
}

/** Text whose contrast with what is behind it is below 4.5. */
export function contrastFaults() {
  // The browser mixes colours and knows all notations: one pixel tells.
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const solid = (layers) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of layers) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const out = [];
  const seen = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if ((!text && !element.matches("input, textarea")) || element.closest(".unseen, [hidden], .unsure, dialog:not([open])")) continue;
    const style = getComputedStyle(element);
    if (style.visibility === "hidden" || element.getClientRects().length === 0) continue;
    const behind = [];
    for (let up = element; up; up = up.parentElement) behind.unshift(getComputedStyle(up).backgroundColor);
    const [light, dark] = [luminance(solid(behind)), luminance(solid([...behind, style.color]))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    const what = `${element.tagName} ${element.className || element.id || element.textContent.slice(0, 20)}`;
    if (contrast < 4.5 && !seen.has(what)) out.push(`${what}: ${contrast.toFixed(2)}`);
    seen.add(what);
  }
  return out;
}
