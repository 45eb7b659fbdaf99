/* ops.c -- the ISA rows and how a table is built from them.
 *
 * ref fills all slots; each later row that this target and this CPU have overlays those slots that it does better.
 * Which ISA filled a slot is found by comparing the table before and after, so overlays cannot tell it wrongly. */
#include "compute/ops.h"

#include <string.h>

#include "base/cpu.h"
#include "compute/overlay_int.h"

/* The only place that knows which folders are built for which processor (with CMakeLists.txt, which sets their flags). A
 * processor of neither family has ref. */
#if defined(__x86_64__)
#define OVERLAY_X86(fn) fn
#else
#define OVERLAY_X86(fn) NULL
#endif
#if defined(__aarch64__)
#define OVERLAY_ARM(fn) fn
#else
#define OVERLAY_ARM(fn) NULL
#endif

/* A new ISA: a folder under cpu/ with its overlay, a feature row in base/cpu.c, and a row here, weakest first. */
static const struct ops_isa isa_rows[] = {
    {"ref", 0, ops_overlay_ref},
    {"avx2", CPU_AVX2, OVERLAY_X86(ops_overlay_avx2)},
    {"avxvnni", CPU_AVX2 | CPU_AVX_VNNI, OVERLAY_X86(ops_overlay_avxvnni)},
    {"avx512", CPU_AVX2 | CPU_AVX512, OVERLAY_X86(ops_overlay_avx512)},
    {"avx512vnni", CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI, OVERLAY_X86(ops_overlay_avx512vnni)},
    {"neon", CPU_NEON, OVERLAY_ARM(ops_overlay_neon)},
    {"dotprod", CPU_NEON | CPU_DOTPROD, OVERLAY_ARM(ops_overlay_dotprod)},
    {"i8mm", CPU_NEON | CPU_DOTPROD | CPU_I8MM, OVERLAY_ARM(ops_overlay_i8mm)},
};
enum { N_ISA = sizeof isa_rows / sizeof isa_rows[0] };

const struct ops_isa *ops_isa_rows(size_t *n_rows) {
    *n_rows = N_ISA;
    return isa_rows;
}

const char *ops_slot_name(int i_slot) {
    static const char *const names[OPS_SLOT_COUNT] = {
#define X(slot) [OPS_SLOT_##slot] = #slot,
        OPS_LIST(X)
#undef X
#define X(ID, type) [OPS_SLOT_to_f32 + DTYPE_##ID] = "to_f32." #type,
            DTYPE_LIST(X)
#undef X
    };
    return i_slot >= 0 && i_slot < OPS_SLOT_COUNT ? names[i_slot] : "?";
}

static void overlay_apply(struct ops *o, const struct ops_isa *isa) {
    struct ops before = *o;
    isa->overlay(o);
#define X(slot)                                                                                                        \
    if (o->slot != before.slot) o->name[OPS_SLOT_##slot] = isa->name;
    OPS_LIST(X)
#undef X
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (o->to_f32[i] != before.to_f32[i]) o->name[OPS_SLOT_to_f32 + i] = isa->name;
    }
}

bool ops_isa_usable(const struct ops_isa *isa) {
    return isa->overlay && (cpu_features() & isa->features) == isa->features;
}

static void hint_isa_names(slm_err *err) {
    char names[160] = "";
    for (size_t i = 0; i < N_ISA; i++) {
        if (!ops_isa_usable(&isa_rows[i])) continue;
        if (names[0]) strncat(names, ", ", sizeof names - strlen(names) - 1);
        strncat(names, isa_rows[i].name, sizeof names - strlen(names) - 1);
    }
    err_hint(err, "this cpu has: %s", names);
}

slm_status ops_build(struct ops *o, const char *isa_name, slm_err *err) {
    memset(o, 0, sizeof *o);
    size_t last = N_ISA;
    for (size_t i = 0; isa_name && i < N_ISA; i++) {
        if (strcmp(isa_rows[i].name, isa_name) == 0) last = i;
    }
    if (isa_name && last == N_ISA) {
        slm_status st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "instruction set \"%.40s\": not a known name", isa_name);
        hint_isa_names(err);
        return st;
    }
    if (isa_name && !ops_isa_usable(&isa_rows[last])) {
        slm_status st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "instruction set \"%s\": %s", isa_name,
                                isa_rows[last].overlay ? "this cpu lacks it" : "not built for this processor family");
        hint_isa_names(err);
        return st;
    }
    for (size_t i = 0; i < N_ISA && (!isa_name || i <= last); i++) {
        if (ops_isa_usable(&isa_rows[i])) overlay_apply(o, &isa_rows[i]);
    }
    return SLM_OK;
}
