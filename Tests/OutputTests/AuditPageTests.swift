@testable import Replay
import Testing

#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

/// The page as a person sees it; thin spaces are written as blanks.
struct AuditPageTests {
  private func page(
    _ report: AuditReport, _ traits: TerminalTraits, by: [AuditDimension] = [], curve: Bool = false
  ) -> String {
    AuditRenderer(report: report, traits: traits).table(by: by, curve: curve).replacing("\u{2009}", with: " ")
  }

  @Test func inHundredColumns() {
    #expect(
      page(SampleReport.full, .columns(100), by: [.tool, .dataSource]) == """
        run qwen-arpo
        arpo · 128 groups · 2 048 trajectories · 1 500 tool results (1 200 executed calls) · 1 234 567
        generated tokens
        estimator  topk, in nats: H = -sum over the listed tokens of p ln p (top-k and the sampled token;
                   truncated, not renormalised)
                   bounds of the full-vocabulary entropy stand beside it
        values     1 211 000 of 1 234 567 generated tokens; exact has 0; sampled-nll has 1 234 567
        reason     topk has a value for 98.1 % of the generated tokens; exact has none
        text only  48 trajectories of 2 048: in no number below
        evidence   2 000 text, token_ids, sampled_logprobs, top_logprobs; 48 text
        intervals  95 %, bootstrap over prompt groups: 1 000 replicates, seed 7

        initial entropy 0.5000 [0.4900…0.5200]: mean of the first 20 generated tokens of 2 000 trajectories

        Entropy after tool results, nats
        tool            calls    0-10   10-50    0-20    0-50         95 %  vs initial         95 %  spikes
        ───────────────────────────────────────────────────────────────────────────────────────────────────
        all tools       1 497  0.4000  0.5000  0.6000  0.7000  0.680…0.730     +0.2000  0.180…0.230  12.3 %
        search            897  0.3500  0.4500  0.5500  0.6500  0.630…0.680     +0.1500  0.130…0.180   8.0 %
        python            597  0.4500  0.5500  0.6500  0.7500  0.730…0.780     +0.2500  0.230…0.280  20.0 %
        ───────────────────────────────────────────────────────────────────────────────────────────────────
        first segment   1 997  0.3500  0.4500  0.5500  0.6500  0.630…0.680     +0.1500  0.130…0.180   2.0 %
        control blocks    312  0.4017  0.4017  0.4017  0.4017                                         4.1 %
        1 more column in a wider window; --format json has every number
        first segment: the same windows from the start of each trajectory, before any tool
        control: 312 blocks of 50 tokens away from tool results, median 0.3910, MAD 0.0312; a spike is a
        window of 0-50 with z > 3 against them, as 4.1 % of the blocks are
        bounds of the full-vocabulary entropy, all tools: 0-10 0.3900…0.6500 · 10-50 0.4900…0.7500 · 0-20
        0.5900…0.8500 · 0-50 0.6900…0.9500

        Pilot findings of the ARPO paper, in this log
        ✓ 1. entropy rises in the first 10-50 tokens after a tool result: supported
             tokens 0-50 after a result: against the control blocks 0.2983 nats, 95 % interval 0.2803 to
             0.3101
        ✗ 2. entropy after search results is higher than after python results: not supported
             search minus python, tokens 0-50: -0.1000 nats, 95 % interval -0.1300 to -0.0700
        ? 3. entropy after a tool result exceeds the trajectory's initial entropy: cannot tell
             tokens 0-50 after a result are on average above the initial entropy: 0.0100 nats, 95 % interval
             -0.0100 to 0.0300, which includes 0

        By data source, nats
        data source  calls    0-10   10-50    0-20    0-50         95 %  vs initial         95 %  spikes
        ────────────────────────────────────────────────────────────────────────────────────────────────
        hotpotqa       997  0.4100  0.5100  0.6100  0.7100  0.690…0.740     +0.2100  0.190…0.240  10.0 %
        null           497  0.3800  0.4800  0.5800  0.6800  0.660…0.710     +0.1800  0.160…0.210  15.0 %
        1 more column in a wider window; --format json has every number

        Not in this log
          exact entropies: no full-vocabulary entropy; topk leaves out the unlisted tokens
            → log the trainer's entropies with entropy_kind exact
          token ids (48 of 2 048 trajectories): no token has an entropy
            → log the sampled token ids, not the decoded text alone

        """)
  }

  @Test func inEightyOfASCII() {
    #expect(
      page(SampleReport.full, .columns(80, unicode: false)) == """
        run qwen-arpo
        arpo | 128 groups | 2,048 trajectories | 1,500 tool results (1,200 executed
        calls) | 1,234,567 generated tokens
        estimator  topk, in nats: H = -sum over the listed tokens of p ln p (top-k and
                   the sampled token; truncated, not renormalised)
                   bounds of the full-vocabulary entropy stand beside it
        values     1,211,000 of 1,234,567 generated tokens; exact has 0; sampled-nll has
                   1,234,567
        reason     topk has a value for 98.1 % of the generated tokens; exact has none
        text only  48 trajectories of 2,048: in no number below
        evidence   2,000 text, token_ids, sampled_logprobs, top_logprobs; 48 text
        intervals  95 %, bootstrap over prompt groups: 1,000 replicates, seed 7

        initial entropy 0.5000 [0.4900..0.5200]: mean of the first 20 generated tokens
        of 2,000 trajectories

        Entropy after tool results, nats
        tool            calls    0-50          95 %  vs initial          95 %  spikes
        -----------------------------------------------------------------------------
        all tools       1,497  0.7000  0.680..0.730     +0.2000  0.180..0.230  12.3 %
        search            897  0.6500  0.630..0.680     +0.1500  0.130..0.180   8.0 %
        python            597  0.7500  0.730..0.780     +0.2500  0.230..0.280  20.0 %
        -----------------------------------------------------------------------------
        first segment   1,997  0.6500  0.630..0.680     +0.1500  0.130..0.180   2.0 %
        control blocks    312  0.4017                                           4.1 %
        4 more columns in a wider window; --format json has every number
        first segment: the same windows from the start of each trajectory, before any
        tool
        control: 312 blocks of 50 tokens away from tool results, median 0.3910, MAD
        0.0312; a spike is a window of 0-50 with z > 3 against them, as 4.1 % of the
        blocks are
        bounds of the full-vocabulary entropy, all tools: 0-10 0.3900..0.6500 | 10-50
        0.4900..0.7500 | 0-20 0.5900..0.8500 | 0-50 0.6900..0.9500

        Pilot findings of the ARPO paper, in this log
        yes 1. entropy rises in the first 10-50 tokens after a tool result: supported
               tokens 0-50 after a result: against the control blocks 0.2983 nats, 95 %
               interval 0.2803 to 0.3101
        no  2. entropy after search results is higher than after python results: not
            supported
               search minus python, tokens 0-50: -0.1000 nats, 95 % interval -0.1300 to
               -0.0700
        ?   3. entropy after a tool result exceeds the trajectory's initial entropy:
            cannot tell
               tokens 0-50 after a result are on average above the initial entropy:
               0.0100 nats, 95 % interval -0.0100 to 0.0300, which includes 0

        Not in this log
          exact entropies: no full-vocabulary entropy; topk leaves out the unlisted
          tokens
            > log the trainer's entropies with entropy_kind exact
          token ids (48 of 2,048 trajectories): no token has an entropy
            > log the sampled token ids, not the decoded text alone

        """)
  }

  @Test func tableInForty() {
    let table = page(SampleReport.full, .columns(40)).split(separator: "\n\n")[2]
    #expect(
      table.split(separator: "\n").prefix(10).joined(separator: "\n") == """
        Entropy after tool results, nats
        tool           calls    0-50  vs initial
        ────────────────────────────────────────
        all tools      1 497  0.7000     +0.2000
        search           897  0.6500     +0.1500
        python           597  0.7500     +0.2500
        ────────────────────────────────────────
        first segment  1 997  0.6500     +0.1500
        control bloc…    312  0.4017
        7 more columns in a wider window;
        """)
  }

  @Test func aFileHasRoomForTheBounds() {
    let table = page(SampleReport.full, .file).split(separator: "\n\n")[2]
    #expect(
      table.split(separator: "\n").prefix(4).joined(separator: "\n") == """
        Entropy after tool results, nats
        tool            calls    0-10   10-50    0-20    0-50         95 %  vs initial         95 %  spikes       bounds
        ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
        all tools       1 497  0.4000  0.5000  0.6000  0.7000  0.680…0.730     +0.2000  0.180…0.230  12.3 %  0.690…0.950
        """)
  }

  @Test func textOnlyComesFirst() {
    #expect(
      page(SampleReport.textOnly, .columns(100), by: [.step], curve: true) == """
        run verl-dump
        2 groups · 16 trajectories · 31 tool results · 0 generated tokens
        no entropy can be computed from this log: it has no token ids, no top-k logprobs
        text only  16 of 16 trajectories
        evidence   16 text

        Pilot findings of the ARPO paper, in this log
        none of the 3 can be told: the log has no entropies

        What would provide it
          token ids: no token has an entropy; windows and baselines cannot be placed
            → log the sampled token ids (vLLM: return_token_ids), not the decoded text alone
          top-k logprobs: no topk entropy, no bounds, no ARPO entropy value
            → log the most likely tokens at each position (vLLM: logprobs=20)

        """)
  }

  @Test func anEstimatorThatTheLogCannotServe() {
    var run = SampleReport.textOnlyRun
    run.textOnlyTrajectories = 0
    run.evidence = [.init(label: "text,token_ids,sampled_logprobs", trajectories: 16)]
    run.missing.removeFirst()
    #expect(
      page(SampleReport.report([run]), .columns(100)).contains(
        "\nno entropy by the estimator asked for: it has no top-k logprobs\nevidence"))
  }

  @Test func curves() {
    let curve = page(SampleReport.full, .columns(100), curve: true).split(separator: "\n\n")[4]
    #expect(
      curve == """
        Mean entropy by generated token after the result, nats
        1.0 ┤
            │⡀
            │⠈⠉⠒▲⠢⢄⣀
        0.8 ┤       ⠉⠒⠒⠢⠤⣀
            │             ⠉⠉⠑▲⠤⠤⣀⡀
            │●⠒⠤⣀⣀⡀              ⠈⠉⠉⠒⠒⠢⢄⣀▲
        0.6 ┤     ⠈⠉⠉⠒⠒⠢⠤●⣀⡀              ⠉⠉⠑⠒⠒⠤⠤⢄⣀⣀
            │              ⠈⠉⠑⠒⠒⠤⠤⢄⣀⣀               ⠉▲⠉⠑⠒⠒⠒⠤⠤⢄⣀⣀⣀⣀▲          ⢀⣀⣀⣀⣀■⣀⣀⣀⣀⣀⣀⣀⣀ ■ first segment
            │┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄●⠉⠉⠉⠒⠒⠢⠤⠤⠤⣀⣀⣀●┄⣀⣀⣀⡠⠤■⠤⠤⠤⠔⠒⠒⠒⠒⠚⠛⠉■⠉⠙⠛⠛⠛⠛⠛⠣▲⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤▲ ▲ python
            │                       ⣀⣀⣀⡠⠤⠤⠤⠔⠒■⠒⠉⠉⠉⠉⠉⠉⠉⠑⠒⠒⠒⠤⠤⠤⠤●⣀⣀⣀⣀⣀⣀                       ┄ initial 0.5000
        0.4 ┤            ⣀⣀⡠⠤⠔⠒⠒■⠊⠉⠉                                 ⠉⠉⠉⠉⠉●⠉⠑⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒●⠒⠒⠒ ● search
            │  ⣀⣀⡠⠤⠤■⠒⠊⠉⠉
            │⠉⠉
        0.2 ┤
            └┬───────────┬───────────┬────────────┬───────────┬───────────┬───────────┬────
             0           10          20           30          40          50          60
             tokens after the result
        tokens behind all tools: 1 500 at 0, 240 at 63
        """)
  }

  @Test func noRun() {
    #expect(page(SampleReport.report([]), .columns(100)) == "nothing to audit: no run was selected\n")
  }

  @Test func severalRunsAreSections() {
    let both = SampleReport.report([SampleReport.run, SampleReport.textOnlyRun])
    #expect(
      page(both, .columns(100))
        == page(SampleReport.full, .columns(100)) + "\n" + page(SampleReport.textOnly, .columns(100)))
  }

  @Test func aRunWithoutToolResults() {
    var run = SampleReport.run
    run.toolResults = 0
    run.executedCalls = 0
    run.overall = SampleReport.windows.map { SampleReport.empty($0) }
    run.tables = run.tables.map { DimensionTable(dimension: $0.dimension, rows: []) }
    run.curves = [EntropyCurve(tool: nil, counts: [0, 0], means: [nil, nil])]
    let text = page(SampleReport.report([run]), .columns(100), by: [.dataSource], curve: true)
    #expect(text.contains("Entropy after tool results, nats\nthe run has no tool result\n"))
    #expect(text.contains("By data source, nats\nthe run has no tool result\n"))
    #expect(!text.contains("Mean entropy by"))
  }

  @Test func noIntervalsAndNoControl() {
    var run = SampleReport.run
    run.baseline = Estimate(value: 0.5)
    run.overall = run.overall.map {
      var w = $0
      (w.eventMean.low, w.eventMean.high, w.eventDelta.low, w.eventDelta.high) = (nil, nil, nil, nil)
      (w.lowerMean, w.upperMean, w.spikeShare, w.spikes, w.scored) = (nil, nil, nil, 0, 0)
      return w
    }
    run.earlyReasoning = []
    run.tables = []
    run.control = SampleReport.windows.map { ControlSummary(window: $0, blocks: 0) }
    var report = SampleReport.report([run])
    report.bootstrapReplicates = 0
    let text = page(report, .columns(100))
    #expect(text.contains("intervals  none (no bootstrap replicates)\n"))
    #expect(text.contains("initial entropy 0.5000: mean of the first"))
    #expect(
      text.contains(
        """
        tool            calls    0-10   10-50    0-20    0-50  vs initial
        ─────────────────────────────────────────────────────────────────
        all tools       1 497  0.4000  0.5000  0.6000  0.7000     +0.2000
        ─────────────────────────────────────────────────────────────────
        first segment
        control blocks      0
        """))
    #expect(text.contains("no control block: no stretch of 50 tokens away from tool results; no spikes\n"))
  }

  @Test func anotherTemperatureIsSaid() {
    var report = SampleReport.full
    report.temperature = 1.3
    #expect(
      page(report, .columns(100)).contains(
        "rescaled   logprobs taken to temperature 1.3 where logged at another: an approximation\n"))
  }

  @Test func surprisalIsNotCalledEntropy() {
    var run = SampleReport.run
    run.estimator?.estimator = .sampledNLL
    let text = page(SampleReport.report([run]), .columns(100), curve: true)
    #expect(text.contains("initial surprisal 0.5000"))
    #expect(text.contains("\nSurprisal after tool results, nats\n"))
    #expect(text.contains("\nMean surprisal by generated token"))
  }

  @Test func namesFromTheLogActOnNoTerminal() {
    let evil = "\u{1B}]0;x\u{7}\u{202E}\n\u{9B}2J"
    var run = SampleReport.run
    run.runID = evil
    run.algorithm = evil
    run.tables[0].rows[0].key = evil
    run.curves[1].tool = evil
    run.evidence[0].label = evil
    for traits in [TerminalTraits.columns(40), .columns(100), .columns(100, unicode: false)] {
      let text = AuditRenderer(report: SampleReport.report([run]), traits: traits).table(by: [.dataSource])
      let acting = text.unicodeScalars.filter {
        $0 != "\n" && [.control, .format].contains($0.properties.generalCategory)
      }
      #expect(acting.isEmpty)
    }
  }

  @Test(arguments: [20, 40, 50, 60, 70, 80, 90, 100, 110, 120, 200])
  func linesKeepToTheWidth(width: Int) {
    for traits in [TerminalTraits.columns(width), .columns(width, unicode: false)] {
      for report in [SampleReport.full, SampleReport.textOnly] {
        let lines = page(report, traits, by: AuditDimension.allCases, curve: true).split(separator: "\n")
        for line in lines { #expect(displayWidth(of: String(line)) <= max(width, 40)) }
        for line in lines { #expect(line.last != " ") }
      }
    }
  }

  @Test func colorOnlyHelps() {
    for report in [SampleReport.full, SampleReport.textOnly] {
      var bare = page(report, .columns(100, color: true), by: [.dataSource], curve: true)
      #expect(bare.contains("\u{1B}["))
      for code in ["0", "1", "2", "31", "32", "33", "35", "36"] { bare = bare.replacing("\u{1B}[\(code)m", with: "") }
      #expect(bare == page(report, .columns(100), by: [.dataSource], curve: true))
    }
  }

  @Test func manyToolsAreCutShort() {
    var run = SampleReport.run
    run.tables[0].rows = (0..<50).map {
      DimensionRow(key: "tool \($0)", windows: SampleReport.summaries(events: 10 * $0 + 10, mean: 0.4, spikeShare: 0))
    }
    let text = page(SampleReport.report([run]), .columns(100))
    #expect(text.contains("\ntool 49 "))
    #expect(!text.contains("\ntool 19 "))
    #expect(text.contains("and 20 more tools\n"))
  }
}
