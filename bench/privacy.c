/* privacy.c -- how well the detectors detect: recall on made-up data in sentences, near misses that must not be found, lines of real text that are.
 *
 *     bench_privacy [--show] [TEXT...]      a table; of each TEXT the share of lines with a find, by detector (--show: the finds) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"
#include "tier/privacy.h"

#define N 5000
#define FOUND_MAX 256

static struct rng rng;
static bool shows;
static unsigned draw(unsigned n) { return (unsigned)(rng_u64(&rng) % n); }
static const char *pick(const char *const *list, unsigned n) { return list[draw(n)]; }
#define PICK(...) pick((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void put_random(char *out, const char *alphabet, unsigned n) {
    size_t at = strlen(out), n_letters = strlen(alphabet);
    for (unsigned i = 0; i < n; i++) out[at + i] = alphabet[draw((unsigned)n_letters)];
    out[at + n] = 0;
}
static void put_char(char *out, char c) {
    size_t n = strlen(out);
    out[n] = c;
    out[n + 1] = 0;
}
static const char lower[] = "abcdefghijklmnopqrstuvwxyz", digits[] = "0123456789", word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static void make_email(char *out, bool is_near) {
    put_random(out, lower, 2 + draw(8));
    strcat(out, PICK(".", "_", "+", "-"));
    put_random(out, lower, 1 + draw(8));
    strcat(out, is_near ? " at " : "@");
    put_random(out, lower, 2 + draw(8));
    strcat(out, PICK(".com", ".org", ".co.uk", ".ch", ".example.net"));
}

static void make_card(char *out, bool is_near) {
    char d[20] = "";
    unsigned n = (unsigned)atoi(PICK("13", "15", "16", "16", "16", "19")), sum = 0;
    const char *gap = PICK("", " ", "-");
    d[0] = (char)('3' + draw(4));
    put_random(d, digits, n - 2);
    for (unsigned i = 0; i < n - 1; i++) {
        unsigned x = (unsigned)(d[n - 2 - i] - '0') * (i % 2 ? 1 : 2);
        sum += x > 9 ? x - 9 : x;
    }
    d[n - 1] = (char)('0' + ((10 - sum % 10) % 10 + (is_near ? 1 + draw(9) : 0)) % 10);
    for (unsigned i = 0; i < n; i++) {
        if (i && i % 4 == 0) strcat(out, gap);
        put_char(out, d[i]);
    }
}

static void make_iban(char *out, bool is_near) {
    static const struct { const char *country; unsigned n; } rows[] = {{"DE", 18}, {"CH", 17}, {"FR", 23}, {"GB", 18}, {"ES", 20}, {"NL", 14}};
    unsigned i = draw(6), rest = 0;
    char body[40] = "", all[48];
    if (rows[i].country[0] == 'G') put_random(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4);
    put_random(body, digits, rows[i].n - (unsigned)strlen(body));
    snprintf(all, sizeof all, "%s%s00", body, rows[i].country);
    for (const char *p = all; *p; p++) rest = *p >= 'A' ? (rest * 100 + (unsigned)(*p - 'A') + 10) % 97 : (rest * 10 + (unsigned)(*p - '0')) % 97;
    snprintf(all, sizeof all, "%s%02u%s", rows[i].country, (98 - rest + (is_near ? 1 + draw(90) : 0)) % 97 + (is_near ? 1 : 0), body);
    if (!is_near) snprintf(all, sizeof all, "%s%02u%s", rows[i].country, 98 - rest, body);
    bool has_gaps = draw(2);
    for (unsigned k = 0; all[k]; k++) {
        if (has_gaps && k && k % 4 == 0) strcat(out, " ");
        put_char(out, all[k]);
    }
}

static void make_phone(char *out, bool is_near) {
    const char *form = is_near ? PICK("19##-19##", "# ### ###", "#.##", "##:##:##", "2024-0#-1#") : PICK("+41 44 ### ## ##", "+1-2##-5##-####", "(2##) 5##-####", "3##-5##-####", "+49 30 #######", "030 #######", "+4420########");
    for (; *form; form++) {
        char c = *form == '#' ? (char)('1' + draw(9)) : *form;
        put_char(out, c);
    }
}

static void make_ip(char *out, bool is_near) {
    if (is_near) sprintf(out, "%u.%u.%u", draw(20), draw(20), draw(20));
    else if (draw(3)) sprintf(out, "%u.%u.%u.%u", 1 + draw(255), draw(256), draw(256), draw(256));
    else sprintf(out, "2001:db8:%x:%x::%x", draw(65536), draw(65536), draw(65536));
}

static void make_secret(char *out, bool is_near) {
    strcat(out, is_near ? PICK("sk-", "task-", "ask-") : PICK("sk-", "ghp_", "AKIA", "hf_", "xoxb-", "password: "));
    if (is_near) put_random(out, lower, 3 + draw(6));
    else if (strcmp(out, "AKIA") == 0) put_random(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 16);
    else put_random(out, word, 36);
}

static const struct { const char *name; void (*make)(char *out, bool is_near); } rows[] = {
    {"email", make_email}, {"phone", make_phone}, {"card", make_card}, {"iban", make_iban}, {"ip", make_ip}, {"secret", make_secret}};
#define N_ROWS (sizeof rows / sizeof rows[0])

static struct privacy *detectors(const char *only) {
    char names[N_ROWS][16], *list[N_ROWS];
    unsigned n = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (only && strcmp(only, rows[i].name) != 0) continue;
        snprintf(names[n], sizeof names[n], "%s", rows[i].name);
        list[n] = names[n];
        n++;
    }
    struct privacy_settings s = {.detectors = list, .n_detectors = n};
    struct privacy *p;
    slm_err err;
    if (privacy_create(&s, &p, &err) != SLM_OK) exit(1);
    return p;
}

/* A made-up item in a sentence: is it found, whole? */
static bool is_found(const struct privacy *p, const char *item, const char *label) {
    char text[400];
    struct found f[8];
    const char *before = PICK("Write it down: ", "It was ", "Please use ", "(", "ok,"), *after = PICK(" and tell me.", ".", ", please", ") then", "");
    int n = snprintf(text, sizeof text, "%s%s%s", before, item, after);
    size_t n_found = privacy_scan(p, (struct view){text, (size_t)n}, f, 8), from = strlen(before), to = from + strlen(item);
    const char *value = strncmp(item, "password: ", 10) == 0 ? item + 10 : item;
    for (size_t i = 0; i < n_found; i++)
        if (f[i].at <= from + (size_t)(value - item) && f[i].at + f[i].n >= to && strcasecmp(f[i].label, label) == 0) return true;
    return false;
}

static void scan_file(const char *path) {
    FILE *f = fopen(path, "rb");
    char *line = NULL;
    size_t cap = 0, n_lines = 0, n_with[N_ROWS + 1] = {0};
    struct privacy *p[N_ROWS];
    struct found found[FOUND_MAX];
    if (!f) return;
    for (size_t i = 0; i < N_ROWS; i++) p[i] = detectors(rows[i].name);
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        bool any = false;
        if (n < 3) continue;
        n_lines++;
        for (size_t i = 0; i < N_ROWS; i++) {
            bool has = privacy_scan(p[i], (struct view){line, (size_t)n}, found, FOUND_MAX) > 0;
            if (has && shows) printf("%s: %.*s\n", rows[i].name, (int)found[0].n, line + found[0].at);
            n_with[i] += has;
            any |= has;
        }
        n_with[N_ROWS] += any;
    }
    printf("%s: %zu lines, with a find %zu (%.3f %%):", path, n_lines, n_with[N_ROWS], n_lines ? 100.0 * (double)n_with[N_ROWS] / (double)n_lines : 0);
    for (size_t i = 0; i < N_ROWS; i++) printf(" %s %zu", rows[i].name, n_with[i]);
    printf("\n");
    for (size_t i = 0; i < N_ROWS; i++) privacy_free(p[i]);
    free(line);
    fclose(f);
}

int main(int argc, char **argv) {
    struct privacy *p = detectors(NULL);
    rng_init(&rng, 1);
    printf("%-8s %8s %18s   of %d each\n", "", "found", "near misses found", N);
    for (size_t i = 0; i < N_ROWS; i++) {
        int n_found = 0, n_near = 0;
        for (int k = 0; k < N; k++) {
            char item[200] = "", near[200] = "";
            rows[i].make(item, false);
            rows[i].make(near, true);
            n_found += is_found(p, item, rows[i].name);
            n_near += is_found(p, near, rows[i].name);
        }
        printf("%-8s %6.2f %% %16.2f %%\n", rows[i].name, 100.0 * n_found / N, 100.0 * n_near / N);
    }
    privacy_free(p);
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--show") == 0) shows = true;
        else scan_file(argv[i]);
    return 0;
}
