// What the tests share.

import Testing

/// The suites that change the environment, one test at a time.
@Suite(.serialized) struct EnvironmentTests {}
