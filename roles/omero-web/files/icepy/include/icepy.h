/* What nearly every source of the sdist includes, which compilers read once where they can compile headers. */
#ifndef ICEPY_H
#define ICEPY_H
#include "icepy_compat.h"
#ifdef __cplusplus
#include <Ice/Ice.h>
#endif
#endif
