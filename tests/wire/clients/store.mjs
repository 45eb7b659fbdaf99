// store.mjs URL REGISTRY DIGEST -- ollama's official client: pull, show, create, copy, push, delete, unchanged.
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';

const [host, registry, digest] = process.argv.slice(2);
const client = new Ollama({ host });
const model = `${registry}/library/tiny:1b`;
const names = async () => (await client.list()).models.map((m) => m.name).sort();
const collect = async (stream) => { const parts = []; for await (const part of await stream) parts.push(part); return parts; };

let parts = await collect(client.pull({ model, stream: true }));
assert.equal(parts[0].status, 'pulling manifest');
assert.equal(parts.at(-1).status, 'success');
assert.ok(parts.some((p) => p.status.startsWith('pulling ') && p.total > 0 && p.completed === p.total));
assert.equal((await client.pull({ model })).status, 'success');
await assert.rejects(client.pull({ model: 'llama3.2' }), /fetches nothing from there/);
await assert.rejects(client.pull({ model: `${registry}/library/none` }), /404|not found/i);

const shown = await client.show({ model });
assert.equal(shown.system, 'be brief');
assert.match(shown.parameters, /temperature +0/);
assert.match(shown.modelfile, /^FROM .*sha256-/);
assert.equal(shown.model_info['general.architecture'], 'llama');

parts = await collect(client.create({ model: 'mario', from: model, system: 'You are Mario', parameters: { num_predict: 3, stop: ['a', 'b'] }, license: ['MIT'], messages: [{ role: 'user', content: 'x' }], stream: true }));
assert.equal(parts.at(-1).status, 'success');
assert.equal((await client.create({ model: 'small', from: 'mario', quantize: 'Q8_0' })).status, 'success');
assert.equal((await client.show({ model: 'small' })).details.quantization_level, 'Q8_0');
assert.equal((await client.show({ model: 'mario' })).system, 'You are Mario');
await assert.rejects(client.create({ model: 'no', from: 'nobody' }), /not found/);
await assert.rejects(client.create({ model: 'no', from: 'mario', parameters: { wrong: 1 } }), /no such parameter/);
const answer = await client.chat({ model: 'mario', messages: [{ role: 'user', content: 'Hi' }] });
assert.ok(answer.eval_count <= 3);

assert.equal((await client.copy({ source: 'mario', destination: `${registry}/mine/luigi:v1` })).status, 'success');
parts = await collect(client.push({ model: `${registry}/mine/luigi:v1`, stream: true }));
assert.equal(parts.at(-1).status, 'success');
assert.deepEqual(await names(), [`${registry}/library/tiny:1b`, `${registry}/mine/luigi:v1`, 'mario:latest', 'small:latest']);
for (const name of await names()) assert.equal((await client.delete({ model: name })).status, 'success');
assert.deepEqual(await names(), []);
await assert.rejects(client.delete({ model: 'mario' }), /not found/);
assert.equal((await client.pull({ model: `${registry}/mine/luigi:v1` })).status, 'success');
assert.equal((await client.show({ model: `${registry}/mine/luigi:v1` })).system, 'You are Mario');
console.log('ollama: pull, show, create, quantize, chat, copy, push, list, delete');
