#include "cli/run.h"
slm_status chat_run(struct slm_session *s, const struct run_values *v, slm_err *err) { (void)s; (void)v; return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "tmp"); }
