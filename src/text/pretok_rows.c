/* pretok_rows.c -- the table of pre-tokenizers: the names that GGUF files carry, the patterns of the authors' tokenizer.json.
 *
 * Where llama.cpp's patterns differ from the authors' (spelled-out case, [^a-z] for letters that are not lower case), the
 * authors' stand here. Several names share a list. */
#include "text/pretok_int.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define NEWLINES_SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"

static const char *const gpt2[] = {PRETOK_GPT2, NULL};
static const char *const digit_gpt2[] = {"\\p{N}", PRETOK_GPT2, NULL};
/* cl100k and its children; digits by threes, singly, letters with their marks */
static const char *const llama3[] = {
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
static const char *const qwen2[] = {
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
static const char *const qwen35[] = {
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
/* o200k: words end where a capital begins */
static const char *const gpt4o[] = {
    "[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]*[" LOWER "]+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]+[" LOWER "]*" CONTRACTIONS
    "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" NEWLINES_SPACES, NULL};
static const char *const tekken[] = {
    "[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]*[" LOWER "]+|[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]+[" LOWER "]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
    NEWLINES_SPACES, NULL};
static const char *const seed_coder[] = {
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" NEWLINES_SPACES, NULL};
static const char *const bailing[] = {
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+", NULL};
/* the class is the letters with case of Unicode 11, as the authors list them */
static const char *const deepseek_llm[] = {
    "[\\r\\n]",
    "\\s?[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}"
    "\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}"
    "\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}"
    "\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}"
    "\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}"
    "\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}"
    "\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}"
    "\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}"
    "\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}"
    "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}"
    "\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}"
    "\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}]+",
    "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+", "\\s+$", "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}+", NULL};
static const char *const deepseek_coder[] = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}", NULL};
static const char *const deepseek_v3[] = {
    "\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
static const char *const falcon[] = {"[\\p{P}$+<=>^~|`]+", PRETOK_GPT2, "[0-9][0-9][0-9]", NULL};
static const char *const no_name[] = {"[\\p{P}$+<=>^~|]+", PRETOK_GPT2, "\\p{N}+", "[0-9][0-9][0-9]", NULL};
static const char *const bloom[] = {" ?[^(\\s|.,!?…。，、।۔،)]+", NULL};
static const char *const viking[] = {" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}", NULL};
static const char *const chameleon[] = {
    "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", PRETOK_GPT2, NULL};
/* like cl100k's, but spaces in halves of powers of two, the longest first */
static const char *const jais2[] = {
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|"
    "\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}", NULL};
/* scripts of East Asia by themselves, then o200k's with single digits */
static const char *const youtu[] = {
    "[\\x{ac00}-\\x{d7a3}\\x{3131}-\\x{318e}]+|[\\x{ff01}\\x{2026}\\x{201c}\\x{201d}\\x{2018}\\x{2019}\\x{2014}\\x{ff1a}\\x{ff1b}\\x{ff0c}\\x{3001}-\\x{303f}"
    "\\x{fe30}-\\x{fe4f}]+|[\\x{3105}-\\x{312f}]+|[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
    "[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]*[" LOWER "]+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]+[" LOWER "]*" CONTRACTIONS
    "?|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" NEWLINES_SPACES, NULL};
/* o200k's without Han, which stands by itself */
#define NO_HAN(letters) "(?:(?!\\p{sc:Han})[" letters "])"
static const char *const kimi_k2[] = {
    "\\p{sc:Han}+|[^\\r\\n\\p{L}\\p{N}]?" NO_HAN(UPPER) "*" NO_HAN(LOWER) "+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" NO_HAN(UPPER) "+" NO_HAN(LOWER) "*"
    CONTRACTIONS "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
static const char *const laguna[] = {
    "[^\\n]+|[\\n]+", CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
/* words with spaces between them are one */
static const char *const exaone_moe[] = {
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+", NULL};
static const char *const minicpm5[] = {
    "\\p{N}{1,3}", CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}+| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
static const char *const superbpe[] = {"\\p{N}+", NULL};
static const char *const gemma4[] = {"[^\\n]+|[\\n]+", NULL};

static const struct pretok_row rows[] = {
    {"default", no_name, 0},
    {"gpt-2", gpt2, 0},
    {"llama-bpe", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"llama3", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"llama-v3", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"smaug-bpe", llama3, PRETOK_IGNORE_MERGES}, /* SmolLM3 carries this name */
    {"lfm2", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"falcon3", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"falcon-h1", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"pixtral", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"midm-2.0", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"jina-v5-nano", llama3, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"dbrx", llama3, 0},
    {"chatglm-bpe", llama3, 0},
    {"glm4", llama3, 0},
    {"qwen2", qwen2, PRETOK_NFC},
    {"deepseek-r1-qwen", qwen2, PRETOK_NFC},
    {"qwen35", qwen35, PRETOK_NFC},
    {"stablelm2", qwen2, PRETOK_NFC},
    {"megrez", qwen2, PRETOK_NFC},
    {"hunyuan", qwen2, 0},
    {"grok-2", qwen2, 0},
    {"kormo", qwen2, 0},
    {"f2llmv2", qwen2, PRETOK_NFC},
    {"solar-open", qwen2, 0},
    {"gpt-4o", gpt4o, 0},
    {"llama4", gpt4o, 0},
    {"kanana2", gpt4o, 0},
    {"talkie", gpt4o, 0},
    {"minimax-m2", gpt4o, 0},
    {"tekken", tekken, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS},
    {"smollm", digit_gpt2, 0},
    {"starcoder", digit_gpt2, 0},
    {"refact", digit_gpt2, 0}, /* Granite 3 carries this name */
    {"command-r", digit_gpt2, PRETOK_NFC},
    {"codeshell", digit_gpt2, 0},
    {"exaone", digit_gpt2, 0},
    {"minerva-7b", digit_gpt2, 0},
    {"olmo", gpt2, PRETOK_NFC},
    {"mpt", gpt2, PRETOK_NFC},
    {"phi-2", gpt2, 0},
    {"jais", gpt2, 0},
    {"trillion", gpt2, 0},
    {"granite-docling", gpt2, 0},
    {"gigachat", gpt2, 0},
    {"mellum", gpt2, 0},
    {"modern-bert", gpt2, PRETOK_NFC},
    {"roberta-bpe", gpt2, 0},
    {"jina-es", gpt2, 0},
    {"jina-de", gpt2, 0},
    {"jina-v1-en", gpt2, 0},
    {"jina-v2-es", gpt2, 0},
    {"jina-v2-de", gpt2, 0},
    {"jina-v2-code", gpt2, 0},
    {"a.x-4.0", gpt2, 0},
    {"exaone4", gpt2, 0},
    {"deepseek-llm", deepseek_llm, 0},
    {"deepseek-coder", deepseek_coder, 0},
    {"deepseek-v3", deepseek_v3, 0},
    {"hunyuan-dense", deepseek_v3, 0},
    {"joyai-llm", deepseek_v3, 0},
    {"falcon", falcon, 0},
    {"seed-coder", seed_coder, 0},
    {"bailingmoe", bailing, 0},
    {"bailingmoe2", bailing, 0},
    {"llada-moe", bailing, 0},
    {"bloom", bloom, 0},
    {"poro-chat", bloom, 0},
    {"gpt3-finnish", bloom, 0},
    {"viking", viking, 0},
    {"chameleon", chameleon, PRETOK_ADD_BOS},
    {"gemma4", gemma4, 0},
    {"jais-2", jais2, 0},
    {"youtu", youtu, PRETOK_IGNORE_MERGES},
    {"kimi-k2", kimi_k2, 0},
    {"laguna", laguna, 0},
    {"exaone-moe", exaone_moe, 0},
    {"minicpm5", minicpm5, PRETOK_IGNORE_MERGES},
    {"mellum2", digit_gpt2, 0},
    {"granite-embed-multi-97m", gpt4o, PRETOK_IGNORE_MERGES},
    {"superbpe", superbpe, PRETOK_THREES},
};

const struct pretok_row *pretok_rows(size_t *n_rows) {
    *n_rows = sizeof rows / sizeof rows[0];
    return rows;
}
