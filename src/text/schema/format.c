/* format.c -- table: string formats as patterns (RFC 3339, 4122, 1123, 5321, 3986, 4291, 6901, ISO 8601). One pattern serves two
 * engines: the automaton that generates and PCRE2 that checks. A format without a row is an annotation, as the specification has it. */
#include <string.h>

#include "text/schema/schema_int.h"

#define DAY "((\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8])))|" \
            "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define CLOCK "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOST LABEL "(\\." LABEL ")*"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 OCTET "(\\." OCTET "){3}"
#define H "[0-9A-Fa-f]{1,4}"
#define IPV6                                                                                                                     \
    "((" H ":){7}" H "|(" H ":){1,7}:|(" H ":){1,6}:" H "|(" H ":){1,5}(:" H "){1,2}|(" H ":){1,4}(:" H "){1,3}|(" H ":){1,3}(:" H \
    "){1,4}|(" H ":){1,2}(:" H "){1,5}|" H ":((:" H "){1,6})|:((:" H "){1,7}|:)|(" H ":){6}" IPV4 "|::(" H ":){0,5}" IPV4 ")"
#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define QUERY "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define TIME_PART "T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)"

static const struct schema_format formats[] = {
    {"date", DAY},
    {"time", CLOCK},
    {"date-time", DAY "[Tt]" CLOCK},
    {"duration", "P(\\d+W|(\\d+Y(\\d+M(\\d+D)?)?|\\d+M(\\d+D)?|\\d+D)(" TIME_PART ")?|" TIME_PART ")"},
    {"email", ATOM "(\\." ATOM ")*@" HOST},
    {"hostname", HOST},
    {"ipv4", IPV4},
    {"ipv6", IPV6},
    {"uri", "[A-Za-z][A-Za-z0-9+.-]*:(//" HOST "(:\\d{1,5})?(/" PCHAR "*)*|/?(" PCHAR "+(/" PCHAR "*)*)?)" QUERY},
    {"uri-reference", "(" PCHAR "|[/])*" QUERY},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
    {"json-pointer", "(/([^~/]|~[01])*)*"},
    {"relative-json-pointer", "(0|[1-9]\\d*)(#|(/([^~/]|~[01])*)*)"},
};

const struct schema_format *schema_format_find(const char *name) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}
