/* cmd_doctor.c -- slm doctor: what this machine has, what of it slm uses, and how fast it is. */
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/util.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "compute/measure.h"

struct doctor_values {
    struct common_values common;
    int32_t threads;
    bool json, no_measure;
};

struct checkup {
    struct cpu_info cpu;
    struct compute compute;
    struct measured limit; /* zeros: not measured */
};

/* How many slots an instruction set filled. */
static int slots_of(const struct ops *o, const char *isa) {
    int n = 0;
    for (int i = 0; i < OPS_SLOT_COUNT; i++) n += o->name[i] && strcmp(o->name[i], isa) == 0;
    return n;
}

static void put_size(struct buf *out, const char *label, uint64_t bytes) {
    buf_printf(out, "%s", label);
    if (bytes) buf_put_bytes(out, bytes);
    else buf_puts(out, "unknown");
}

static void put_cpu(struct buf *out, const struct cpu_info *cpu) {
    size_t n;
    const struct cpu_feature_row *rows = cpu_feature_rows(&n);
    buf_printf(out, "cpu        %s\nfeatures  ", cpu->name);
    for (size_t i = 0; i < n; i++)
        if (rows[i].is_here) buf_printf(out, " %s%s", cpu_features() & rows[i].bit ? "" : "no-", rows[i].name);
    buf_printf(out, "\ncpus       %d in the machine, %d allowed by affinity, quota ", cpu->n_online, cpu->n_affinity);
    if (cpu->quota > 0) buf_printf(out, "%.2f", cpu->quota);
    else buf_puts(out, "none");
    buf_printf(out, "; %d used by default\nmemory     ", cpu->n_usable);
    buf_put_bytes(out, cpu->mem_bytes);
    put_size(out, ", ", cpu->mem_available_bytes);
    put_size(out, " free\ncaches     L1 data ", cpu->l1d_bytes);
    put_size(out, ", L2 ", cpu->l2_bytes);
    put_size(out, ", L3 ", cpu->l3_bytes);
    buf_puts(out, "\n");
}

static void put_kernels(struct buf *out, const struct ops *o, bool is_verbose) {
    size_t n;
    const struct ops_isa *rows = ops_isa_rows(&n);
    buf_printf(out, "kernels    %d operations:", OPS_SLOT_COUNT);
    for (size_t i = 0; i < n; i++)
        if (slots_of(o, rows[i].name)) buf_printf(out, " %d %s", slots_of(o, rows[i].name), rows[i].name);
    buf_printf(out, "%s\nusable    ", env_get(ENV_SLM_CPU) ? " (as SLM_CPU asks)" : "");
    for (size_t i = 0; i < n; i++)
        if (ops_isa_usable(&rows[i])) buf_printf(out, " %s", rows[i].name);
    buf_puts(out, " (SLM_CPU chooses)\n");
    for (int i = 0; is_verbose && i < OPS_SLOT_COUNT; i++) buf_printf(out, "  %-20s %s\n", ops_slot_name(i), o->name[i] ? o->name[i] : "none");
}

static slm_status print_text(const struct checkup *c, bool is_verbose, slm_err *err) {
    struct buf out;
    buf_init(&out, 1 << 20);
    put_cpu(&out, &c->cpu);
    put_kernels(&out, &c->compute.ops, is_verbose);
    if (c->limit.read_bytes_per_s > 0)
        buf_printf(&out, "measured   with %d threads: reads %.1f GB/s, multiplies %.1f GFLOP/s in f32, %.1f GOP/s in int8\n",
                   pool_n_threads(c->compute.pool), c->limit.read_bytes_per_s * 1e-9, c->limit.f32_flop_per_s * 1e-9, c->limit.int8_op_per_s * 1e-9);
    out_buf(&out);
    buf_fini(&out);
    return out_status(err);
}

static slm_status print_json(const struct checkup *c, slm_err *err) {
    const struct cpu_info *cpu = &c->cpu;
    size_t n;
    const struct cpu_feature_row *rows = cpu_feature_rows(&n);
    json_t *features = json_object(), *kernels = json_object(), *usable = json_array();
    size_t n_isa;
    const struct ops_isa *isa = ops_isa_rows(&n_isa);
    for (size_t i = 0; i < n_isa; i++)
        if (ops_isa_usable(&isa[i])) json_array_append_new(usable, json_string(isa[i].name));
    for (size_t i = 0; i < n; i++) json_object_set_new(features, rows[i].name, json_boolean((cpu_features() & rows[i].bit) != 0));
    for (int i = 0; i < OPS_SLOT_COUNT; i++) json_object_set_new(kernels, ops_slot_name(i), json_string(c->compute.ops.name[i] ? c->compute.ops.name[i] : "none"));
    json_t *root = json_pack("{s:o, s:o, s:i, s:i, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "cpu", json_text(view_of(cpu->name)), "features", features,
                             "n_online", cpu->n_online, "n_affinity", cpu->n_affinity, "quota", json_f64(cpu->quota), "n_usable", cpu->n_usable, "memory_bytes",
                             (json_int_t)cpu->mem_bytes, "available_bytes", (json_int_t)cpu->mem_available_bytes, "l1d_bytes", (json_int_t)cpu->l1d_bytes,
                             "l2_bytes", (json_int_t)cpu->l2_bytes, "l3_bytes", (json_int_t)cpu->l3_bytes, "kernels", kernels,
                             "isa_usable", usable);
    if (root && c->limit.read_bytes_per_s > 0)
        json_object_set_new(root, "measured", json_pack("{s:i, s:o, s:o, s:o}", "threads", pool_n_threads(c->compute.pool), "read_bytes_per_s",
                                                        json_f64(c->limit.read_bytes_per_s), "f32_flop_per_s", json_f64(c->limit.f32_flop_per_s), "int8_op_per_s",
                                                        json_f64(c->limit.int8_op_per_s)));
    return out_json(root, err);
}

static slm_status run_doctor(const void *values, slm_err *err) {
    const struct doctor_values *v = values;
    struct checkup c = {0};
    slm_status st = SLM_OK;
    cpu_info_get(&c.cpu);
    TRY(compute_init(&c.compute, v->threads, 1, 1, err));
    if (!v->no_measure) TRY(measure_machine(&c.compute, &c.limit, err));
    st = v->json ? print_json(&c, err) : print_text(&c, v->common.verbose, err);
out:
    compute_fini(&c.compute);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_FLAG, .name = "no-measure", .offset = offsetof(struct doctor_values, no_measure), .since = "0.1", .help = "leave out what takes a second"},
    OPTION_JSON(struct doctor_values),
    OPTION_THREADS(struct doctor_values),
};
static const struct example examples[] = {
    {"slm doctor", "what this machine has and how fast it is"},
    {"slm doctor -v --no-measure", "also which kernel each operation uses"},
};
const struct command command_doctor = {
    .group = "measure",
    .summary = "show what this machine has and what slm uses of it",
    .description = "Prints the CPU, its features, the kernels chosen from them (-v: one by one), the CPUs and memory that this process may use, caches, "
                   "and the measured rates that bound every model: bytes read from memory and multiply-adds a second. SLM_CPU forces other kernels.",
    .table = {"doctor", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct doctor_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .run = run_doctor,
};
