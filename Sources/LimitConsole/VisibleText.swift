// Text that came from elsewhere, made safe to show. Pure functions.

/// `text` without what could steer a terminal: control characters become '·'.
package func visible(_ text: String) -> String {
  var scalars = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    let category = scalar.properties.generalCategory
    let isHarmless = category != .control && category != .format && category != .lineSeparator
    scalars.append(isHarmless ? scalar : "·")
  }
  return String(scalars)
}
