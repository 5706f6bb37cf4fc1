// Opens a report in Chromium as a reader would, and prints what it measured as
// one line of JSON. It exits with status 1 at the first failed assertion.
//
//   node report.mjs CHROMIUM WORK.json
//
// WORK.json: {"page": file, "key": to search for, "client": of the marked operation,
// "value": that it observed, "searched": operations of the key, "shots": directory or ""}.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [, , executable, workFile] = process.argv;
const work = JSON.parse(readFileSync(workFile, "utf8"));
const address = pathToFileURL(work.page).href;

async function read(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(120_000); // a busy machine takes long to load a large page
  const asked = [], complaints = [];
  page.on("request", (r) => { if (r.url() !== address && !/^(data|blob|about):/.test(r.url())) asked.push(r.url()); });
  page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") complaints.push(m.text()); });
  page.on("pageerror", (e) => complaints.push(String(e)));

  await page.goto(address);
  await page.waitForFunction(() => globalThis.report && report.drawTimes.length > 0);
  measured.loadMs = Math.round(await page.evaluate(() => performance.timing.loadEventEnd - performance.timing.navigationStart));
  await shoot(page, "light");
  await zoomAndMove(page);
  await readTheMarked(page);
  await readByKeys(page);
  await changeAxis(page);
  await searchKey(page);
  await openPorcupine(page);
  await toggleTheme(page);
  await narrow(page);
  assert.deepEqual(asked, [], "the page made a network request");
  assert.deepEqual(complaints, [], "the console has errors or warnings");
}

async function shoot(page, name) {
  if (work.shots) await page.screenshot({ path: work.shots + "/" + name + ".png", fullPage: true });
}

const width = (page) => page.evaluate(() => report.view.to - report.view.from);
const settled = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

// zoomAndMove uses the wheel, the mouse, the buttons and the keys, and measures
// each redraw.
async function zoomAndMove(page) {
  const chart = page.locator("#chart");
  await chart.scrollIntoViewIfNeeded();
  const box = await chart.boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height * 0.7];
  await page.evaluate(() => { report.drawTimes.length = 0; });
  const whole = await width(page);
  await page.mouse.move(x, y);
  for (let i = 0; i < 12; i++) {
    await page.mouse.wheel(0, -120);
    await settled(page);
  }
  const near = await width(page);
  assert.ok(near < whole / 10, `twelve turns of the wheel zoomed from ${whole} only to ${near}`);
  const before = await page.evaluate(() => report.view.from);
  await page.mouse.down();
  for (let i = 1; i <= 10; i++) {
    await page.mouse.move(x - 20 * i, y - 4 * i);
    await settled(page);
  }
  await page.mouse.up();
  const after = await page.evaluate(() => report.view.from);
  assert.ok(after > before, "dragging to the left did not move the view forward in time");
  for (let i = 0; i < 12; i++) {
    await page.mouse.wheel(0, 120);
    await settled(page);
  }
  await page.locator("#zoom-in").click();
  await settled(page);
  assert.ok((await width(page)) < whole * 0.99, "the button did not zoom in");
  await chart.focus();
  await page.keyboard.press("0");
  await settled(page);
  assert.ok(Math.abs((await width(page)) / whole - 1) < 0.01, "key 0 did not show the whole history");
  const times = (await page.evaluate(() => report.drawTimes)).toSorted((a, b) => a - b);
  measured.drawings = times.length;
  measured.drawMedianMs = round(times[times.length >> 1]);
  measured.drawP95Ms = round(times[Math.floor(times.length * 0.95)]);
}

const round = (n) => Math.round(n * 10) / 10;

// readTheMarked clicks an operation of the contradiction where it is drawn.
async function readTheMarked(page) {
  assert.match(await page.locator("#sentences").innerText(), /not linearizable/);
  const starred = page.locator("#timeline button.core");
  assert.ok((await starred.count()) >= 1, "the contradiction has no operation");
  await page.locator("#jump").click();
  await page.keyboard.press("Escape"); // clears the selection
  assert.match(await page.locator("#details-title").innerText(), /Nothing selected/);
  await settled(page);
  const marked = await page.evaluate(() => report.marked());
  const at = await page.evaluate((i) => report.placeOf(i), marked[marked.length - 1]);
  const box = await page.locator("#chart").boundingBox();
  await page.mouse.click(box.x + at.x + Math.max(1, at.width / 2), box.y + at.y);
  const text = await page.locator("#details").innerText();
  for (const part of ["Part of the contradiction", "kind", "outcome", "stamps", work.key, work.value]) {
    assert.ok(text.includes(part), `the details lack ${part}:\n${text}`);
  }
  assert.equal(await fact(page, "client"), String(work.client));
  assert.equal(await fact(page, "key"), work.key);
  await shoot(page, "marked");
}

const fact = (page, name) => page.locator(`#details dt:text-is("${name}") + dd`).innerText();

async function readByKeys(page) {
  const before = await fact(page, "stamps");
  await page.locator("#chart").focus();
  let [there, back] = ["n", "p"];
  await page.keyboard.press(there);
  if ((await fact(page, "stamps")) === before) {
    [there, back] = [back, there]; // it was the last operation
    await page.keyboard.press(there);
  }
  assert.notEqual(await fact(page, "stamps"), before, `key ${there} did not select another operation`);
  await page.keyboard.press(back);
  assert.equal(await fact(page, "stamps"), before, `key ${back} did not return to the first operation`);
}

// changeAxis switches to the order of events and back; the selection stays in view.
async function changeAxis(page) {
  const marked = await page.evaluate(() => report.marked());
  for (const by of ["order", "time"]) {
    await page.locator("#axis").selectOption(by);
    await settled(page);
    assert.equal(await page.evaluate(() => report.axis.byTime), by === "time");
    const at = await page.evaluate((i) => report.placeOf(i), marked[marked.length - 1]);
    const box = await page.locator("#chart").boundingBox();
    assert.ok(at.x > 0 && at.x < box.width && at.width > 0, `by ${by} the marked operation is at ${JSON.stringify(at)}`);
    await page.mouse.click(box.x + at.x + at.width / 2, box.y + at.y);
    assert.equal(await fact(page, "client"), String(work.client));
  }
}

async function searchKey(page) {
  const search = page.locator("#search");
  await search.fill(work.key);
  await page.waitForSelector("#suggestions li");
  await page.keyboard.press("Enter");
  const shown = await page.locator("#shown").innerText();
  assert.ok(shown.startsWith(`${work.searched} of `), `after the search for ${work.key}: ${shown}, want ${work.searched}`);
  await page.locator("#jump").click();
  await settled(page);
  await shoot(page, "one-key");
  await page.locator("#clear").click();
  assert.ok(!(await page.locator("#shown").innerText()).includes(" of "), "the filter was not cleared");
}

async function openPorcupine(page) {
  if (!(await page.locator("#porcupine").isVisible())) return;
  await page.locator("#porcupine summary").click();
  const frame = page.frameLocator("#porcupine-frame iframe");
  await frame.locator("#canvas svg text").first().waitFor();
  await settled(page);
  measured.porcupine = true;
  await shoot(page, "porcupine");
  await page.locator("#porcupine summary").click();
}

async function toggleTheme(page) {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.locator("#theme").click();
  await settled(page);
  assert.notEqual(await ground(), light, "the theme did not change");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await shoot(page, "dark");
}

// narrow checks that nothing overflows on a small screen.
async function narrow(page) {
  await page.setViewportSize({ width: 800, height: 600 });
  await settled(page);
  await shoot(page, "narrow");
  const [all, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(all <= seen, `at 800 pixels the page is ${all} wide`);
}

// As root, as in a container, Chromium runs only without its sandbox.
const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const measured = {};
try {
  await read(await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" }));
  console.log(JSON.stringify(measured));
} finally {
  await browser.close();
}
