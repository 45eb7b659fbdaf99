/* cmd_inspect.c -- slm inspect: what a model file holds, and what a run of it would need.
 *
 * Without --plan only the file or folder is read, so vocabularies and architectures that slm cannot run can be looked at too.
 * All names and strings of the file go to the terminal through base/show.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/lora.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/session.h"

#define TEXT_BYTES_MAX ((size_t)64 << 20)
#define ELEMS_SHOWN 4
#define STRING_SHOWN 80

struct inspect_values {
    struct common_values common;
    const char *model;
    int32_t threads, ctx, chunk, kv;
    struct option_texts loras;
    bool json, plan, full;
};

/* Sums over the tensors. */
struct totals {
    uint64_t n_elem, n_bytes;
    uint64_t type_tensors[DTYPE_COUNT], type_bytes[DTYPE_COUNT];
};

static struct totals sum_tensors(const struct gguf *g) {
    struct totals t = {0};
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(g, i);
        t.n_elem += x->n_elem;
        t.n_bytes += x->n_bytes;
        t.type_tensors[x->dtype]++;
        t.type_bytes[x->dtype] += x->n_bytes;
    }
    return t;
}

static double bits_per_weight(const struct totals *t) { return t->n_elem ? 8.0 * (double)t->n_bytes / (double)t->n_elem : 0; }

static struct view architecture_of(const struct gguf *g) {
    struct view name = {0};
    (void)gguf_get_string(g, "general.architecture", &name, NULL); /* absent is an answer too */
    return name;
}

static bool is_supported(struct view arch) {
    char name[64];
    if (arch.len >= sizeof name) return false;
    memcpy(name, arch.ptr ? arch.ptr : "", arch.len);
    name[arch.len] = 0;
    return arch_find(name) != NULL;
}

/* Metadata values */

static bool is_float(enum gguf_type t) { return t == GGUF_F32 || t == GGUF_F64; }

static void put_number(struct buf *out, const struct gguf_kv *kv, enum gguf_type type, uint64_t i) {
    if (type == GGUF_BOOL) buf_puts(out, gguf_kv_i64(kv, i) ? "true" : "false");
    else if (is_float(type)) buf_printf(out, "%.9g", gguf_kv_f64(kv, i));
    else if (type == GGUF_U64) buf_printf(out, "%.0f", gguf_kv_f64(kv, i));
    else buf_printf(out, "%lld", (long long)gguf_kv_i64(kv, i));
}

static void put_string(struct buf *out, struct view s, bool is_full) {
    bool is_cut = !is_full && s.len > STRING_SHOWN;
    buf_putc(out, '"');
    show_quoted((struct view){s.ptr, is_cut ? STRING_SHOWN : s.len}, out);
    buf_puts(out, is_cut ? "\"..." : "\"");
}

/* Views of a string kv's elements; NULL when there is no memory. Freed by the caller. */
static struct view *strings_of(const struct gguf_kv *kv) {
    struct view *v = malloc((size_t)kv->n_elem * sizeof *v + 1);
    if (v) gguf_kv_strings(kv, v);
    return v;
}

static void put_value(struct buf *out, const struct gguf_kv *kv, bool is_full) {
    enum gguf_type type = kv->type == GGUF_ARRAY ? kv->elem_type : kv->type;
    uint64_t n = kv->n_elem, n_shown = kv->type != GGUF_ARRAY || is_full || n < ELEMS_SHOWN ? n : ELEMS_SHOWN;
    struct view *strings = type == GGUF_STRING ? strings_of(kv) : NULL;
    if (type == GGUF_STRING && !strings) {
        out->failed = SLM_E_NOMEM;
        return;
    }
    for (uint64_t i = 0; i < n_shown; i++) {
        if (i) buf_puts(out, ", ");
        if (strings) put_string(out, strings[i], is_full);
        else put_number(out, kv, type, i);
    }
    if (n_shown < n) buf_puts(out, ", ...");
    free(strings);
}

static json_t *number_json(const struct gguf_kv *kv, enum gguf_type type, uint64_t i) {
    double d = gguf_kv_f64(kv, i);
    if (type == GGUF_BOOL) return json_boolean(gguf_kv_i64(kv, i) != 0);
    if (is_float(type)) return isfinite(d) ? json_f64(d) : json_string(isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
    return json_integer(gguf_kv_i64(kv, i));
}

/* A scalar as itself; an array whole with --full, else {"type", "n", "first"}. */
static json_t *value_json(const struct gguf_kv *kv, bool is_full) {
    bool is_array = kv->type == GGUF_ARRAY;
    enum gguf_type type = is_array ? kv->elem_type : kv->type;
    uint64_t n_shown = is_array && !is_full && kv->n_elem > ELEMS_SHOWN ? ELEMS_SHOWN : kv->n_elem;
    struct view *strings = type == GGUF_STRING ? strings_of(kv) : NULL;
    json_t *list = json_array();
    if (type == GGUF_STRING && !strings) {
        json_decref(list);
        return NULL;
    }
    for (uint64_t i = 0; list && i < n_shown; i++) json_array_append_new(list, strings ? json_text(strings[i]) : number_json(kv, type, i));
    free(strings);
    if (!is_array) {
        json_t *one = json_incref(json_array_get(list, 0));
        json_decref(list);
        return one;
    }
    if (is_full) return list;
    return json_pack("{s:s, s:I, s:o}", "type", gguf_type_name(type), "n", (json_int_t)kv->n_elem, "first", list);
}

/* As text */

static void put_shape(struct buf *out, const uint64_t *shape, uint32_t n) {
    buf_putc(out, '[');
    for (uint32_t i = 0; i < n; i++) buf_printf(out, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    buf_putc(out, ']');
}

static void put_summary(struct buf *out, const struct gguf *g, const struct totals *t) {
    struct view arch = architecture_of(g);
    buf_printf(out, "file           \"%s\", ", show_path(gguf_path(g)).s);
    buf_put_bytes(out, gguf_file_bytes(g));
    buf_printf(out, ", GGUF version %u\narchitecture   \"%s\"%s\n", gguf_version(g), show_view(arch).s,
               is_supported(arch) ? "" : ", which slm cannot run");
    buf_printf(out, "weights        %llu in %zu tensors, ", (unsigned long long)t->n_elem, gguf_n_tensor(g));
    buf_put_bytes(out, t->n_bytes);
    buf_printf(out, ", %.3f bits per weight\n", bits_per_weight(t));
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (!t->type_tensors[i]) continue;
        buf_printf(out, "  %-12s %llu tensors, ", dtype_get((enum dtype)i)->name, (unsigned long long)t->type_tensors[i]);
        buf_put_bytes(out, t->type_bytes[i]);
        buf_puts(out, "\n");
    }
}

/* What slm quantize --report measured, where all of it is there. */
static void put_report(struct buf *out, const struct gguf *g) {
    double perplexity, base, kl, agreement, n;
    struct view text;
    slm_err err;
    if (gguf_get_f64(g, "slm.report.perplexity", &perplexity, &err) != SLM_OK || gguf_get_f64(g, "slm.report.base_perplexity", &base, &err) != SLM_OK ||
        gguf_get_f64(g, "slm.report.kl", &kl, &err) != SLM_OK || gguf_get_f64(g, "slm.report.top1_agreement", &agreement, &err) != SLM_OK ||
        gguf_get_f64(g, "slm.report.n_scored", &n, &err) != SLM_OK || gguf_get_string(g, "slm.report.text", &text, &err) != SLM_OK)
        return;
    buf_printf(out, "measured       KL divergence %.6f nats, same best token %.2f %%, perplexity %.4f (original %.4f), on %.0f predictions of \"%s\"\n", kl,
               100 * agreement, perplexity, base, n, show_view(text).s);
}

static void put_metadata(struct buf *out, const struct gguf *g, bool is_full) {
    buf_printf(out, "\nmetadata, %zu keys:\n", gguf_n_kv(g));
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        buf_printf(out, "  %-44s ", show_view(kv->key).s);
        if (kv->type == GGUF_ARRAY) buf_printf(out, "%s[%llu]  ", gguf_type_name(kv->elem_type), (unsigned long long)kv->n_elem);
        put_value(out, kv, is_full);
        buf_puts(out, "\n");
    }
}

static void put_tensors(struct buf *out, const struct gguf *g) {
    struct buf shape;
    buf_init(&shape, 256);
    buf_printf(out, "\ntensors, %zu:\n", gguf_n_tensor(g));
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        buf_clear(&shape);
        put_shape(&shape, t->shape, t->n_dim);
        buf_printf(out, "  %-36s %-8s %-18s ", show_view(t->name).s, dtype_get(t->dtype)->name, shape.data);
        buf_put_bytes(out, t->n_bytes);
        buf_puts(out, "\n");
    }
    buf_fini(&shape);
}

static uint32_t n_dim_of(const struct plan_row *row) {
    uint32_t n = 0;
    while (n < 4 && row->shape[n]) n++;
    return n;
}

static void put_plan(struct buf *out, const struct plan *p, uint64_t available) {
    struct buf shape;
    buf_init(&shape, 256);
    buf_printf(out, "\nplan: context %d, %d tokens a pass, %d threads, KV cache %s:\n", p->n_ctx, p->n_batch, p->n_threads, kv_type_get(p->kv_type)->name);
    for (size_t i = 0; i < p->n_rows; i++) {
        const struct plan_row *row = &p->rows[i];
        struct buf bytes;
        buf_init(&bytes, 64);
        buf_put_bytes(&bytes, row->bytes);
        buf_clear(&shape);
        if (row->dtype < DTYPE_COUNT) put_shape(&shape, row->shape, n_dim_of(row));
        buf_printf(out, "  %-8s %-18s %-7s %12s  %s\n", row->name, shape.len ? shape.data : "", lifetime_name(row->lifetime), bytes.data, row->what);
        buf_fini(&bytes);
    }
    buf_puts(out, "  total ");
    buf_put_bytes(out, p->bytes);
    buf_puts(out, ", of it beside the mapped weights ");
    buf_put_bytes(out, p->bytes_private);
    buf_puts(out, "; free memory ");
    buf_put_bytes(out, available);
    buf_puts(out, "\n");
    buf_fini(&shape);
}

/* As JSON */

static json_t *shape_json(const uint64_t *shape, uint32_t n) {
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < n; i++) json_array_append_new(list, json_integer((json_int_t)shape[i]));
    return list;
}

static void set_text_key(json_t *object, struct view key, json_t *value) {
    struct buf name; /* NUL and bad UTF-8 cannot be in a JSON key */
    buf_init(&name, key.len * 4 + 1);
    show_quoted(key, &name);
    json_object_set_new(object, name.data ? name.data : "", value);
    buf_fini(&name);
}

static json_t *plan_json(const struct plan *p, uint64_t available) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < p->n_rows; i++) {
        const struct plan_row *row = &p->rows[i];
        bool is_typed = row->dtype < DTYPE_COUNT;
        json_array_append_new(rows, json_pack("{s:s, s:o, s:s, s:s, s:I, s:s}", "name", row->name, "shape", shape_json(row->shape, is_typed ? n_dim_of(row) : 0),
                                              "dtype", is_typed ? dtype_get(row->dtype)->name : "bytes", "lifetime", lifetime_name(row->lifetime), "bytes",
                                              (json_int_t)row->bytes, "what", row->what));
    }
    return json_pack("{s:i, s:i, s:i, s:i, s:s, s:I, s:I, s:I, s:o}", "n_ctx", p->n_ctx, "n_batch", p->n_batch, "n_out", p->n_out, "n_threads", p->n_threads,
                     "kv_type", kv_type_get(p->kv_type)->name, "bytes", (json_int_t)p->bytes, "bytes_private", (json_int_t)p->bytes_private,
                     "available_bytes", (json_int_t)available, "rows", rows);
}

static json_t *inspect_json(const struct gguf *g, const struct totals *t, bool is_full) {
    struct view arch = architecture_of(g);
    json_t *metadata = json_object(), *tensors = json_array();
    for (size_t i = 0; metadata && i < gguf_n_kv(g); i++) set_text_key(metadata, gguf_kv_at(g, i)->key, value_json(gguf_kv_at(g, i), is_full));
    for (size_t i = 0; tensors && i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(g, i);
        json_array_append_new(tensors, json_pack("{s:o, s:s, s:o, s:I, s:I}", "name", json_text(x->name), "dtype", dtype_get(x->dtype)->name, "shape",
                                                 shape_json(x->shape, x->n_dim), "bytes", (json_int_t)x->n_bytes, "offset", (json_int_t)x->offset));
    }
    return json_pack("{s:o, s:I, s:i, s:o, s:b, s:I, s:I, s:o, s:o, s:o}", "file", json_text(view_of(gguf_path(g))), "file_bytes",
                     (json_int_t)gguf_file_bytes(g), "gguf_version", (int)gguf_version(g), "architecture", json_text(arch), "supported", is_supported(arch),
                     "n_weights", (json_int_t)t->n_elem, "tensor_bytes", (json_int_t)t->n_bytes, "bits_per_weight", json_f64(bits_per_weight(t)), "metadata", metadata,
                     "tensors", tensors);
}

static slm_status print_all(const struct inspect_values *v, const struct gguf *g, const struct plan *plan, slm_err *err) {
    struct totals totals = sum_tensors(g);
    struct cpu_info cpu;
    cpu_info_get(&cpu);
    if (v->json) {
        json_t *root = inspect_json(g, &totals, v->full);
        if (root && plan->n_rows) json_object_set_new(root, "plan", plan_json(plan, cpu.mem_available_bytes));
        return out_json(root, err);
    }
    struct buf out;
    buf_init(&out, TEXT_BYTES_MAX);
    put_summary(&out, g, &totals);
    put_report(&out, g);
    put_metadata(&out, g, v->full);
    put_tensors(&out, g);
    if (plan->n_rows) put_plan(&out, plan, cpu.mem_available_bytes);
    slm_status st = buf_status(&out, "report", err);
    if (st == SLM_OK) out_buf(&out);
    buf_fini(&out);
    return st != SLM_OK ? st : out_status(err);
}

static slm_status run_inspect(const void *values, slm_err *err) {
    const struct inspect_values *v = values;
    struct gguf *g = NULL;
    struct slm_model *model = NULL;
    struct plan plan = {.n_rows = 0};
    slm_status st, st_plan = SLM_OK;
    if (!v->plan) {
        st = model_open_file(v->model, 0, &g, err);
        if (st == SLM_OK) st = print_all(v, g, &plan, err);
        gguf_close(g);
        return st;
    }
    st = model_open(v->model, 0, &model, err);
    if (st == SLM_OK && (st = loras_add(model, &v->loras, err)) != SLM_OK) model_close(model);
    if (st != SLM_OK) return st;
    struct session_params p = {.n_ctx = v->ctx, .n_chunk = v->chunk, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    slm_err err_plan;
    err_clear(&err_plan);
    st_plan = session_plan(model, &p, &plan, &err_plan);
    if (plan.n_rows) plan_add_process(&plan);
    /* A plan that does not fit is still worth seeing; the refusal follows it. */
    st = plan.n_rows ? print_all(v, model->gguf, &plan, err) : SLM_OK;
    if (st == SLM_OK && st_plan != SLM_OK) {
        st = st_plan;
        *err = err_plan;
    }
    model_close(model);
    return st;
}

static const struct option options[] = {
    OPTION_MODEL(struct inspect_values),
    {.kind = OPT_FLAG, .name = "plan", .offset = offsetof(struct inspect_values, plan), .since = "0.1",
     .help = "also every buffer that a run would need, and the free memory"},
    {.kind = OPT_FLAG, .name = "full", .offset = offsetof(struct inspect_values, full), .since = "0.1", .help = "arrays and long strings whole"},
    OPTION_JSON(struct inspect_values),
    OPTION_SECTION("of the run that --plan describes"),
    LORA_ROWS_WITH(struct inspect_values, "plan", 0),
    OPTION_THREADS_WITH(struct inspect_values, "plan"),
    OPTION_CTX_WITH(struct inspect_values, "plan"),
    OPTION_CHUNK_WITH(struct inspect_values, "plan"),
    OPTION_KV_WITH(struct inspect_values, "plan"),
};
static const struct example examples[] = {
    {"slm inspect -m model.gguf", "what the file holds"},
    {"slm inspect -m model.gguf --plan -c 8192", "what memory a context of 8192 needs"},
    {"slm inspect -m model.gguf --json | jq .metadata", "metadata for scripts"},
};
const struct command command_inspect = {
    .group = "look inside",
    .summary = "show what a model file holds and what a run needs",
    .description = "Prints metadata, tensors and totals of a GGUF file, or of what a Hugging Face folder would become. Vocabulary-only files and architectures that slm cannot run "
                   "can be inspected too, without --plan.",
    .table = {"inspect", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct inspect_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .run = run_inspect,
};
