// Empty: CZlib is its header.
#include "CZlib.h"
