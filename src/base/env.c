/* env.c -- the environment variables that slm reads, one row each; the only getenv of the project. */
#include <stdlib.h>

#include "base/util.h"

static const struct env_row rows[ENV_COUNT] = {
    [ENV_SLM_CPU] = {"SLM_CPU", "ref | avx2 | avxvnni | avx512 | avx512vnni | neon | dotprod | i8mm", "use the kernels of this instruction set instead of the best one"},
    [ENV_SLM_MATMUL] = {"SLM_MATMUL", "int8 | f32", "activations of products with quantized weights: rounded to 8 bits (default), or exact and several times slower"},
    [ENV_SLM_CACHE] = {"SLM_CACHE", "folder | off", "where rearranged weights are kept for the next start; default: slm in XDG_CACHE_HOME or ~/.cache"},
    [ENV_SLM_CACHE_MAX] = {"SLM_CACHE_MAX", "bytes, such as 20G", "what is kept there at most: files not in use go, longest unused first; default 32G, 0 keeps nothing"},
    [ENV_SLM_STORE] = {"SLM_STORE", "folder", "where pulled models are kept; default: slm in XDG_DATA_HOME or ~/.local/share"},
    [ENV_SLM_MODELS] = {"SLM_MODELS", "folder", "where the models that come with slm are; default: models beside the program, or share/slm/models of its prefix"},
    [ENV_XDG_CACHE_HOME] = {"XDG_CACHE_HOME", "folder", "the user's folder of files that can be made again"},
    [ENV_XDG_DATA_HOME] = {"XDG_DATA_HOME", "folder", "the user's folder of data"},
    [ENV_SLM_LOG] = {"SLM_LOG", "error | warn | info | debug", "how much is said on standard error; default warn"},
    [ENV_SLM_TRACE] = {"SLM_TRACE", "1 | FILE", "print each step with its time: 1 to standard error, else JSON lines to FILE"},
    [ENV_SLM_NOW] = {"SLM_NOW", "YYYY-MM-DDTHH:MM:SS", "the time that chat templates see instead of the clock"},
    [ENV_NO_COLOR] = {"NO_COLOR", "any", "no colour on a terminal"},
    [ENV_TERM] = {"TERM", "terminal name", "dumb: no colour, no progress bars"},
    [ENV_SLM_KEY] = {"SLM_KEY", "text", "a key that slm serve demands of its clients"},
    [ENV_LISTEN_PID] = {"LISTEN_PID", "number", "set by systemd: the process that LISTEN_FDS is meant for"},
    [ENV_LISTEN_FDS] = {"LISTEN_FDS", "number", "set by systemd: sockets handed to slm serve, from descriptor 3 on"},
    [ENV_NOTIFY_SOCKET] = {"NOTIFY_SOCKET", "path", "set by systemd: where slm serve tells that it is ready, and that it stops"},
    [ENV_HOME] = {"HOME", "folder", "where the interactive session keeps its history, and the folders above are when they are not set"},
    [ENV_HF_TOKEN] = {"HF_TOKEN", "token", "sent to Hugging Face, and to nobody else, for repositories that ask for it"},
    [ENV_HF_ENDPOINT] = {"HF_ENDPOINT", "URL", "a mirror of Hugging Face; default https://huggingface.co"},
    [ENV_HF_HOME] = {"HF_HOME", "folder", "Hugging Face's cache, whose files are used without a copy; default ~/.cache/huggingface"},
    [ENV_OLLAMA_MODELS] = {"OLLAMA_MODELS", "folder", "Ollama's models, which are used without a copy; default ~/.ollama/models"},
    [ENV_OMPI_COMM_WORLD_SIZE] = {"OMPI_COMM_WORLD_SIZE", "number", "set by mpirun: how many processes train together"},
};

const struct env_row *env_rows(void) { return rows; }

const char *env_get(enum env_id id) {
    const char *v = getenv(rows[id].name);
    return v && *v ? v : NULL;
}

const char *env_get_named(const char *name) {
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}
