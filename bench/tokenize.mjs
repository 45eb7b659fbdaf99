#!/usr/bin/env node
// tokenize.mjs -- slm's tokenizer against the npm package `tokenizers` (Hugging Face's Rust library), one thread each, same text, same ids.
//
//   node bench/tokenize.mjs MODEL.gguf TEXT_FILE [MEGABYTES]
//
// The package is looked for in NODE_PATH or node_modules. Its tokenizer.json is made from the GGUF's own vocabulary, in the structure that
// the model's authors publish. Byte-level BPE with the pre-tokenizers below, and SentencePiece BPE.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const cl100k = digits => `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${REST}`;
const PRE = {
  'gpt-2': {pattern: null},
  'llama-bpe': {pattern: cl100k('\\p{N}{1,3}'), ignoreMerges: true},
  'qwen2': {pattern: cl100k('\\p{N}'), nfc: true},
};
const SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8};

// The metadata of a GGUF file: keys, values, arrays.
function readMetadata(file) {
  const b = fs.readFileSync(file);
  let at = 4;
  const u32 = () => (at += 4, b.readUInt32LE(at - 4));
  const u64 = () => (at += 8, Number(b.readBigUInt64LE(at - 8)));
  const string = () => { const n = u64(); at += n; return b.toString('utf8', at - n, at); };
  const number = type => {
    const n = SIZES[type];
    at += n;
    if (type === 6) return b.readFloatLE(at - n);
    if (type === 12) return b.readDoubleLE(at - n);
    return n === 8 ? Number(b.readBigInt64LE(at - n)) : type === 1 || type === 3 || type === 5 ? b.readIntLE(at - n, n) : b.readUIntLE(at - n, n);
  };
  const value = type => {
    if (type === 8) return string();
    if (type !== 9) return number(type);
    const element = u32(), n = u64();
    return Array.from({length: n}, () => value(element));
  };
  u32();
  u64();
  const nKeys = u64(), out = {};
  for (let i = 0; i < nKeys; i++) { const key = string(); out[key] = value(u32()); }
  return out;
}

const byteLevel = use_regex => ({type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex});

function byteLevelParts(meta) {
  const pre = PRE[meta['tokenizer.ggml.pre']];
  if (!pre) throw new Error(`pre-tokenizer "${meta['tokenizer.ggml.pre']}": not one of ${Object.keys(PRE)}`);
  const split = {type: 'Split', pattern: {Regex: pre.pattern}, behavior: 'Isolated', invert: false};
  return {
    normalizer: pre.nfc ? {type: 'NFC'} : null,
    pre_tokenizer: pre.pattern ? {type: 'Sequence', pretokenizers: [split, byteLevel(false)]} : byteLevel(true),
    decoder: byteLevel(false),
    options: {unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: !!pre.ignoreMerges},
    merges: meta['tokenizer.ggml.merges'],
  };
}

// Merges that follow from scores: every cut of a piece into two pieces, best piece first.
function markedParts(meta) {
  const tokens = meta['tokenizer.ggml.tokens'], scores = meta['tokenizer.ggml.scores'], ids = new Map(tokens.map((t, i) => [t, i]));
  const merges = [];
  tokens.forEach((t, id) => {
    const letters = [...t];
    for (let k = 1; k < letters.length; k++) {
      const l = letters.slice(0, k).join(''), r = letters.slice(k).join('');
      if (ids.has(l) && ids.has(r)) merges.push([l, r, scores[id], ids.get(l), ids.get(r)]);
    }
  });
  merges.sort((a, b) => b[2] - a[2] || a[3] - b[3] || a[4] - b[4]);
  return {
    normalizer: {type: 'Sequence', normalizers: [{type: 'Prepend', prepend: '▁'}, {type: 'Replace', pattern: {String: ' '}, content: '▁'}]},
    pre_tokenizer: null, decoder: null,
    options: {unk_token: '<unk>', fuse_unk: true, byte_fallback: true},
    merges: merges.map(m => [m[0], m[1]]),
  };
}

function writeTokenizerJson(meta, file) {
  const tokens = meta['tokenizer.ggml.tokens'], types = meta['tokenizer.ggml.token_type'], family = meta['tokenizer.ggml.model'];
  if (family !== 'gpt2' && family !== 'llama') throw new Error(`tokenizer family "${family}": not one of gpt2, llama`);
  const parts = family === 'gpt2' ? byteLevelParts(meta) : markedParts(meta);
  const isAdded = i => types[i] === 3 || types[i] === 4 || types[i] === 2;
  const vocab = {}, added_tokens = [];
  tokens.forEach((t, i) => {
    if (isAdded(i)) added_tokens.push({id: i, content: t, single_word: false, lstrip: false, rstrip: false, normalized: false, special: types[i] !== 4});
    if (!isAdded(i) || family === 'llama') vocab[t] = i;
  });
  const model = {type: 'BPE', dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null, ...parts.options, vocab, merges: parts.merges};
  const {normalizer, pre_tokenizer, decoder} = parts;
  fs.writeFileSync(file, JSON.stringify({version: '1.0', truncation: null, padding: null, added_tokens, normalizer, pre_tokenizer, post_processor: null, decoder, model}));
}

// FNV-1a over 32-bit ids, as bench_tokenize prints it.
function checksum(ids) {
  let h = 0xcbf29ce484222325n;
  for (const id of ids) h = ((h ^ BigInt(id)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return h.toString(16).padStart(16, '0');
}

async function main([model, textFile, megabytes = '10']) {
  if (!textFile) throw new Error('usage: tokenize.mjs MODEL.gguf TEXT_FILE [MEGABYTES]');
  const {Tokenizer} = createRequire(process.env.NODE_PATH ? path.join(process.env.NODE_PATH.split(':')[0], 'x.js') : path.resolve('x.js'))('tokenizers');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'slm-bench-')), root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
  try {
    const json = path.join(folder, 'tokenizer.json'), part = path.join(folder, 'text');
    writeTokenizerJson(readMetadata(model), json);
    const text = new TextDecoder().decode(fs.readFileSync(textFile).subarray(0, Number(megabytes) * 1e6)).replace(/\ufffd+$/, '');
    fs.writeFileSync(part, text);
    const theirs = Tokenizer.fromFile(json);
    await theirs.encode('warm up', null, {addSpecialTokens: false});
    const t0 = performance.now();
    const encoding = await theirs.encode(text, null, {addSpecialTokens: false});
    const seconds = (performance.now() - t0) / 1e3;
    const ours = JSON.parse(execFileSync(path.join(root, 'build/bench/bench_tokenize'), [model, part, '3']));
    const rate = ours.n_bytes / seconds / 1e6;
    console.log(JSON.stringify({n_bytes: ours.n_bytes, n_ids: ours.n_ids, same_ids: checksum(encoding.getIds()) === ours.checksum,
      slm_mb_per_s: ours.mb_per_s, tokenizers_mb_per_s: +rate.toFixed(2), times_faster: +(ours.mb_per_s / rate).toFixed(1), slm_load_ms: ours.load_ms}));
  } finally {
    fs.rmSync(folder, {recursive: true});
  }
}
main(process.argv.slice(2)).catch(e => { console.error(`error: ${e.message}`); process.exit(1); });
