// swift-tools-version: 6.1
//
// The smallest package that asks limitd. One of your own names its path or repository instead.

import PackageDescription

let package = Package(
  name: "ask",
  // Without traits: the client needs no other package, and none is resolved.
  dependencies: [.package(name: "limitd", path: "../..", traits: [])],
  targets: [
    .executableTarget(
      name: "ask", dependencies: [.product(name: "LimitClient", package: "limitd")])
  ]
)
