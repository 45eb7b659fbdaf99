#!/usr/bin/env node
// compare.mjs -- slm beside llama.cpp on the same files: prefill, decode, load and peak memory, in alternation.
//
// Rounds alternate and change who is first, so that other load on the machine meets both; what is printed are medians and the median of the
// rounds' ratios. Each run is a process of its own, one sequence, keys and values in half precision. llama.cpp comes through
// node-llama-cpp with the library that it chooses for this CPU (npm install node-llama-cpp --ignore-scripts, anywhere):
//   node bench/compare.mjs [-r ROUNDS] [-p PROMPT] [-n STEPS] [-t THREADS] [--slm PATH] [--modules FOLDER] [--json] MODEL.gguf...
// FOLDER has node_modules in it; default: ../shared/tools/peer, then this folder.
import { execFileSync } from "child_process";
import { existsSync } from "fs";
import { dirname, join, resolve } from "path";
import { fileURLToPath, pathToFileURL } from "url";

const here = dirname(fileURLToPath(import.meta.url));
const value = { r: 5, p: 512, n: 64, t: 2, slm: join(here, "../build/slm"), modules: "" };
const models = [];
let asJson = false;

const fail = text => { console.error(`error: ${text}`); process.exit(2); };

for (let args = process.argv.slice(2); args.length > 0;) {
    const arg = args.shift(), name = arg.replace(/^--?/, "");
    if (arg === "--json") asJson = true;
    else if (arg === name) models.push(arg);
    else if (!(name in value)) fail(`option "${arg}": not known; the first lines of ${fileURLToPath(import.meta.url)} tell`);
    else if (args.length === 0) fail(`option "${arg}": needs a value`);
    else value[name] = typeof value[name] === "number" ? Number(args.shift()) : args.shift();
}
for (const name of ["r", "p", "n", "t"]) if (!(Number.isInteger(value[name]) && value[name] > 0)) fail(`option "-${name}": must be a whole number above 0`);

const entry = "node_modules/node-llama-cpp/dist/index.js";
const folder = [value.modules, join(here, "../../shared/tools/peer"), here].filter(Boolean).find(f => existsSync(join(f, entry)));

// One run of llama.cpp, in a process of its own: this file with COMPARE_PEER set. A short first pass brings the file into memory, as slm's does.
async function runPeer(model) {
    const { getLlama } = await import(pathToFileURL(resolve(folder, entry)));
    const llama = await getLlama({ build: "never", gpu: false, logLevel: "error" });
    const start = performance.now();
    const loaded = await llama.loadModel({ modelPath: model });
    const context = await loaded.createContext({ contextSize: value.p + value.n + 64, batchSize: 512, threads: value.t });
    const load_ms = performance.now() - start;
    const sequence = context.getSequence();
    let state = 12345;
    const next = () => (state = (state * 1103515245 + 12345) & 0x7fffffff) % (loaded.fileInfo.metadata.tokenizer.ggml.tokens.length - 300) + 300;
    const tokens = n => Array.from({ length: n }, next);
    await sequence.evaluateWithoutGeneratingNewTokens(tokens(32));
    await sequence.clearHistory();
    const prompt = tokens(value.p), t0 = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(prompt);
    const t1 = performance.now();
    let n = 0;
    for await (const _ of sequence.evaluate(tokens(1), { temperature: 0, yieldEogToken: true })) if (++n >= value.n) break;
    const t2 = performance.now();
    console.log(JSON.stringify({ load_ms, prefill_tps: 1000 * value.p / (t1 - t0), decode_tps: 1000 * n / (t2 - t1), peak_memory_bytes: process.resourceUsage().maxRSS * 1024 }));
    process.exit(0);
}

const output = (file, args, env = {}) => JSON.parse(execFileSync(file, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] }).toString());
const common = ["-p", `${value.p}`, "-n", `${value.n}`, "-t", `${value.t}`];
const run = {
    slm: model => output(value.slm, ["bench", "-m", model, ...common, "-r", "1", "--kv", "f16", "--json"]),
    peer: model => output(process.execPath, [fileURLToPath(import.meta.url), ...common, "--modules", folder, model], { COMPARE_PEER: "1" }),
};

const median = list => { const s = [...list].sort((a, b) => a - b), h = s.length >> 1; return s.length % 2 ? s[h] : (s[h - 1] + s[h]) / 2; };

// What is compared, and which way is better: the ratio is how many times better slm is.
const measures = [
    { key: "prefill_tps", name: "prefill, tokens/s", isMoreBetter: true, show: v => v.toFixed(1) },
    { key: "decode_tps", name: "decode, tokens/s", isMoreBetter: true, show: v => v.toFixed(1) },
    { key: "load_ms", name: "load, ms", isMoreBetter: false, show: v => v.toFixed(0) },
    { key: "peak_memory_bytes", name: "peak memory, MiB", isMoreBetter: false, show: v => (v / 1048576).toFixed(0) },
];

function compare(model) {
    const rounds = [];
    run.slm(model); // packs the weights, if they are not in the cache yet: what every later start finds
    for (let i = 0; i < value.r; i++) {
        const round = {};
        for (const who of i % 2 ? ["peer", "slm"] : ["slm", "peer"]) round[who] = run[who](model);
        rounds.push(round);
    }
    const row = { model };
    for (const m of measures) {
        const ratios = rounds.map(r => m.isMoreBetter ? r.slm[m.key] / r.peer[m.key] : r.peer[m.key] / r.slm[m.key]);
        row[m.key] = { slm: median(rounds.map(r => r.slm[m.key])), peer: median(rounds.map(r => r.peer[m.key])), ratio: median(ratios) };
    }
    row.multiply_share = median(rounds.map(r => r.slm.results[0].multiply_share));
    row.read_share = median(rounds.map(r => r.slm.results[0].read_share));
    return row;
}

function print(row) {
    console.log(`\n${row.model}: medians of ${value.r} alternating rounds, ${value.t} threads, prompt ${value.p}, ${value.n} steps`);
    console.log("                          slm  llama.cpp      ratio");
    for (const m of measures) {
        const v = row[m.key];
        console.log(`${m.name.padEnd(18)} ${m.show(v.slm).padStart(10)} ${m.show(v.peer).padStart(10)} ${v.ratio.toFixed(2).padStart(10)}`);
    }
    console.log(`slm's share of the machine's multiplying ${(100 * row.multiply_share).toFixed(0)} %, of its reading ${(100 * row.read_share).toFixed(0)} %`);
}

if (!folder) fail(`node-llama-cpp: not found: npm install node-llama-cpp --ignore-scripts, and --modules FOLDER`);
if (models.length === 0) fail(`no model: node bench/compare.mjs MODEL.gguf`);
if (process.env.COMPARE_PEER) await runPeer(models[0]);
const rows = models.map(model => { const row = compare(model); if (!asJson) print(row); return row; });
if (asJson) console.log(JSON.stringify({ rounds: value.r, threads: value.t, n_prompt: value.p, n_predict: value.n, models: rows }));
