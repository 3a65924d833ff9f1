// Text that came from elsewhere, made safe to show. Pure functions.

/// `text` without what could steer a terminal: control characters become '·'.
package func visible(_ text: String) -> String {
  var scalars = String.UnicodeScalarView()
  for scalar in text.unicodeScalars { scalars.append(isHarmless(scalar) ? scalar : "·") }
  return String(scalars)
}

/// As `visible`, for a text of several lines.
package func visibleLines(_ text: String) -> String {
  if text.utf8.allSatisfy({ 0x20...0x7E ~= $0 || $0 == 0x0A }) { return text }
  var scalars = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    scalars.append(scalar == "\n" || isHarmless(scalar) ? scalar : "·")
  }
  return String(scalars)
}

private func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
  let category = scalar.properties.generalCategory
  return category != .control && category != .format && category != .lineSeparator
}
