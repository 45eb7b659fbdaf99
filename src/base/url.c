/* url.c -- RFC 3986, 3.2, as far as it is needed. */
#include "base/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct view url_host(const char *url, bool *has_user) {
    const char *scheme = strstr(url, "://"), *at = scheme ? scheme + 3 : url;
    struct view v = {at, strcspn(at, "/?#")};
    if (has_user) *has_user = false;
    if (v.len && memchr(v.ptr, '\\', v.len)) return (struct view){at, 0}; /* to some programs a slash, to others a byte of a user's name: where it leads is not known */
    for (size_t i = v.len; i-- > 0;) {
        if (v.ptr[i] != '@') continue;
        if (has_user) *has_user = true;
        v = (struct view){v.ptr + i + 1, v.len - i - 1};
        break;
    }
    if (v.len && *v.ptr == '[') {
        const char *end = memchr(v.ptr, ']', v.len);
        bool is_address = end && (end + 1 == v.ptr + v.len || end[1] == ':');
        return (struct view){v.ptr + is_address, is_address ? (size_t)(end - v.ptr) - 1 : 0};
    }
    const char *colon = memchr(v.ptr, ':', v.len);
    if (colon) v.len = (size_t)(colon - v.ptr);
    if (v.len && v.ptr[v.len - 1] == '.') v.len--;
    return v;
}

bool url_is_this_machine(const char *url) {
    static const unsigned char loopback6[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned char address[16];
    char host[64];
    struct view v = url_host(url, NULL);
    if (v.len == 0 || v.len >= sizeof host) return false;
    snprintf(host, sizeof host, "%.*s", VIEW_ARG(v));
    if (strcasecmp(host, "localhost") == 0) return true;
    if (inet_pton(AF_INET, host, address) == 1) return address[0] == 127;
    if (inet_pton(AF_INET6, host, address) != 1) return false;
    return memcmp(address, loopback6, 16) == 0 || (memcmp(address, mapped, 12) == 0 && address[12] == 127);
}
