/* signals.h -- which thread hears which signal. */
#ifndef SLM_BASE_SIGNALS_H
#define SLM_BASE_SIGNALS_H

#include <signal.h>

/* signals_hold -- threads that are started until signals_release hear no signal from outside: Ctrl-C is the main thread's. Faults are a thread's own and
 * are not held: the kernel ends a program whose fault is blocked without asking its handler. *before: what signals_release puts back. */
void signals_hold(sigset_t *before);
void signals_release(const sigset_t *before);

#endif
