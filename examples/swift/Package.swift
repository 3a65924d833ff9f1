// swift-tools-version: 6.1
//
// The smallest package that asks limitd. One of your own names its path or repository instead.

import PackageDescription

let package = Package(
  name: "ask",
  dependencies: [.package(name: "limitd", path: "../..")],
  targets: [
    .executableTarget(
      name: "ask", dependencies: [.product(name: "LimitClient", package: "limitd")])
  ]
)
