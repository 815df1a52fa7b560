// The browser in which the workbench is used like a person does.  A line in is {id, code, given}: the body of an async function that sees `page`, `verbs`
// and `given`; a line out is {id, value} or {id, error}.
// Started as:  node vscode_browser.mjs CHROMIUM PLAYWRIGHT URL
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [chromiumPath, playwright, url] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: chromiumPath, headless: true, args: FLAGS });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
await context.grantPermissions(["clipboard-read", "clipboard-write"]);
const page = await context.newPage();
page.setDefaultTimeout(90_000);
const hosts = new Set();
page.on("request", (request) => /^(https?|wss?):/.test(request.url()) && hosts.add(new URL(request.url()).hostname));

const verbs = {
  async load(address = url) {
    await page.goto(address, { waitUntil: "domcontentloaded" });
    await page.waitForSelector(".monaco-workbench .statusbar-item", { timeout: 120_000 });
  },
  async palette(title) {
    const box = page.locator(".quick-input-widget input.input");
    for (let tries = 0; ; tries++) {
      try {
        await page.keyboard.press("F1");
        await box.fill(`>${title}`, { timeout: 3000 });
        await page.locator(".quick-input-list .monaco-list-row.focused", { hasText: title }).waitFor({ timeout: 3000 });
        await page.keyboard.press("Enter"); // a click may meet the list while it is drawn anew
        return;
      } catch (error) {
        if (tries === 9) throw error; // what the command before did took the focus away
      }
    }
  },
  async lightbulb(title) {
    const row = page.locator(".action-widget .monaco-list-row", { hasText: title }).first();
    for (let tries = 0; ; tries++) {
      if (await row.isVisible()) return row;
      await page.keyboard.press("Control+1"); // the editor has the focus
      await page.keyboard.press("Control+.");
      try {
        await row.waitFor({ timeout: 5000 });
        return row;
      } catch (error) {
        if (tries === 14) throw error; // the problem is seen before the server has been told of it
        await page.keyboard.press("Escape");
      }
    }
  },
  async choose(title) {
    for (let tries = 0; ; tries++) {
      const row = await verbs.lightbulb(title);
      try {
        await row.click({ timeout: 5000 });
        return;
      } catch (error) {
        if (tries === 4) throw error; // something else took the focus, and the menu closed
      }
    }
  },
  async answer(prompt, text) {
    await page.locator(".quick-input-widget", { hasText: prompt }).waitFor();
    await page.locator(".quick-input-widget input.input").fill(text);
    await page.keyboard.press("Enter");
  },
  async frameWith(selector) {
    for (let tries = 0; tries < 600; tries++) {
      for (const frame of page.frames().filter((each) => each !== page.mainFrame())) {
        if (await frame.locator(selector).count().catch(() => 0)) return frame;
      }
      await page.waitForTimeout(100);
    }
    throw new Error(`there is no frame with ${selector}`);
  },
  hosts: () => [...hosts],
};

const AsyncFunction = async function () {}.constructor;
for await (const line of createInterface(process.stdin)) {
  const { id, code, given } = JSON.parse(line);
  const answer = { id };
  try {
    answer.value = (await new AsyncFunction("page", "verbs", "given", code)(page, verbs, given)) ?? null;
  } catch (error) {
    answer.error = String(error?.stack ?? error);
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
