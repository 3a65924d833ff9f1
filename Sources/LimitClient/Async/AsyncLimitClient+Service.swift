// The async client as a service of swift-service-lifecycle. Only with the trait ServiceLifecycle.

#if ServiceLifecycle
public import ServiceLifecycle

extension AsyncLimitClient: Service {
  /// Serves until the group shuts down, then closes the connections, which gives back every permit.
  /// Put the client before the services that ask it: they end first.
  public func run() async throws {
    try? await gracefulShutdown()
    shutDown()
  }
}
#endif
