/* pretok_rows.c -- the table of pre-tokenizers: the names that GGUF files carry, the patterns of the authors' tokenizer.json.
 *
 * Where llama.cpp's patterns differ from the authors' (spelled-out case, [^a-z] for letters that are not lower case), the
 * authors' stand here. Several names share a list. */
#include "text/pretok_int.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define NEWLINES_SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"

static const char *const gpt2[] = {GPT2_WORDS, NULL};
static const char *const digit_gpt2[] = {"\\p{N}", GPT2_WORDS, NULL};
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
static const char *const deepseek_llm[] = {
    "[\\r\\n]",
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿ"
    "ⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥ࠀ-一가-퟿]+", "\\p{N}+", NULL};
static const char *const deepseek_coder[] = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}", NULL};
static const char *const deepseek_v3[] = {
    "\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" NEWLINES_SPACES, NULL};
static const char *const falcon[] = {"[\\p{P}$+<=>^~|`]+", GPT2_WORDS, "[0-9][0-9][0-9]", NULL};
static const char *const no_name[] = {"[\\p{P}$+<=>^~|]+", GPT2_WORDS, "\\p{N}+", "[0-9][0-9][0-9]", NULL};
static const char *const bloom[] = {" ?[^(\\s|.,!?…。，、।۔،)]+", NULL};
static const char *const viking[] = {" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}", NULL};
static const char *const chameleon[] = {
    "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", GPT2_WORDS, NULL};
static const char *const gemma4[] = {"[^\\n]+|[\\n]+", NULL};

static const struct pretok_row rows[] = {
    {"default", no_name, 0},
    {"gpt-2", gpt2, 0},
    {"llama-bpe", llama3, PRETOK_IGNORE_MERGES},
    {"llama3", llama3, PRETOK_IGNORE_MERGES},
    {"llama-v3", llama3, PRETOK_IGNORE_MERGES},
    {"smaug-bpe", llama3, PRETOK_IGNORE_MERGES}, /* SmolLM3 carries this name */
    {"lfm2", llama3, PRETOK_IGNORE_MERGES},
    {"falcon3", llama3, PRETOK_IGNORE_MERGES},
    {"falcon-h1", llama3, PRETOK_IGNORE_MERGES},
    {"pixtral", llama3, PRETOK_IGNORE_MERGES},
    {"midm-2.0", llama3, PRETOK_IGNORE_MERGES},
    {"dbrx", llama3, 0},
    {"chatglm-bpe", llama3, 0},
    {"glm4", llama3, 0},
    {"qwen2", qwen2, PRETOK_NFC},
    {"deepseek-r1-qwen", qwen2, PRETOK_NFC},
    {"qwen35", qwen35, PRETOK_NFC},
    {"stablelm2", qwen2, PRETOK_NFC},
    {"megrez", qwen2, PRETOK_NFC},
    {"hunyuan", qwen2, 0},
    {"hunyuan-dense", qwen2, 0},
    {"solar-open", qwen2, 0},
    {"gpt-4o", gpt4o, 0},
    {"llama4", gpt4o, 0},
    {"kanana2", gpt4o, 0},
    {"minimax-m2", gpt4o, 0},
    {"tekken", tekken, PRETOK_IGNORE_MERGES},
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
    {"deepseek-llm", deepseek_llm, 0},
    {"deepseek-coder", deepseek_coder, 0},
    {"deepseek-v3", deepseek_v3, 0},
    {"falcon", falcon, 0},
    {"seed-coder", seed_coder, 0},
    {"bailingmoe", bailing, 0},
    {"bailingmoe2", bailing, 0},
    {"llada-moe", bailing, 0},
    {"bloom", bloom, 0},
    {"poro-chat", bloom, 0},
    {"gpt3-finnish", bloom, 0},
    {"viking", viking, 0},
    {"chameleon", chameleon, 0},
    {"gemma4", gemma4, 0},
};

const struct pretok_row *pretok_rows(size_t *n_rows) {
    *n_rows = sizeof rows / sizeof rows[0];
    return rows;
}
