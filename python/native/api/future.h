/* Future: what a task waits for while its operation runs. */
#ifndef HN_API_FUTURE_H
#define HN_API_FUTURE_H

#include "native.h"

int hn_future_ready(void);

#endif
