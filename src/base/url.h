/* url.h -- what must be known of a URL before a secret is sent there. */
#ifndef SLM_BASE_URL_H
#define SLM_BASE_URL_H

#include "base/mem.h"

/* url_host -- its host as it stands there: after the scheme and anybody's name, without port and the dot at its end; of an IPv6 address what the brackets hold. Empty:
 * it has none, or one that programs do not agree about (a backslash before the path). *has_user (may be NULL): there is a user's name or password before it. */
struct view url_host(const char *url, bool *has_user);
/* url_is_this_machine -- is the host this machine's own by what it says: localhost, 127.0.0.0/8, ::1? No name is looked up, and an address in a form that only
 * some programs read (127.1, 0x7f.0.0.1) counts as elsewhere. */
bool url_is_this_machine(const char *url);

#endif
