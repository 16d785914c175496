import Foundation

@testable import Policy

/// The policy as the papers write it, in double precision and one token at a time: what the engine is held to.
struct PlainPolicy {
  let config: PolicyConfig
  var tensors: [String: [Double]]
  var adapter: [String: (a: [Double], b: [Double])] = [:]
  var scale = 0.0
  var temperature = 1.0

  init(_ checkpoint: Checkpoint, adapter lora: LoRAAdapter? = nil) throws {
    config = checkpoint.config
    tensors = [:]
    for name in checkpoint.names { tensors[name] = try checkpoint.tensor(named: name).floats().map(Double.init) }
    if let lora {
      scale = lora.settings.scale
      adapter = lora.factors.mapValues { ($0.a.map(Double.init), $0.b.map(Double.init)) }
    }
  }

  private func linear(_ x: [Double], _ name: String) -> [Double] {
    func times(_ w: [Double], _ x: [Double]) -> [Double] {
      (0..<(w.count / x.count)).map { row in
        var sum = 0.0
        for i in x.indices { sum += w[row * x.count + i] * x[i] }
        return sum
      }
    }
    var y = times(tensors["model." + name + ".weight"] ?? [], x)
    if let bias = tensors["model." + name + ".bias"] { for i in y.indices { y[i] += bias[i] } }
    if let (a, b) = adapter[name] {
      for (i, value) in times(b, times(a, x)).enumerated() { y[i] += scale * value }
    }
    return y
  }

  private func norm(_ x: [Double], _ name: String) -> [Double] {
    let w = tensors["model." + name + ".weight"] ?? []
    let mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
    return x.indices.map { x[$0] / (mean + Double(config.rmsNormEpsilon)).squareRoot() * w[$0] }
  }

  private func rotated(_ x: [Double], _ position: Int32) -> [Double] {
    let half = x.count / 2
    var y = x
    for (i, frequency) in config.rope.inverseFrequencies(headDimension: x.count).enumerated() {
      let (c, s) = (cos(Double(position) * Double(frequency)), sin(Double(position) * Double(frequency)))
      y[i] = x[i] * c - x[half + i] * s
      y[half + i] = x[half + i] * c + x[i] * s
    }
    return y
  }

  /// ln p of every token of the vocabulary after each node.
  func logprobs(_ forest: TokenForest) -> [[Double]] {
    let (hidden, width) = (config.hiddenSize, config.headDimension)
    let embedding = tensors["model.embed_tokens.weight"] ?? []
    var x = forest.tokens.map { Array(embedding[(Int($0) * hidden)..<((Int($0) + 1) * hidden)]) }
    for layer in 0..<config.layerCount {
      let name = "layers.\(layer)."
      let normed = x.map { norm($0, name + "input_layernorm") }
      func heads(_ projection: String, _ count: Int, norm normName: String?, rotates: Bool) -> [[[Double]]] {
        normed.indices.map { node in
          let y = linear(normed[node], name + "self_attn." + projection)
          return (0..<count).map { head in
            var part = Array(y[(head * width)..<((head + 1) * width)])
            if let normName, config.hasQKNorm { part = self.norm(part, name + "self_attn." + normName) }
            return rotates ? rotated(part, forest.positions[node]) : part
          }
        }
      }
      let q = heads("q_proj", config.headCount, norm: "q_norm", rotates: true)
      let k = heads("k_proj", config.keyValueHeadCount, norm: "k_norm", rotates: true)
      let v = heads("v_proj", config.keyValueHeadCount, norm: nil, rotates: false)
      for node in x.indices {
        var attended: [Double] = []
        var path: [Int] = []
        var ancestor = Int32(node)
        while ancestor >= 0 {
          path.append(Int(ancestor))
          ancestor = forest.parents[Int(ancestor)]
        }
        for head in 0..<config.headCount {
          let group = head / (config.headCount / config.keyValueHeadCount)
          let scores = path.map { key in
            exp(zip(q[node][head], k[key][group]).reduce(0) { $0 + $1.0 * $1.1 } / Double(width).squareRoot())
          }
          let sum = scores.reduce(0, +)
          for d in 0..<width {
            attended.append(zip(path, scores).reduce(0) { $0 + $1.1 / sum * v[$1.0][group][d] })
          }
        }
        for (i, value) in linear(attended, name + "self_attn.o_proj").enumerated() { x[node][i] += value }
        let middle = norm(x[node], name + "post_attention_layernorm")
        let gate = linear(middle, name + "mlp.gate_proj")
        let up = linear(middle, name + "mlp.up_proj")
        let product = gate.indices.map { gate[$0] / (1 + exp(-gate[$0])) * up[$0] }
        for (i, value) in linear(product, name + "mlp.down_proj").enumerated() { x[node][i] += value }
      }
    }
    let head = config.tiesEmbeddings ? embedding : tensors["lm_head.weight"] ?? []
    return x.map { state in
      let y = norm(state, "norm")
      let logits = (0..<config.vocabularySize).map { token in
        y.indices.reduce(0) { $0 + head[token * hidden + $1] * y[$1] } / temperature
      }
      let sum = log(logits.reduce(0) { $0 + exp($1) })
      return logits.map { $0 - sum }
    }
  }
}
