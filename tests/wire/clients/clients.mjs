// clients.mjs URL MODEL EMBEDDER -- official clients against a live server. Exit 77: a package is not there.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [url, model, embedder] = process.argv.slice(2);
const require = createRequire(import.meta.url);
async function load(name) {
    try {
        return await import(pathToFileURL(require.resolve(name)).href);
    } catch (error) {
        console.log(`skipped: package ${name} is not there (npm install in tests/wire/clients): ${error.code ?? error}`);
        process.exit(77);
    }
}
const OpenAI = (await load('openai')).default;
const Anthropic = (await load('@anthropic-ai/sdk')).default;
const { Ollama } = await load('ollama');
const { generateText, jsonSchema, Output, streamText } = await load('ai');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');
const { ChatOpenAI, OpenAIEmbeddings } = await load('@langchain/openai');
const { HumanMessage, SystemMessage, ToolMessage } = await load('@langchain/core/messages');

const messages = [{ role: 'user', content: 'Hi' }];
const tools = [{ type: 'function', function: { name: 'get_time', description: 'the time', parameters: { type: 'object', properties: { zone: { type: 'string' } } } } }];
const langchain = (options) => new ChatOpenAI({ model, apiKey: 'none', maxRetries: 0, configuration: { baseURL: `${url}/v1` }, ...options });
const tests = {
    async 'openai chat'() {
        const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
        const whole = await client.chat.completions.create({ model, messages, max_tokens: 4, temperature: 0, n: 2, logprobs: true, top_logprobs: 2 });
        assert.equal(whole.choices.length, 2);
        assert.equal(whole.choices[0].logprobs.content.length, 4);
        assert.equal(whole.usage.completion_tokens, 8);
        let text = '', usage;
        for await (const chunk of await client.chat.completions.create({ model, messages, max_tokens: 4, temperature: 0, stream: true, stream_options: { include_usage: true } })) {
            text += chunk.choices[0]?.delta.content ?? '';
            usage = chunk.usage ?? usage;
        }
        assert.equal(text, whole.choices[0].message.content);
        assert.equal(usage.completion_tokens, 4);
    },
    async 'openai tools, errors'() {
        const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
        const whole = await client.chat.completions.create({ model, messages, tools, tool_choice: 'none', max_tokens: 2 });
        assert.equal(whole.choices[0].message.tool_calls, undefined);
        await assert.rejects(client.chat.completions.create({ model: 'nothing', messages }), (e) => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
        await assert.rejects(client.chat.completions.create({ model, messages: [{ role: 'user', content: 'word '.repeat(5000) }] }), (e) => e instanceof OpenAI.BadRequestError && e.code === 'context_length_exceeded');
    },
    async 'openai forced calls, schemas'() {
        const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
        const strict = [{ type: 'function', function: { name: 'get_time', parameters: { type: 'object', properties: { zone: { enum: ['UTC', 'CET'] } }, required: ['zone'], additionalProperties: false } } }];
        const whole = await client.chat.completions.create({ model, messages, tools: strict, tool_choice: 'required' });
        assert.equal(whole.choices[0].finish_reason, 'tool_calls');
        assert.ok(['UTC', 'CET'].includes(JSON.parse(whole.choices[0].message.tool_calls[0].function.arguments).zone));
        const stream = client.chat.completions.stream({ model, messages, tools: strict, tool_choice: { type: 'function', function: { name: 'get_time' } } });
        assert.equal((await stream.finalChatCompletion()).choices[0].message.tool_calls[0].function.name, 'get_time');
        const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 0, maximum: 9 } }, required: ['n'], additionalProperties: false };
        const held = await client.chat.completions.create({ model, messages, response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } } });
        assert.ok(Number.isInteger(JSON.parse(held.choices[0].message.content).n));
        const response = await client.responses.create({ model, input: 'Hi', tools: [{ type: 'function', strict: true, ...strict[0].function }], tool_choice: 'required' });
        assert.equal(response.output[0].type, 'function_call');
    },
    async 'openai completions, embeddings, models, responses'() {
        const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
        assert.equal((await client.completions.create({ model, prompt: 'Hi', max_tokens: 3 })).choices.length, 1);
        const vectors = await client.embeddings.create({ model: embedder, input: ['a', 'b'] });
        assert.equal(vectors.data.length, 2);
        assert.ok(Math.abs(vectors.data[0].embedding.reduce((s, x) => s + x * x, 0) - 1) < 1e-4, 'length 1');
        assert.ok((await client.models.list()).data.some((m) => m.id === model));
        const response = await client.responses.create({ model, input: 'Hi', max_output_tokens: 3, temperature: 0 });
        assert.equal(response.status, 'incomplete');
        let streamed = '', last;
        for await (const event of await client.responses.create({ model, input: 'Hi', max_output_tokens: 3, temperature: 0, stream: true })) {
            if (event.type === 'response.output_text.delta') streamed += event.delta;
            last = event.type;
        }
        assert.equal(streamed, response.output_text);
        assert.equal(last, 'response.incomplete');
    },
    async 'openai leaves'() {
        const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
        const stream = await client.chat.completions.create({ model, messages, max_tokens: 3000, stream: true });
        for await (const chunk of stream) if (chunk) break; // the client closes the connection
    },
    async 'anthropic messages'() {
        const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
        const whole = await client.messages.create({ model, max_tokens: 4, temperature: 0, messages });
        assert.equal(whole.stop_reason, 'max_tokens');
        const stream = client.messages.stream({ model, max_tokens: 4, temperature: 0, messages });
        assert.deepEqual((await stream.finalMessage()).content, whole.content);
        const input_schema = { type: 'object', properties: { zone: { const: 'UTC' } }, required: ['zone'], additionalProperties: false };
        const called = await client.messages.create({ model, max_tokens: 200, messages, tools: [{ name: 'get_time', input_schema }], tool_choice: { type: 'any' } });
        assert.deepEqual([called.stop_reason, called.content[0].type, called.content[0].input], ['tool_use', 'tool_use', { zone: 'UTC' }]);
        assert.ok((await client.messages.countTokens({ model, messages })).input_tokens > 0);
        await assert.rejects(client.messages.create({ model: 'nothing', max_tokens: 1, messages }), (e) => e instanceof Anthropic.NotFoundError);
    },
    async 'ollama'() {
        const client = new Ollama({ host: url });
        const options = { num_predict: 4, temperature: 0 };
        const whole = await client.chat({ model, messages, options });
        let text = '';
        for await (const part of await client.chat({ model, messages, options, stream: true })) text += part.message.content;
        assert.equal(text, whole.message.content);
        assert.equal((await client.generate({ model, prompt: 'Hi', options })).eval_count, 4);
        assert.deepEqual(JSON.parse((await client.chat({ model, messages, format: { const: { ok: true } } })).message.content), { ok: true });
        assert.equal((await client.embed({ model: embedder, input: ['a', 'b'] })).embeddings.length, 2);
        assert.ok((await client.list()).models.some((m) => m.name === `${model}:latest`));
        assert.equal((await client.show({ model })).details.format, 'gguf');
        assert.ok((await client.ps()).models.length > 0);
        await assert.rejects(client.chat({ model: 'nothing', messages }), (e) => e.status_code === 404);
    },
    async 'ai sdk'() {
        const provider = createOpenAICompatible({ name: 'slm', baseURL: `${url}/v1`, supportsStructuredOutputs: true });
        const whole = await generateText({ model: provider(model), prompt: 'Hi', maxOutputTokens: 4, temperature: 0 });
        assert.equal(whole.finishReason, 'length');
        const held = await generateText({ model: provider(model), prompt: 'Hi', output: Output.object({ schema: jsonSchema({ type: 'object', properties: { ok: { const: true } }, required: ['ok'], additionalProperties: false }) }) });
        assert.deepEqual(held.output, { ok: true });
        const stream = streamText({ model: provider(model), prompt: 'Hi', maxOutputTokens: 4, temperature: 0 });
        let text = '';
        for await (const piece of stream.textStream) text += piece;
        assert.equal(text, whole.text);
    },
    async 'langchain chat, stream'() {
        const chat = langchain({ maxTokens: 4, temperature: 0 });
        const whole = await chat.invoke([new SystemMessage('Be brief.'), new HumanMessage('Hi')]);
        assert.equal(whole.response_metadata.finish_reason, 'length');
        assert.equal(whole.usage_metadata.output_tokens, 4);
        let joined;
        for await (const piece of await chat.stream([new SystemMessage('Be brief.'), new HumanMessage('Hi')])) joined = joined ? joined.concat(piece) : piece;
        assert.equal(joined.content, whole.content);
        assert.equal(joined.usage_metadata.output_tokens, 4);
        assert.deepEqual((await chat.batch([[new HumanMessage('Hi')], [new HumanMessage('Hi')]])).map((m) => m.content).length, 2);
        const leaving = new AbortController();
        await assert.rejects(async () => {
            for await (const piece of await langchain({ maxTokens: 3000 }).stream('Hi', { signal: leaving.signal })) if (piece) leaving.abort();
        });
    },
    async 'langchain tools'() {
        const chat = langchain({ maxTokens: 200 });
        const schema = { type: 'object', properties: { zone: { enum: ['UTC', 'CET'] } }, required: ['zone'], additionalProperties: false };
        const bound = chat.bindTools([{ type: 'function', function: { name: 'get_time', description: 'the time', parameters: schema } }], { tool_choice: 'get_time' });
        const question = new HumanMessage('What time is it?');
        const called = await bound.invoke([question]);
        assert.equal(called.tool_calls[0].name, 'get_time');
        assert.ok(['UTC', 'CET'].includes(called.tool_calls[0].args.zone));
        let joined;
        for await (const piece of await bound.stream([question])) joined = joined ? joined.concat(piece) : piece;
        assert.equal(joined.tool_calls[0].name, 'get_time');
        assert.ok(['UTC', 'CET'].includes(joined.tool_calls[0].args.zone));
        const after = await langchain({ maxTokens: 4, temperature: 0 }).invoke([question, called, new ToolMessage({ content: '12:00', tool_call_id: called.tool_calls[0].id })]);
        assert.ok(after.usage_metadata.output_tokens <= 4 && after.usage_metadata.input_tokens > 20); // a call's answer is part of the prompt
    },
    async 'langchain schemas, errors'() {
        const schema = { title: 'verdict', type: 'object', properties: { ok: { type: 'boolean' }, n: { type: 'integer', minimum: 0, maximum: 9 } }, required: ['ok', 'n'], additionalProperties: false };
        for (const method of ['jsonSchema', 'functionCalling']) {
            const held = await langchain({ maxTokens: 200 }).withStructuredOutput(schema, { name: 'verdict', method }).invoke('Hi');
            assert.equal(typeof held.ok, 'boolean', method);
            assert.ok(Number.isInteger(held.n), method);
        }
        await assert.rejects(langchain({ model: 'nothing' }).invoke('Hi'), (e) => e.status === 404);
        await assert.rejects(langchain({}).invoke('word '.repeat(5000)), (e) => e.status === 400);
    },
    async 'langchain embeddings'() {
        const vectors = new OpenAIEmbeddings({ model: embedder, apiKey: 'none', configuration: { baseURL: `${url}/v1` } });
        const [a, b] = await vectors.embedDocuments(['a', 'b']);
        assert.ok(Math.abs(a.reduce((s, x) => s + x * x, 0) - 1) < 1e-4, 'length 1');
        assert.equal(a.length, b.length);
        assert.deepEqual(await vectors.embedQuery('a'), a);
    },
};

let faults = 0;
for (const [name, run] of Object.entries(tests)) {
    try {
        await run();
        console.log(`ok      ${name}`);
    } catch (error) {
        faults++;
        console.log(`FAILED  ${name}: ${error.stack ?? error}`);
    }
}
process.exit(faults ? 1 : 0);
