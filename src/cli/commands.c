/* commands.c -- every command, in the order of the help. A new one: a line here and in commands.h. */
#include "cli/commands.h"

static const struct command *const rows[] = {
    &command_run, &command_serve, &command_mock_frontier,
    &command_tokenize, &command_detokenize, &command_logits, &command_template, &command_inspect,
    &command_embed,
    &command_classify, &command_extract, &command_summarize, &command_complete, &command_route, &command_fit, &command_calibrate, &command_report,
    &command_convert,
    &command_quantize, &command_imatrix, &command_perplexity,
    &command_train, &command_finetune, &command_distill, &command_merge, &command_eval,
    &command_pull, &command_push, &command_create, &command_list, &command_show, &command_cp, &command_rm, &command_ps, &command_stop,
    &command_bench, &command_doctor,
    &command_help, &command_completions, &command_version,
};

const struct command *const *command_rows(size_t *n_rows) {
    *n_rows = sizeof rows / sizeof rows[0];
    return rows;
}
