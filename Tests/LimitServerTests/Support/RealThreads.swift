// The suites here that `make test-threads` runs, under ThreadSanitizer.

import Testing

/// One at a time, so that the threads of a test meet each other and not those of another.
@Suite(.serialized) enum RealThreads {}
