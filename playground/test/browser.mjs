// Chromium for the tests, and what they do to the page.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FOUND = process.env.CHROMIUM ?? PLACES.find((place) => existsSync(place));

// The reason for which tests in a browser are skipped, or false.
export const lacking = FOUND ? false : "Chromium is not installed; apt-get install chromium, or set CHROMIUM";

export const launch = () => chromium.launch({ executablePath: FOUND, args: ["--no-sandbox"] });

// Returns a page that keeps what it requests and what it complains about.
export async function opened(browser, address, { prepare = async () => {}, ...settings } = {}) {
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"], ...settings });
  const page = await context.newPage();
  page.requested = [];
  page.complaints = [];
  page.on("request", (request) => page.requested.push(request.url()));
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  page.on("pageerror", (error) => page.complaints.push(error.message));
  await prepare(page);
  await page.goto(address);
  return page;
}

// Waits for an answer to the text as it is now.
export async function state(page, wanted) {
  const settled = `#status[aria-busy="false"][data-state="${wanted}"]`;
  await page.locator(settled).waitFor({ timeout: 60_000 });
}

// The editor shows all lines of a short text.
export const text = async (page) => (await page.locator(".cm-line").allTextContents()).join("\n");

// Replaces the text as a paste does.
export async function type(page, content) {
  await page.locator(".cm-content").focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(content);
}

// Returns the milliseconds from each of some keystrokes to its answer, sorted.
export async function keystrokes(page, many) {
  await page.evaluate(() => {
    let start = 0;
    window.times = [];
    window.addEventListener("keydown", () => (start = performance.now()), { capture: true });
    const answered = () => window.times.push(performance.now() - start);
    new MutationObserver(answered).observe(document.getElementById("status"), { childList: true });
  });
  for (let count = 1; count <= many; count++) {
    await page.keyboard.press("#");
    await page.waitForFunction((wanted) => window.times.length >= wanted, count);
  }
  return page.evaluate(() => window.times.sort((a, b) => a - b));
}

// Returns what axe finds wrong with a page that was opened with `bypassCSP`, a line each.
export async function barriers(page, { known = [] } = {}) {
  await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.filter(({ id }) => !known.includes(id));
  return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}`));
}

export const tab = (page, name) => page.getByRole("tab", { name, exact: true });
