/* api_native.h -- slm's own paths, and those of llama.cpp's server. */
#ifndef SLM_SERVE_API_NATIVE_H
#define SLM_SERVE_API_NATIVE_H

#include "serve/server.h"

slm_status native_health(struct call *c);
slm_status native_metrics(struct call *c);
slm_status native_openapi(struct call *c);

#endif
