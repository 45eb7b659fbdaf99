/* routes.c -- every path, in the order of /openapi.json. table: rows. A new endpoint is a handler and a row here, and a transcript in tests/wire. */
#include <stdio.h>
#include <string.h>

#include "serve/api_anthropic.h"
#include "serve/api_llama.h"
#include "serve/api_native.h"
#include "serve/api_ollama.h"
#include "serve/api_openai.h"
#include "serve/api_tasks.h"
#include "serve/gateway.h"
#include "serve/server.h"
#include "serve/web.h"

static const struct route rows[] = {
    {"GET", "/health", API_NATIVE, NULL, native_health, ROUTE_ON_LOOP | ROUTE_OPEN, "alive; 503 while the server shuts down"},
    {"GET", "/metrics", API_NATIVE, NULL, native_metrics, ROUTE_ON_LOOP, "counters in Prometheus' text format"},
    {"GET", "/", API_NATIVE, NULL, web_page, ROUTE_ON_LOOP | ROUTE_OPEN, "a page: chat, models, activity"},
    {"GET", "/web/*", API_NATIVE, NULL, web_asset, ROUTE_ON_LOOP | ROUTE_OPEN, "what the page is made of"},
    {"GET", "/openapi.json", API_NATIVE, NULL, native_openapi, ROUTE_OPEN, "this document"},

    {"POST", "/v1/chat/completions", API_OPENAI, &openai_chat_fields, openai_chat, 0, "an answer to a conversation"},
    {"POST", "/v1/completions", API_OPENAI, &openai_completion_fields, openai_completions, 0, "prompts continued"},
    {"POST", "/v1/responses", API_OPENAI, &openai_response_fields, openai_responses, 0, "an answer as items; nothing is stored"},
    {"POST", "/v1/embeddings", API_OPENAI, &openai_embedding_fields, openai_embeddings, 0, "texts as vectors"},
    {"GET", "/v1/models", API_OPENAI, NULL, openai_models, 0, "the models"},
    {"GET", "/v1/models/*", API_OPENAI, NULL, openai_model, 0, "one model"},
    {"POST", "/v1/rerank", API_NATIVE, &llama_rerank_fields, llama_rerank, 0, "documents by how well they answer a query"},

    {"POST", "/v1/messages", API_ANTHROPIC, &anthropic_message_fields, anthropic_messages, 0, "an answer to a conversation"},
    {"POST", "/v1/messages/count_tokens", API_ANTHROPIC, &anthropic_count_fields, anthropic_count_tokens, 0, "tokens of a prompt"},

    {"POST", "/api/generate", API_OLLAMA, &ollama_generate_fields, ollama_generate, 0, "a prompt answered"},
    {"POST", "/api/chat", API_OLLAMA, &ollama_chat_fields, ollama_chat, 0, "a conversation answered"},
    {"POST", "/api/embed", API_OLLAMA, &ollama_embed_fields, ollama_embed, 0, "texts as vectors"},
    {"POST", "/api/embeddings", API_OLLAMA, &ollama_embedding_fields, ollama_embeddings, 0, "a text as a vector (the older form)"},
    {"GET", "/api/tags", API_OLLAMA, NULL, ollama_tags, 0, "the models"},
    {"GET", "/api/ps", API_OLLAMA, NULL, ollama_ps, 0, "the loaded models"},
    {"POST", "/api/show", API_OLLAMA, &ollama_show_fields, ollama_show, 0, "what a model's file says"},
    {"GET", "/api/version", API_OLLAMA, NULL, ollama_version, 0, "the version of slm"},
    {"POST", "/api/copy", API_OLLAMA, &ollama_copy_fields, ollama_copy, 0, "one more name for a model"},
    {"POST", "/api/create", API_OLLAMA, &ollama_create_fields, ollama_create, 0, "a model from another one, or from blobs that were sent"},
    {"HEAD", "/api/blobs/*", API_OLLAMA, NULL, ollama_blob_has, 0, "is a file with this digest here?"},
    {"POST", "/api/blobs/*", API_OLLAMA, NULL, ollama_blob_put, ROUTE_BODY_FILE, "a file for /api/create; its digest is checked"},
    {"DELETE", "/api/delete", API_OLLAMA, &ollama_delete_fields, ollama_delete, 0, "delete a model of the store or the folder"},
    {"POST", "/api/pull", API_OLLAMA, &ollama_pull_fields, ollama_pull, 0, "fetch a model; 403 unless --pull-from covers its name"},
    {"POST", "/api/push", API_OLLAMA, &ollama_pull_fields, ollama_push, 0, "send a model to its registry; 403 unless --push-to covers its name"},

    {"POST", "/completion", API_NATIVE, &llama_completion_fields, llama_completion, 0, "prompts continued"},
    {"POST", "/completions", API_NATIVE, &llama_completion_fields, llama_completion, 0, "prompts continued"},
    {"POST", "/infill", API_NATIVE, &llama_infill_fields, llama_infill, 0, "a gap filled"},
    {"POST", "/tokenize", API_NATIVE, &llama_tokenize_fields, llama_tokenize, 0, "text to ids"},
    {"POST", "/detokenize", API_NATIVE, &llama_detokenize_fields, llama_detokenize, 0, "ids to text"},
    {"POST", "/apply-template", API_NATIVE, &llama_template_fields, llama_apply_template, 0, "a conversation as its prompt"},
    {"POST", "/embedding", API_NATIVE, &llama_embedding_fields, llama_embedding, 0, "texts as vectors"},
    {"POST", "/embeddings", API_NATIVE, &llama_embedding_fields, llama_embedding, 0, "texts as vectors"},
    {"POST", "/rerank", API_NATIVE, &llama_rerank_fields, llama_rerank, 0, "documents by how well they answer a query"},
    {"POST", "/slm/v1/classify", API_NATIVE, &task_classify_fields, task_classify, 0, "a label for a text, with the probability of every label"},
    {"POST", "/slm/v1/extract", API_NATIVE, &task_extract_fields, task_extract, 0, "what a text says, as JSON of a schema"},
    {"POST", "/slm/v1/summarize", API_NATIVE, &task_summarize_fields, task_summarize, 0, "a text in fewer words"},
    {"POST", "/slm/v1/complete", API_NATIVE, &task_complete_fields, task_complete, 0, "a gap in a text filled"},
    {"POST", "/slm/v1/feedback", API_NATIVE, &gateway_feedback_fields, gateway_feedback, 0, "whether an answer of slm-auto was right"},
    {"GET", "/slm/v1/answers", API_NATIVE, NULL, gateway_answers, 0, "answers of slm-auto with their signals and verdicts, as slm calibrate reads them"},
    {"GET", "/slm/v1/report", API_NATIVE, NULL, gateway_report, 0, "what the tiers did and cost; ?hours=N looks back so far"},
    {"GET", "/props", API_NATIVE, NULL, llama_props, 0, "what the model is; ?model=NAME when there are several"},
    {"GET", "/lora-adapters", API_NATIVE, NULL, llama_loras, 0, "the model's adapters with what an answer takes of them; ?model=NAME when there are several"},
    {"GET", "/slots", API_NATIVE, NULL, llama_slots, 0, "how many places are taken"},
};

const struct route *routes(size_t *n) {
    *n = sizeof rows / sizeof rows[0];
    return rows;
}

/* Does a row's path cover this one? *tail: what its '*' stands for. */
static bool covers(const char *path, struct view given, struct view *tail) {
    size_t n = strlen(path);
    if (n && path[n - 1] == '*') {
        if (given.len < n || strncmp(path, given.ptr, n - 1) != 0) return false;
        *tail = (struct view){given.ptr + n - 1, given.len - n + 1};
        return true;
    }
    *tail = (struct view){"", 0};
    return given.len == n && memcmp(path, given.ptr, n) == 0;
}

const struct route *routes_find(struct view method, struct view path, struct view *tail, char *allow) {
    size_t n_allow = 0;
    bool is_head = view_eq(method, VIEW("HEAD"));
    allow[0] = 0;
    if (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!covers(rows[i].path, path, tail)) continue;
        if (view_eq(method, view_of(rows[i].method)) || (is_head && strcmp(rows[i].method, "GET") == 0)) return &rows[i];
        int n = snprintf(allow + n_allow, ALLOW_BYTES - n_allow, "%s%s", n_allow ? ", " : "", rows[i].method);
        if (n > 0 && n_allow + (size_t)n < ALLOW_BYTES) n_allow += (size_t)n;
    }
    return NULL;
}

const char *api_name(enum api api) {
    static const char *const names[API_COUNT] = {[API_NATIVE] = "native", [API_OPENAI] = "openai", [API_ANTHROPIC] = "anthropic", [API_OLLAMA] = "ollama"};
    return names[api];
}

enum api routes_api(struct view path) {
    static const struct { const char *prefix; enum api api; } apis[] = {{"/v1/messages", API_ANTHROPIC}, {"/v1/", API_OPENAI}, {"/api/", API_OLLAMA}};
    for (size_t i = 0; i < sizeof apis / sizeof apis[0]; i++)
        if (path.len >= strlen(apis[i].prefix) && memcmp(path.ptr, apis[i].prefix, strlen(apis[i].prefix)) == 0) return apis[i].api;
    return API_NATIVE;
}
