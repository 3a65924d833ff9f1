// A target needs a source file; what there is stands in the header.
#include "CLinux.h"
