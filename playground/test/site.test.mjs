// The documentation in a browser, opened from the disk. `make docs` builds it.

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { barriers, lacking, launch, opened } from "./browser.mjs";

const SITE = path.join(import.meta.dirname, "../../build/site");
const PAGES = [
  "index.html",
  "tutorial/train.html",
  "guides/teach.html",
  "differences.html",
  "gallery/stacked_lstm.html",
  "reference/language.html",
];
const THEME = ["landmark-unique"]; // what the theme itself does wrong

describe("the documentation", { skip: lacking }, () => {
  let browser;

  before(async () => (browser = await launch()));
  after(() => browser?.close());

  for (const name of PAGES) {
    test(`${name} fits, is accessible, and requests nothing`, async () => {
      const address = pathToFileURL(path.join(SITE, name)).href;
      for (const [width, colorScheme] of [
        [360, "light"],
        [800, "dark"],
        [1400, "light"],
      ]) {
        const page = await opened(browser, address, { colorScheme, viewport: { width, height: 900 } });
        const whole = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(whole <= width, `${width} px: the page is ${whole} px wide`);
        assert.deepEqual(await barriers(page, { known: THEME }), [], `${colorScheme}, ${width} px`);
        const elsewhere = page.requested.filter((url) => !/^(file|data|blob):/.test(url));
        assert.deepEqual(elsewhere, []);
        await page.context().close();
      }
    });
  }

  test("the copy button of a console block copies its commands alone", async () => {
    const page = await opened(browser, pathToFileURL(path.join(SITE, "tutorial/first.html")).href);
    const block = page.locator(".highlight", { hasText: "$ rnnspec summary" });
    await block.getByRole("button", { name: "Copy" }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "rnnspec summary reviews.yaml\n");
    await page.context().close();
  });

  test("a click on a picture shows it in its own size and scheme", async () => {
    const address = pathToFileURL(path.join(SITE, "gallery/stacked_lstm.html")).href;
    const page = await opened(browser, address, { colorScheme: "dark", viewport: { width: 390, height: 800 } });
    await page.getByRole("link", { name: "stacked_lstm, unrolled over time." }).click();
    const picture = page.getByRole("dialog").getByRole("img");
    const { width, source } = await picture.evaluate((image) => ({
      width: image.width === image.naturalWidth,
      source: image.src,
    }));
    assert.ok(width);
    assert.match(source, /-dark\.svg/);
    await page.keyboard.press("Escape");
    assert.equal(await page.getByRole("dialog").count(), 0);
    await page.context().close();
  });
});
