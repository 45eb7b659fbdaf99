/* model_facts.h -- what a model's file says about it, without loading it: for lists and details. */
#ifndef SLM_SERVE_MODEL_FACTS_H
#define SLM_SERVE_MODEL_FACTS_H

#include "model/gap.h"
#include "serve/models.h"

struct model_facts {
    char family[64], parameter_size[16], quantization[24], digest[72]; /* digest: of name, size and time, not of the bytes: it is made at once */
    uint64_t n_param, n_ctx, d_model;
    bool has_template, takes_tools, thinks, is_encoder, fills_gaps;
};
/* Errors: those of opening the file. */
slm_status model_facts_read(const struct served *s, struct model_facts *out, slm_err *err);
/* model_metadata_json -- the file's keys; arrays as null unless is_whole. model_tensors_json -- name, type, shape. */
slm_status model_metadata_json(const struct served *s, bool is_whole, json_t **keys, json_t **tensors, slm_err *err);

/* gap_prompt -- before and after as a model that fills gaps reads them (model/gap.h). */
slm_status gap_prompt(const struct slm_model *m, struct view before, struct view after, struct tok_ids *out, struct fault *f);

#endif
