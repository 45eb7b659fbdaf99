/* api_tasks.h -- POST /slm/v1/classify, extract, summarize, complete: narrow jobs (docs/tasks.md) over HTTP. */
#ifndef SLM_SERVE_API_TASKS_H
#define SLM_SERVE_API_TASKS_H

#include "serve/call.h"

extern const struct field_table task_classify_fields, task_extract_fields, task_summarize_fields, task_complete_fields;
slm_status task_classify(struct call *c);
slm_status task_extract(struct call *c);
slm_status task_summarize(struct call *c);
slm_status task_complete(struct call *c);

#endif
