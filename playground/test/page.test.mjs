// The page in a browser. Times and sizes are printed, not checked: they are those of this machine.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { serve } from "../tools/serve.mjs";
import { barriers, keystrokes, lacking, launch, opened, state, tab, text, type } from "./browser.mjs";

const ROOT = path.join(import.meta.dirname, "../..");
const SITE = path.join(ROOT, "build/playground");
const GOOD = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n";
const CELL = `version: 1
name: net
input: {features: 3}
cells:
  mine:
    states: [h]
    equations:
      h: tanh(W @ x + U_h @ h) * h
rnn: {type: mine, units: 4}
`;

describe("the page", { skip: lacking }, () => {
  let browser, server, page, cold;

  before(async () => {
    [browser, server] = [await launch(), await serve(SITE)];
    const start = performance.now();
    page = await opened(browser, server.address);
    await state(page, "valid");
    cold = performance.now() - start;
  });

  after(async () => {
    await browser?.close();
    server?.close();
  });

  test("answers an example, and requests nothing from another host", async () => {
    assert.match(await page.textContent("#status"), /^valid: 2,757,761 parameters$/);
    assert.equal(await page.inputValue("#examples"), "imdb_bidirectional_lstm");
    const hosts = new Set(page.requested.filter((url) => !url.startsWith("data:")).map((url) => new URL(url).origin));
    assert.deepEqual([...hosts], [new URL(server.address).origin]);
    assert.deepEqual(page.complaints, []);
    const bytes = Object.values(server.sent).reduce((sum, size) => sum + size);
    console.log(
      `first result ${Math.round(cold)} ms after opening; ${(bytes / 1e6).toFixed(2)} MB sent, compressed by gzip`,
    );
  });

  test("offers each spec of the gallery and each template, described, without notes", async () => {
    const folders = ["templates/init", "specs"].map((folder) => path.join(ROOT, folder));
    const files = (await Promise.all(folders.map((folder) => readdir(folder))))
      .flatMap((names) => names.filter((name) => name.endsWith(".yaml")).sort());
    const options = await page.locator("#examples option").evaluateAll((all) => all.map((each) => each.value));
    assert.deepEqual(options.slice(1).map((name) => `${name}.yaml`), files);
    for (const [index, name] of options.slice(1).entries()) {
      await page.selectOption("#examples", name);
      await state(page, "valid");
      assert.equal(await page.inputValue("#examples"), name);
      assert.deepEqual(await page.locator("#notes li").allTextContents(), [], name);
      const [, description] = /^description: (.*)$/m.exec(await text(page));
      assert.equal(await page.locator("#examples option").nth(index + 1).textContent(), `${name}: ${description}`);
    }
    await page.selectOption("#examples", "narrowing_gru");
    assert.equal(await text(page), await readFile(path.join(ROOT, "specs/narrowing_gru.yaml"), "utf-8"));
  });

  test("says how much of Python is loaded, and loads again what has failed", async () => {
    let answer;
    const held = new Promise((resolve) => (answer = resolve));
    const prepare = (made) => made.route("**/packages.gz", async (route) => (await held, route.fulfill({ status: 503 })));
    const slow = await opened(browser, server.address, { prepare });
    const sizes = await Promise.all(
      ["wasm.gz", "library.gz", "packages.gz"].map(async (name) => (await readFile(path.join(SITE, name))).length),
    );
    const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
    const whole = sizes.reduce((sum, size) => sum + size);
    await slow.getByText(`Loading Python: ${megabytes(sizes[0] + sizes[1])} of ${megabytes(whole)} MB`).waitFor();
    const bar = slow.getByRole("progressbar");
    const [value, max] = await bar.evaluate((shown) => [shown.value, shown.max]);
    assert.deepEqual([value, max], [sizes[0] + sizes[1], whole]);
    const parts = await slow.locator(".loading li :last-child").allTextContents();
    const loaded = [sizes[0], sizes[1], 0];
    assert.deepEqual(
      parts,
      sizes.map((size, index) => `${megabytes(loaded[index])} of ${megabytes(size)} MB`),
    );
    assert.ok(await slow.getByRole("button", { name: "Try again" }).isHidden());
    await type(slow, GOOD);
    answer();
    await state(slow, "failed");
    assert.equal(await bar.count(), 0);
    await slow.unroute("**/packages.gz");
    await slow.getByRole("button", { name: "Try again" }).click();
    await slow.getByText("Loading Python:").waitFor();
    await state(slow, "valid");
    assert.equal(await text(slow), GOOD);
    assert.equal(await slow.locator(".loading").count(), 0);
    await slow.context().close();
  });

  test("underlines a problem at its place, and keeps the last valid result until it is solved", async () => {
    await type(page, GOOD.replace("lstm", "gru"));
    await state(page, "valid");
    const spec = '{version: 1, name: net, description: "😀", input: {features: 3}, rnn: {type: lstm, units: 4}}';
    await type(page, spec.replace("units", "unit"));
    await state(page, "wrong");
    assert.equal(await page.locator(".cm-lintRange-error").textContent(), "unit");
    assert.match(await page.textContent("#notes"), /1:83.*error.*unknown key 'unit'; did you mean 'units'\?/);
    assert.ok(await page.locator("#stale").isVisible());
    assert.match(await page.locator(".picture img").getAttribute("alt"), /GRU/);
    await tab(page, "Keras").click();
    assert.match(await page.locator("#panel pre").textContent(), /keras\.layers\.GRU/);
    await tab(page, "Picture").click();
    await page.locator(".picture img").waitFor();
    await page.getByRole("button", { name: "E301" }).click();
    assert.match(await page.textContent("dialog"), /E301: unknown key/);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "did you mean" }).click();
    await page.keyboard.type("units");
    await state(page, "valid");
    assert.ok(await page.locator("#stale").isHidden());
    assert.equal(await text(page), spec);
    assert.match(await page.locator(".picture img").getAttribute("alt"), /LSTM, 4 units/);
  });

  test("shows pictures, the summary and sources, and saves them", async () => {
    await type(page, GOOD);
    await state(page, "valid");
    await tab(page, "Picture").click();
    assert.ok(
      await page.locator(".picture img").evaluate((image) => image.decode().then(() => image.naturalWidth > 300)),
    );
    for (const [button, start] of [
      ["Save SVG", "<svg"],
      ["Save PNG", "\x89PNG"],
    ]) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: button }).click(),
      ]);
      assert.ok((await readFile(await download.path(), "latin1")).startsWith(start), button);
    }
    await page.getByRole("button", { name: "Folded" }).click();
    assert.match(await page.locator(".picture img").getAttribute("alt"), /folded/);
    await tab(page, "Summary").click();
    assert.match(await page.textContent("#panel"), /lstm_1 \(LSTM\).*128/);
    const [, , ...titles] = await page.getByRole("tab").allTextContents();
    assert.ok(titles.length > 1);
    for (const title of titles) {
      await tab(page, title).click();
      const forms = await page.locator("#panel .choice button").allTextContents();
      const sources = new Set();
      for (const form of forms.length ? forms : [null]) {
        if (form) await page.getByRole("button", { name: form, exact: true }).click();
        const source = await page.locator("#panel pre").textContent();
        assert.match(source, /net, generated by rnnspec/);
        await page.getByRole("button", { name: "Copy", exact: true }).click();
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), source);
        sources.add(source);
      }
      assert.equal(sources.size, Math.max(1, forms.length), title);
    }
  });

  test("typesets the equations of a cell, offers its names, and marks what is wrong in them", async () => {
    await type(page, CELL);
    await state(page, "valid");
    await tab(page, "Equations").click();
    const formula = page.locator("#panel math");
    // Drawn as mathematics: the index of a name is smaller than the name, and lower.
    const [name, index] = await formula
      .locator("msub")
      .first()
      .evaluate((element) => [...element.children].map((part) => part.getBoundingClientRect()));
    assert.ok(index.height < name.height && index.bottom > name.bottom);
    assert.match(await formula.textContent(), /ht=.*⊙/);
    await page.locator(".cm-content").focus();
    await page.keyboard.press("Control+Home");
    for (let line = 0; line < 7; line++) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("End");
    await page.keyboard.insertText(" + tan");
    await page.keyboard.press("Control+Space");
    await page.locator(".cm-tooltip-autocomplete").getByText("tanh", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await state(page, "valid");
    await page.keyboard.insertText("(x)");
    await state(page, "wrong");
    assert.match(await page.locator("#notes li").textContent(), /unknown function 'tan'; did you mean tanh\?/);
    assert.equal(await page.locator(".cm-lintRange-error").textContent(), "tan(x)");
  });

  test("is usable by keyboard", async () => {
    await type(page, `${GOOD}head:\n  un`);
    await state(page, "wrong");
    await page.keyboard.press("Control+Space");
    await page.locator(".cm-tooltip-autocomplete li[aria-selected]").waitFor();
    assert.equal(await page.locator(".cm-completionLabel").first().textContent(), "units");
    await page.waitForTimeout(100); // the editor ignores Enter just after options have appeared
    await page.keyboard.press("Enter");
    await page.keyboard.type("zero");
    await state(page, "wrong");
    assert.ok((await text(page)).endsWith("head:\n  units: zero"));
    await page.locator(".tok-propertyName", { hasText: "units" }).last().hover();
    await page.getByText("The size of the output.").waitFor();
    await page.keyboard.press("Control+Home");
    await page.keyboard.press("F8");
    await page.keyboard.type("2");
    await state(page, "valid");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Tab");
    assert.ok(!(await page.evaluate(() => document.activeElement.closest("#editor"))));
    await tab(page, "Picture").focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Summary");
    assert.equal(await tab(page, "Summary").getAttribute("aria-selected"), "true");
  });

  test("keeps hostile text text", async () => {
    const hostile = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script></textarea></pre>`;
    await type(page, `${GOOD}description: '${hostile}'\n`);
    await state(page, "valid");
    await tab(page, "Picture").click();
    assert.ok((await page.locator(".picture img").getAttribute("alt")).startsWith(hostile));
    for (const title of (await page.getByRole("tab").allTextContents()).slice(2)) {
      await tab(page, title).click();
      assert.match(
        await page.locator("#panel pre, #panel .refusal").first().textContent(),
        /window\.hacked|not supported/,
      );
    }
    await type(page, `${GOOD}'${hostile}': 1\n`);
    await state(page, "wrong");
    assert.ok((await page.textContent("#notes")).includes("<img src=x onerror="));
    assert.equal(await page.locator("img[src=x]").count(), 0);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
  });

  test("says that half a megabyte is too long", async () => {
    await type(page, `${GOOD}# ${"x".repeat(600_000)}\n`);
    await state(page, "wrong");
    assert.match(await page.textContent("#notes"), /at most 524288 bytes/);
    await type(page, GOOD);
    await state(page, "valid");
  });

  test("measures a keystroke", async () => {
    await page.selectOption("#examples", "stacked_lstm");
    await state(page, "valid");
    await tab(page, "Picture").click();
    await page.locator(".cm-content").focus();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("#");
    const times = await keystrokes(page, 40);
    console.log(`a keystroke: ${times[20].toFixed(1)} ms in the median, ${times[36].toFixed(1)} ms in nine of ten`);
  });

  test("says that a spec is too long for a link, and saves it", async () => {
    const noise = Array.from({ length: 20_000 }, (_, index) => ((index * 2_654_435_761) % 2 ** 32).toString(36)).join(
      " ",
    );
    await type(page, `${GOOD}# ${noise}\n`);
    await page.getByRole("button", { name: "Copy link" }).click();
    await page.getByText("too long for a link").waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save", exact: true }).click(),
    ]);
    assert.equal(await readFile(await download.path(), "utf-8"), `${GOOD}# ${noise}\n`);
  });

  test("says that a link is damaged", async () => {
    await page.evaluate(() => (location.hash = "#spec=no"));
    await page.getByText("The link is damaged").waitFor();
    await page.evaluate(() => (location.hash = ""));
    await page.locator("#message").waitFor({ state: "hidden" });
  });

  test("opens the same spec from a link, on a phone", async () => {
    const written = `${GOOD}description: "Grüße, 世界 😀"\n`;
    await type(page, written);
    await page.getByRole("button", { name: "Copy link" }).click();
    await page.getByText("Link copied").waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    const viewport = { width: 360, height: 740 };
    const phone = await opened(browser, link, { viewport, hasTouch: true, isMobile: true });
    await state(phone, "valid");
    assert.equal(await text(phone), written);
    assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth), viewport.width);
    await phone.context().close();
  });

  test("is accessible in light and dark, on a phone and on a desk", async () => {
    for (const [width, colorScheme] of [
      [360, "dark"],
      [1400, "light"],
    ]) {
      const settings = { bypassCSP: true, colorScheme, viewport: { width, height: 900 } };
      const shown = await opened(browser, server.address, settings);
      await state(shown, "valid");
      assert.deepEqual(await barriers(shown), [], `${colorScheme}, ${width} px`);
      await type(shown, GOOD.replace("units", "unit"));
      await state(shown, "wrong");
      await tab(shown, "PyTorch").click();
      assert.deepEqual(await barriers(shown), [], `${colorScheme}, ${width} px, wrong`);
      await shown.context().close();
    }
  });

  test("ends work of five seconds, says so, and goes on", async () => {
    const prepare = (made) =>
      made.route("**/worker.js", async (route) => {
        const response = await route.fetch();
        const busy = `addEventListener("message", ({ data }) => { while (String(data.given).includes("forever")); });`;
        await route.fulfill({ response, body: busy + (await response.text()) });
      });
    const slow = await opened(browser, server.address, { prepare });
    await state(slow, "valid");
    await type(slow, `${GOOD}# forever\n`);
    await state(slow, "failed");
    assert.match(await slow.textContent("#status"), /longer than 5 seconds and was stopped/);
    await type(slow, GOOD);
    await state(slow, "valid");
    await slow.context().close();
  });

  test("says what a browser lacks", async () => {
    const prepare = (made) => made.addInitScript(() => delete globalThis.WebAssembly);
    const old = await opened(browser, server.address, { prepare });
    assert.match(await old.textContent('#status[data-state="failed"]'), /no WebAssembly/);
    await old.context().close();
  });

  test("says that Python cannot be loaded, or not whole", async () => {
    const half = (await readFile(path.join(SITE, "wasm.gz"))).subarray(0, 1e6);
    for (const [answer, reason] of [
      [{ status: 404 }, "404 Not Found"],
      [{ body: half }, "Compressed input was truncated"],
    ]) {
      const prepare = (made) => made.route("**/wasm.gz", (route) => route.fulfill(answer));
      const cut = await opened(browser, server.address, { prepare });
      await state(cut, "failed");
      assert.equal(
        await cut.textContent("#status"),
        `Python could not be started: wasm.gz could not be loaded (${reason}).`,
      );
      await cut.context().close();
    }
  });

  test("is one file, which works from a disk without a network", async () => {
    const file = pathToFileURL(path.join(ROOT, "build/rnnspec-playground.html")).href;
    const start = performance.now();
    const alone = await opened(browser, file, { offline: true });
    await state(alone, "valid");
    console.log(`first result ${Math.round(performance.now() - start)} ms after opening the file`);
    await type(alone, GOOD.replace("units", "unit"));
    await state(alone, "wrong");
    assert.deepEqual(
      alone.requested.filter((url) => !/^(data|blob):/.test(url)),
      [file],
    );
    assert.deepEqual(alone.complaints, []);
    await alone.context().close();
  });
});
