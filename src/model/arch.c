/* arch.c -- the list of architectures. A new one: a file in arch/, its name in arch/arch_list.h, a golden model. */
#include "model/arch.h"

#include <string.h>

#include "base/nearest.h"
#include "model/arch/arch_list.h"

static const struct arch_desc *const rows[] = {
    &arch_llama, &arch_mistral3, &arch_qwen2, &arch_qwen3, &arch_gemma,   &arch_gemma2,
    &arch_gemma3, &arch_phi2,    &arch_phi3,  &arch_smollm3, &arch_granite, &arch_olmo2,
    &arch_bert,   &arch_nomic_bert, &arch_modern_bert, &arch_gemma_embedding,
    &arch_lfm2,   &arch_qwen35, &arch_gemma4, &arch_qwen3moe, &arch_lfm2moe, &arch_olmoe, &arch_gemma3n, &arch_gptoss,
};
#define N_ROWS (sizeof rows / sizeof rows[0])

const struct arch_desc *arch_find(const char *name) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i]->name, name) == 0) return rows[i];
    return NULL;
}

const char *arch_nearest(const char *name) {
    const char *names[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++) names[i] = rows[i]->name;
    return nearest_name(name, names, N_ROWS);
}
