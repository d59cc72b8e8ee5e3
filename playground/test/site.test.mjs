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
  "conformance.html",
  "conformance/index.html",
  "conformance/tract-fixed.html",
  "gallery/stacked_lstm.html",
  "reference/language.html",
];
const QUESTIONS = {
  "per-step outputs": "guides/ordinary-model.html",
  GloVe: "guides/vectors.html",
  "word vectors": "guides/vectors.html",
  "freeze embedding": "guides/ordinary-model.html",
  "difference to nn.LSTM": "concepts/second-bias.html",
  "second bias": "concepts/second-bias.html",
  "multi-GPU": "guides/ordinary-model.html",
  "gradient clipping": "guides/ordinary-model.html",
  "learning rate schedule": "guides/ordinary-model.html",
  "class weights loss": "guides/ordinary-model.html",
  stateful: "guides/ordinary-model.html",
  TFLite: "guides/ordinary-model.html",
  "masking padding": "guides/padding.html",
  pack_padded_sequence: "guides/padding.html",
  "export onnx": "guides/onnx.html",
  microcontroller: "guides/c.html",
  "load weights": "guides/weights.html",
  "custom cell": "tutorial/cell.html",
  attention: "concepts/attention.html",
  "bidirectional last state": "concepts/both-directions.html",
  "import a state dict": "guides/pytorch.html",
};
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

  test("the matrix of conformance shows what is wrong, or one framework, and its names stay in sight", async () => {
    const page = await opened(browser, pathToFileURL(path.join(SITE, "conformance/index.html")).href);
    const output = page.locator("form.filter output");
    const shown = (selector) => page.locator(`table.results ${selector}`).filter({ visible: true }).count();
    const all = [await shown("tr > th[scope=row]"), await shown("th[data-framework]")];
    assert.equal(await output.textContent(), `${all[0]} cases, ${all[1]} tools`);
    await page.locator("[name=framework]").selectOption("torch");
    assert.equal(await shown("th[data-framework]"), await shown("th[data-framework=torch]"));
    assert.equal(await shown("tr > th[scope=row]"), all[0]);
    await page.locator("[name=wrong]").check();
    const rows = await page.locator("table.results tbody tr:has(th[scope=row])").filter({ visible: true }).all();
    assert.ok(rows.length > 0 && rows.length < all[0]);
    for (const row of rows) assert.ok(await row.locator("td.wrong:not(.filled)").filter({ visible: true }).count());
    await page.locator("[name=wrong]").uncheck();
    await page.locator("[name=framework]").selectOption("");
    const inside = await page.locator("div.matrix").boundingBox();
    await page.locator("div.matrix").evaluate((box) => box.scrollTo(300, 700));
    const row = await page.locator("th[scope=row]").nth(60).boundingBox();
    const head = await page.locator("th[data-framework]").nth(20).boundingBox();
    assert.ok(Math.abs(row.x - inside.x) < 3 && Math.abs(head.y - inside.y) < 3);
    await page.context().close();
  });

  test("the copy button copies commands without prompts and output, and anything else as it is", async () => {
    const page = await opened(browser, pathToFileURL(path.join(SITE, "guides/teach.html")).href);
    const kinds = new Set();
    for (const block of await page.locator(".highlight").all()) {
      const text = await block.locator("code").textContent();
      const commands = text.match(/^\$ .*/gm)?.map((line) => line.slice(2));
      kinds.add(commands?.length);
      await block.hover();
      await block.locator("[data-clipboard-target]").click();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      assert.equal(copied.trimEnd(), commands?.join("\n") ?? text.trimEnd());
    }
    assert.ok(kinds.has(undefined) && kinds.has(1) && kinds.has(2)); // no commands, one, several
    await page.context().close();
  });

  test("an option in a table is not broken at its hyphens", async () => {
    const page = await opened(browser, pathToFileURL(path.join(SITE, "reference/commands.html")).href, {
      viewport: { width: 800, height: 900 },
    });
    const lines = await page.evaluate(() =>
      [...document.querySelectorAll("td code .option")].map((option) => option.getClientRects().length),
    );
    assert.ok(lines.length > 20);
    assert.deepEqual(new Set(lines), new Set([1]));
    await page.context().close();
  });

  test("the gallery is searched, and filtered by what is in a network", async () => {
    const page = await opened(browser, pathToFileURL(path.join(SITE, "gallery/index.html")).href, { bypassCSP: true });
    const cards = page.locator(".networks li:visible");
    const all = await cards.count();
    const settle = async (many) => assert.equal(await page.locator("output").textContent(), `${many} of ${all} networks`);
    await settle(all);
    await page.getByLabel("Networks with").selectOption("several outputs");
    const several = await cards.count();
    assert.ok(several > 1 && several < all);
    await settle(several);
    for (const text of await cards.locator(".kinds").allTextContents()) assert.match(text, /several outputs/);
    await page.getByLabel("Search the networks").fill("GRU noise sup");
    assert.deepEqual(await cards.locator("strong").allTextContents(), [
      "noise_suppression_conv_gru",
      "noise_suppression_gru",
    ]);
    await page.keyboard.press("Enter"); // the page stays
    await settle(2);
    await page.getByLabel("Search the networks").fill("no such network");
    await settle(0);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await barriers(page, { known: THEME }), [], colorScheme);
    }
    await page.context().close();
  });

  test("the search finds the page that answers a question first", async () => {
    const page = await opened(browser, pathToFileURL(path.join(SITE, "index.html")).href, { bypassCSP: true });
    await page.keyboard.press("/");
    const field = page.locator("input[type=text]:visible, input[type=search]:visible").first();
    const link = page.locator("a[href*='h=']").first();
    const found = {};
    for (const question of Object.keys(QUESTIONS)) {
      await field.fill("");
      await link.waitFor({ state: "detached" });
      await field.fill(question);
      const href = await link.getAttribute("href");
      found[question] = new URL(href, page.url()).pathname.split("/build/site/")[1];
    }
    assert.deepEqual(found, QUESTIONS);
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
