/* commands.h -- the commands' rows; commands.c puts them in order. */
#ifndef SLM_CLI_COMMANDS_H
#define SLM_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command command_run, command_serve, command_mock_frontier, command_tokenize, command_detokenize, command_logits, command_template, command_inspect, command_embed, command_bench, command_doctor,
    command_quantize, command_imatrix, command_perplexity,
    command_classify, command_extract, command_summarize, command_complete, command_route, command_fit, command_calibrate, command_report,
    command_convert, command_train, command_finetune, command_distill, command_merge, command_eval,
    command_pull, command_create, command_push, command_list, command_show, command_cp, command_rm, command_ps, command_stop,
    command_help, command_completions, command_version;

struct file_type;
/* file_type_parse -- "Q4_K_M" of a user. Errors: USAGE, with the nearest. */
slm_status file_type_parse(const char *name, const struct file_type **type, slm_err *err);

#endif
