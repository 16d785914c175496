/// A chart of lines over 0, 1, 2, … that is read in a terminal: with colour or without, in Unicode or in ASCII.
///
/// Each line is told by the shape of its markers; colour only helps. Values that are missing or not finite leave a gap.
struct LineChart: Sendable {
  /// A line with its name.
  struct Series: Sendable {
    var name: String
    var values: [Double?]
  }

  /// A level to hold the lines against.
  struct Reference: Sendable {
    var name: String
    var value: Double
  }

  /// At most ``most``; others are not drawn.
  var series: [Series]
  var reference: Reference?
  /// Stands above the vertical axis.
  var yLabel = ""
  /// Stands behind the horizontal axis.
  var xLabel = ""
  /// What stands below 0, 1, 2, … on the horizontal axis in place of these numbers.
  var xTicks: [String]?
  /// Lines between the axis labels.
  var height = 14

  /// Lines that can be told apart.
  static let most = 8
  /// A chart is not drawn narrower.
  static let narrowest = 40
  private static let shapes = ["●", "▲", "■", "◆", "○", "△", "□", "◇"]
  private static let letters = ["*", "+", "o", "x", "#", "%", "@", "&"]
  private static let styles: [TextStyle] = [.cyan, .yellow, .magenta, .green, .blue, .red, .plain, .plain]

  /// Draws the chart, lines ended by newlines.
  ///
  /// - Parameter width: columns to fill; `nil`: those of the stream.
  func render(_ traits: TerminalTraits, width: Int? = nil) -> String {
    ChartDrawing(self, traits: traits, width: max(width ?? traits.width, Self.narrowest)).text
  }

  /// The marker of a line.
  static func marker(_ line: Int, _ traits: TerminalTraits) -> String {
    (traits.unicode ? shapes : letters)[line % most]
  }

  /// The colour of a line.
  static func style(_ line: Int) -> TextStyle { styles[line % most] }
}
