// page.mjs URL CHROMIUM -- the page in a real browser, by keyboard and by what a screen reader is told. Exit 77: playwright-core is not there.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [url, executablePath] = process.argv.slice(2);
const require = createRequire(import.meta.url);
let chromium;
try {
    ({ chromium } = require('playwright-core'));
} catch {
    console.log('skipped: package playwright-core is not there (npm install in tests/wire/clients)');
    process.exit(77);
}
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const page = await browser.newPage();
const problems = [], hosts = new Set();
page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
page.on('console', (message) => message.type() === 'error' && problems.push(`console: ${message.text()}`));
page.on('request', (request) => hosts.add(new URL(request.url()).host));

// a model of random weights ends when it likes
await page.route('**/v1/chat/completions', (route) => route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), ignore_eos: true, seed: 1 }) }));
await page.goto(url);
assert.equal(await page.title(), 'slm');
// everything that takes input has a name
for (const control of await page.locator('input, select, textarea, button').all())
    assert.ok(await control.evaluate((e) => e.labels?.length || e.textContent.trim()), 'a control without a name');
await page.waitForFunction(() => document.querySelector('#model').options.length > 0);
await page.locator('#model').selectOption('tiny');

// a conversation, by keyboard only
await page.getByLabel('Tokens at most').fill('8');
await page.getByLabel('Message').focus();
await page.keyboard.type('Hi there');
await page.keyboard.press('Enter');
await page.waitForFunction(() => document.querySelector('#numbers').textContent.includes('8 written'));
assert.equal(await page.locator('#messages li').count(), 2);
assert.equal(await page.locator('#messages').getAttribute('aria-live'), 'polite');
assert.equal(await page.evaluate(() => document.activeElement.id), 'text');

// a long answer is stopped by Escape
await page.getByLabel('Tokens at most').fill('4000');
await page.getByLabel('Message').fill('More');
await page.keyboard.press('Enter');
await page.waitForFunction(() => !document.querySelector('#stop').disabled && document.querySelectorAll('#messages li').length === 4);
await page.keyboard.press('Escape');
await page.waitForFunction(() => document.querySelector('#stop').disabled);
await page.unroute('**/v1/chat/completions');

// models and their details
await page.getByRole('link', { name: 'Models' }).click();
await page.getByRole('button', { name: 'tiny' }).click();
await page.waitForFunction(() => document.querySelector('#details caption')?.textContent.includes('tensors'));
assert.equal(await page.locator('#page-chat').isVisible(), false);

// charts with words for those who do not see them
await page.getByRole('link', { name: 'Activity' }).click();
await page.waitForFunction(() => document.querySelector('#charts svg')?.getAttribute('aria-label'));
assert.equal(await page.getByRole('img').count(), 8);

// what goes wrong is told as an alert
await page.route('**/v1/chat/completions', (route) => route.fulfill({ status: 429, contentType: 'application/json', body: '{"error":{"message":"too many"}}' }));
await page.getByRole('link', { name: 'Chat' }).click();
await page.getByLabel('Message').fill('Again');
await page.keyboard.press('Enter');
await page.waitForFunction(() => document.querySelector('#problem').textContent === 'too many');

assert.deepEqual([...hosts], [new URL(url).host]);
assert.deepEqual(problems.filter((p) => !p.includes('429')), []);
await browser.close();
console.log('the page: a conversation, Escape, models, charts, an error; no other host was asked');
