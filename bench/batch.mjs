#!/usr/bin/env node
// batch.mjs MODEL [N] [THREADS] [MODULES] -- llama.cpp generating N sequences (8) in one batch, and one: tokens/s while all of them generate.
// Through node-llama-cpp, whose batching queue puts what is ready into one decode; the counterpart of `serve.py together`.
import { join, resolve } from "path";
import { pathToFileURL } from "url";

const [model, n = "8", threads = "2", modules = "../shared/tools/peer"] = process.argv.slice(2);
const { getLlama } = await import(pathToFileURL(resolve(join(modules, "node_modules/node-llama-cpp/dist/index.js"))));
const llama = await getLlama({ build: "never", gpu: false, logLevel: "error" });
const loaded = await llama.loadModel({ modelPath: model });
const N_PROMPT = 64, N_MADE = 64;

async function rate(count) {
    const context = await loaded.createContext({ sequences: count, contextSize: N_PROMPT + N_MADE + 16, batchSize: 512, threads: +threads });
    let state = 12345, begun = 0, t0 = 0, made = 0, t1 = 0;
    const next = () => (state = (state * 1103515245 + 12345) & 0x7fffffff) % (loaded.fileInfo.metadata.tokenizer.ggml.tokens.length - 300) + 300;
    await Promise.all(Array.from({ length: count }, async () => {
        const prompt = Array.from({ length: N_PROMPT }, next);
        let k = 0;
        for await (const _ of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
            if (++k === 1 && ++begun === count) t0 = performance.now();
            else if (begun === count && t1 === 0) made++;
            if (k >= N_MADE) { t1 ||= performance.now(); break; }
        }
    }));
    await context.dispose();
    return 1000 * made / (t1 - t0);
}

await rate(1); // pages in
const one_tps = await rate(1), many_tps = await rate(+n);
console.log(JSON.stringify({ one_tps, many_tps, ratio: many_tps / one_tps }));
process.exit(0);
