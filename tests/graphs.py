"""Specs of graphs of layers, which have all the words that a chain has not."""

TRANSLATION = """\
version: 1
name: translation
inputs:
  source: {embedding: {vocabulary: 7, dim: 3, mask_zero: true}}
  target: {embedding: source}
stream: target
rnn:
  - {type: lstm, units: 3, layers: 2, name: encoder, of: source}
  - {type: lstm, units: 3, layers: 2, name: decoder, of: target, initial_state: {of: encoder}}
  - {type: repeat, like: target, of: encoder.state, name: repeated}
  - {type: add, of: [decoder, repeated]}
  - {type: multiply, of: [add_1, encoder.cell]}
head: {pooling: none, hidden: [{type: normalize}], units: 7}
"""
JOINED = """\
version: 1
name: joined
inputs:
  words: {embedding: {vocabulary: 6, dim: 3, mask_zero: true}}
  power: {features: 3, mask_value: 2.0}
  plain: {features: 1}
  basin: {features: 2, per: sequence}
  user: {per: sequence, embedding: {vocabulary: 5, dim: 4}}
rnn:
  - {type: concat, of: [basin, words, power]}
  - {type: dense, units: 6, of: user, name: start}
  - {type: lstm, units: 3, of: concat_1, bidirectional: true, name: trunk,
    initial_state: {c: start}}
  - {type: add, of: [words, power], name: total}
  - {type: multiply, of: [total, plain], name: scaled}
  - {type: gru, units: 4, direction: backward, initial_state: learned, name: back}
  - {type: pool, pooling: [last, mean, {attention: {units: 4, bias: false, query: user}}]}
  - {type: concat, of: [concat_2, trunk.state, basin], name: state}
  - {type: conv, filters: 4, kernel_size: 3, padding: [1, 0], of: trunk, name: windows}
  - {type: batch_norm}
heads:
  one: {of: state, units: 2}
  two: {of: batch_norm_1, pooling: {attention: {query: user, activation: tanh}}}
  three: {of: windows, pooling: none, units: 2}
"""
TURNED = """\
version: 1
name: turned
input: {features: 4, length: 5}
rnn:
  - {type: transpose}
  - {type: gru, units: 3, initial_state: learned, bidirectional: true}
  - {type: pool, pooling: first_step, name: first}
  - {type: pool, pooling: last, of: bidirectional_1, name: last}
  - {type: add, of: [first, last]}
  - {type: repeat, steps: 3}
  - {type: simple, units: 3, direction: backward}
"""
APPENDED = """\
version: 1
name: appended
inputs:
  image: {features: 3, per: sequence}
  words: {embedding: {vocabulary: 8, dim: 4}}
  more: {length: 4, features: 4}
rnn:
  - {type: dense, of: image, units: 4}
  - {type: batch_norm, name: picture}
  - {type: concat, axis: steps, of: [picture, words]}
  - {type: gru, units: 4, name: read}
  - {type: concat, axis: steps, of: [more, read.state], name: known}
  - {type: conv, filters: 4, kernel_size: 2}
  - {type: lstm, units: 2, bidirectional: true, name: both}
  - {type: attention, of: read, over: known, score: dot, name: seen}
  - {type: concat, axis: steps, of: [known, seen, known], name: all_of_them}
heads:
  one: {pooling: max, units: 2}
  two: {of: read, pooling: none, units: 3}
  three: {of: both}
"""
GIVEN = """\
version: 1
name: given
input: {features: 2, mask_value: 2.0}
rnn:
  - {type: lstm, units: 3, layers: 2, initial_state: given}
  - {type: simple, units: 2, initial_state: learned}
head: {pooling: none, units: 2}
"""
STREAMED = """\
version: 1
name: streamed
inputs:
  audio: {features: 3}
  speaker: {per: sequence, embedding: {vocabulary: 4, dim: 2}}
  prompt: {embedding: {vocabulary: 6, dim: 2, mask_zero: true}}
stream: audio
rnn:
  - {type: gru, units: 2, of: prompt, name: reader}
  - {type: dense, units: 4, of: reader.state, activation: tanh, name: start}
  - {type: concat, of: [audio, speaker], name: both}
  - {type: conv, filters: 4, kernel_size: 3, activation: tanh}
  - {type: conv, filters: 4, kernel_size: 2, dilation: 2, padding: [1, 0], name: windows}
  - {type: lstm, units: 4, initial_state: {h: start}, name: trunk}
  - {type: multiply, of: [trunk, start], name: gated}
heads:
  speech: {of: gated, pooling: none, units: 2}
  voice: {of: trunk, pooling: mean, units: 1}
  state: {of: start, units: 1}
"""
COPIED = """\
version: 1
name: copied
inputs:
  one: {features: 2}
  two: {features: 2}
  style: {features: 3, per: sequence}
rnn:
  - {type: repeat, like: one, of: style}
  - {type: simple, units: 2, name: copies}
  - {type: gru, units: 2, of: one, name: first}
  - {type: gru, units: 2, of: two, name: second}
  - {type: concat, of: [copies.state, first.state, second.state]}
"""
ATTENDING = """\
version: 1
name: attending
inputs:
  source: {embedding: {vocabulary: 6, dim: 3, mask_zero: true}}
  target: {features: 3, mask_value: 2.0}
stream: target
rnn:
  - {type: gru, units: 2, bidirectional: true, of: source, name: encoder}
  - {type: dense, units: 3, activation: tanh, of: encoder.state, name: bridge}
  - {type: lstm, units: 3, of: target, dropout: 0.5, residual: true, name: decoder,
    initial_state: {h: bridge}, attention: {over: encoder, score: additive, units: 2}}
  - {type: concat, of: [decoder, decoder.context], name: both}
  - {type: dense, units: 4, activation: tanh, of: encoder, name: known}
  - {type: gru, units: 4, of: both, attention: {over: encoder, score: scaled_dot}}
  - {type: attention, over: known, score: general, name: luong}
  - {type: attention, of: both, over: source, score: additive, units: 3, bias: false}
  - {type: concat, of: [luong, attention_2, gru_1.context]}
head: {pooling: none, units: 5, activation: softmax}
"""
"""A decoder with attention before its cell, and after it."""
ASKING = """\
version: 1
name: asking
inputs:
  words: {length: 4, features: 3}
  asked: {length: 3, features: 3, mask_value: 2.0}
  question: {features: 3, per: sequence}
cells:
  mine:
    states: [h, m]
    equations: {m: tanh(W @ x + U @ h), h: 0.5 * h + P @ m}
rnn:
  - {type: mine, units: 3, of: words, name: first, attention: {over: words, score: dot}}
  - {type: attention, over: first, score: scaled_dot, name: itself}
  - {type: simple, units: 2, direction: backward, name: back,
    attention: {over: asked, score: general}}
  - {type: attention, of: question, over: asked, score: dot, name: answer}
  - {type: attention, of: back.state, over: first.context, score: additive, units: 2}
  - {type: concat, of: [answer, attention_3]}
heads: {one: {}, two: {of: back, pooling: none}, three: {of: first, pooling: mean}}
initializers: {kernel: {normal: 0.5}, bias: ones}
"""
"""Attention of sequences to themselves, of vectors, and without padding."""
CHOOSING = """\
version: 1
name: choosing
inputs:
  words: {embedding: {vocabulary: 6, dim: 3, mask_zero: true}}
  asks: {features: 3}
  more: {length: 4, features: 2}
  known: {length: 4, features: 3}
stream: asks
rnn:
  - {type: gru, units: 4, of: words, name: encoder}
  - {type: dense, units: 3, of: encoder, name: keys}
  - {type: attention, of: asks, over: keys, values: encoder, score: scaled_dot, name: a}
  - {type: attention, of: asks, over: keys, values: encoder, score: additive, units: 2, name: b}
  - {type: attention, of: asks, over: encoder, values: words, score: general, name: c}
  - {type: attention, of: asks, over: known, values: more, score: dot, name: d}
  - {type: attention, of: encoder.state, over: encoder, values: keys, score: dot, name: vector}
  - {type: attention, of: asks, over: keys, values: encoder, heads: 2, units: 6, name: e}
  - {type: attention, of: asks, over: known, heads: 3, units: 3, bias: false, name: f}
  - {type: attention, of: vector, over: known, heads: 3, projections: false, score: dot, name: g}
  - {type: attention, of: encoder.state, over: encoder, heads: 2, projections: false, name: h}
  - {type: attention, of: asks, over: known, score: additive, units: 2, activation: relu, name: i}
  - {type: attention, of: asks, over: keys, score: additive, units: 2, name: j,
    activation: {leaky_relu: 0.1}}
  - {type: concat, of: [a, b, c, d, e, f, g, h, i, j, vector]}
head: {pooling: none, units: 2}
"""
"""Attention whose values are not what it is over, and with several heads."""
LOOKING_BACK = """\
version: 1
name: looking_back
inputs:
  words: {embedding: {vocabulary: 6, dim: 4, mask_zero: true}}
  asks: {features: 4}
  power: {features: 3}
rnn:
  - {type: gru, units: 4, of: words, name: read}
  - {type: attention, of: read, over: read, score: scaled_dot, causal: true, name: a}
  - {type: attention, of: asks, over: words, score: general, causal: true, name: b}
  - {type: attention, of: read, over: words, heads: 2, units: 6, causal: true, name: c}
  - {type: attention, of: power, over: asks, score: additive, units: 2, causal: true, name: d,
    activation: linear}
  - {type: attention, of: asks, over: asks, heads: 2, projections: false, causal: true, name: e}
  - {type: concat, of: [a, b, c, d, e]}
head: {pooling: none, units: 2}
"""
"""Attention whose queries see the steps up to their own."""
POINTING = """\
version: 1
name: pointing
inputs:
  words: {length: 5, embedding: {vocabulary: 6, dim: 4, mask_zero: true}}
  asks: {features: 4, mask_value: 2.0}
  power: {features: 3}
stream: power
rnn:
  - {type: gru, units: 4, of: words, name: read}
  - {type: gru, units: 4, of: asks, name: question}
  - {type: attention, of: power, over: read, score: general, output: weights, name: a}
  - {type: attention, of: power, over: words, score: additive, units: 2, output: scores, name: b}
  - {type: attention, of: question.state, over: read, score: scaled_dot, output: weights, name: c}
  - {type: attention, of: question.state, over: words, score: additive, units: 3, output: scores,
    name: d, activation: relu}
  - {type: attention, of: read, over: words, score: dot, causal: true, output: weights, name: e}
  - {type: attention, of: read, over: read, score: dot, causal: true, output: scores, name: f}
  - {type: attention, of: question.state, over: asks, score: dot, output: weights, name: g}
  - {type: concat, of: [c, d, e, f], name: beside}
  - {type: gru, units: 2, name: pointed}
  - {type: gru, units: 2, of: g, name: seen}
  - {type: concat, of: [a, b, pointed.state, seen.state], name: both}
head: {pooling: none, units: 2}
"""
"""Attention that gives its weights or its scores."""
_SWAPPED = """
cells:
  swapped:
    states: [c, h]
    equations:
      i: sigmoid(W_i @ x + U_i @ c + b_i)
      f: sigmoid(W_f @ x + U_f @ c + b_f)
      g: tanh(W_g @ x + U_g @ c + b_g)
      o: sigmoid(W_o @ x + U_o @ c + b_o)
      h: f * h + dt * i * g
      c: o * tanh(h)
    settings: {dt: 1}
    initialize: {b_f: ones}
  plain: {states: [z], equations: {z: tanh(W @ x + U @ z)}}
"""
INPUT_FEEDING = """\
version: 1
name: input_feeding
inputs:
  source: {embedding: {vocabulary: 6, dim: 3, mask_zero: true}}
  target: {features: 2, mask_value: 2.0}
stream: target
cells:
  fed:
    states: [a, h, c]
    memory: [m]
    sizes: {a: fed}
    settings: {fed: 3}
    equations:
      u: concat(x, a)
      f: sigmoid(W_f @ u + U_f @ h + b_f)
      c: f * c + (1 - f) * tanh(W_g @ u + U_g @ h + b_g)
      h: sigmoid(W_o @ u + U_o @ h + b_o) * tanh(c)
      a: tanh(W_a @ concat(attend(A @ h, m), h) + b_a)
rnn:
  - {type: gru, units: 2, bidirectional: true, of: source, name: encoder}
  - {type: fed, units: 4, of: target, dropout: 0.25, name: decoder, fed: 2, over: {m: encoder},
    initial_state: {h: encoder.h}}
  - {type: fed, units: 2, over: {m: source}, score: general, initial_state: learned}
head: {pooling: none, units: 5, activation: softmax}
"""
"""A decoder that asks with its new state, and takes what it found in the next step."""
TWICE_ASKED = """\
version: 1
name: twice_asked
inputs:
  kept: {length: 4, features: 3}
  asked: {length: 3, features: 4, mask_value: 2.0}
cells:
  reads:
    states: [h]
    memory: [store]
    sizes: {q: units}
    equations:
      first: attend(where(h > 0, h, 0.5 * h), store)
      q: tanh(Q @ first + V @ x)
      second: attend(q, store)
      h: 0.5 * h + tanh(W @ concat(first - second, x))
  squared:
    states: [h]
    memory: [query]
    sizes: {query: units}
    equations: {h: "tanh(W @ x + attend(h, query))"}
rnn:
  - {type: reads, units: 5, of: kept, over: {store: asked}, score: additive, score_units: 2,
    name: first}
  - {type: reads, units: 5, direction: backward, over: {store: kept}, score: additive,
    score_units: 3, score_bias: false, layer_norm: true, residual: true}
  - {type: squared, units: 4, over: {query: asked}, score: scaled_dot, name: last}
heads: {one: {}, two: {of: first, pooling: mean}}
"""
"""Cells that ask twice, by an additive score, and by one that the sizes of queries fit."""
RENAMED = f"""\
version: 1
name: renamed
inputs: {{one: {{features: 2}}, two: {{features: 3, mask_value: 2.0}}}}{_SWAPPED}
rnn:
  - {{type: swapped, of: one, units: 3, initial_state: learned, name: first}}
  - {{type: swapped, of: two, units: 3, dt: 0.5, initial_state: {{of: first}}, name: scaled}}
  - {{type: lstm, units: 3, initial_state: {{of: first}}, name: usual}}
  - {{type: swapped, units: 3, initial_state: {{of: scaled}}, name: third}}
  - {{type: dense, of: usual.cell, units: 6, name: start}}
  - {{type: swapped, units: 3, of: third, bidirectional: true, name: both,
    initial_state: {{h: start}}}}
  - {{type: plain, units: 3, initial_state: {{z: first.h}}, name: end}}
heads:
  one_h: {{of: first.h, units: 1}}
  two_h: {{of: both.h}}
  third_c: {{of: third.c}}
  last: {{}}
"""
"""Cells of the language whose states have other names, which are those of other states too."""
PASSED_ON = f"""\
version: 1
name: passed_on
input: {{features: 2, mask_value: 2.0}}{_SWAPPED}
rnn:
  - {{type: swapped, units: 3, layers: 2, initial_state: given}}
  - {{type: plain, units: 2, initial_state: learned}}
head: {{pooling: none, units: 2}}
"""
# The only output is a final state.
ENDED = """\
version: 1
name: ended
input: {features: 3, mask_value: 0}
rnn:
  - {type: dense, units: 2}
  - {type: lstm, units: 4, bidirectional: true, dropout: 0.1, name: reader}
head: {of: reader.cell}
"""
FORMULAS = """\
version: 1
name: formulas
inputs:
  mixture: {features: 4, mask_value: 0.0}
  loud: {features: 1, per: sequence}
  place: {features: 4, per: sequence}
rnn:
- {type: gru, units: 4, of: mixture}
- type: formula
  name: masked
  of: {m: gru_1, x: mixture, g: loud, p: place}
  settings: {least: 0.1}
  equations:
    e: exp(-x) + least
    q: m * x / e
    r: q + softmax(p) * sqrt(abs(g) + 1)
    y: where(r > 0.3, 1.5, -1) * concat(split(r, 1, 2), split(p, 2, 2)) + standardize(r, 0.1)
- type: formula
  of: {h: gru_1.state, g: loud}
  equations: {y: "where(h < g, silu(h) * g, -log(1 + abs(h)))"}
- {type: formula, of: {a: masked, b: place}, equations: {y: "minimum(a, relu(b)) / 2"}}
- {type: formula, of: {b: masked, a: formula_3}, equations: {y: b - a * a}}
# Lines have the names of variables that live longer, of functions, and of what is kept.
- {type: formula, name: running_q, of: {net: formula_4}, equations: {y: net * 2}}
- type: formula
  name: running
  of: {m: running_q, running_q_2: masked, voice: mixture}
  equations:
    two: sqrt(4)
    q_2: tanh(m)
    q: sigmoid(running_q_2) * sqrt(two)
    mean: q_2 - q + standardize(voice, 0.1)
    vector_2: standardize(mean * two, 0.1)
    y: standardize(q_2 + vector_2, 0.1) - mean
- {type: add, of: [running, running_q, masked]}
- type: formula
  name: reduced
  of: {a: mixture, v: place, g: loud}
  equations:
    n: a / norm(a[0:3]) + norm(a - v)
    s: softmax(a * 2, 2)
    t: v[-1] * max(a) + dot(v, a) + mean(n) - sum(s[2:] * v[:2])
    y: concat(n * g, a[1:3] * t, softmax(v, 2))
- type: formula
  name: direction
  of: {v: place}
  equations: {n: v / norm(v), y: "concat(n[1:-1], split(n, 1, 2)) * max(v)"}
- {type: formula, name: total, of: {v: direction, r: reduced}, equations: {y: "dot(v, r[-4:])"}}
- {type: lstm, units: 3, of: total}
- type: formula
  name: learned
  of: {m: reduced, v: place, training: loud}
  units: 3
  parameters: {alpha: scalar, forward: [3], K: [3, 3]}
  initialize: {alpha: 0.5, W: {uniform: 0.4}, K: {normal: 0.3}, W_scale: ones}
  equations:
    q: sigmoid(W @ m + b) * forward + W_scale * training
    mask: tanh(U @ v) * exp(alpha) - softmax(K.T @ q + V @ m)
    y: layer_norm(K @ mask) + alpha * q
- type: formula
  name: of_vector
  of: {v: place, self: gru_1.state}
  units: 2
  equations: {y: relu(steps @ v + b) - steps @ self}
- type: formula
  name: one_way
  of: {p: masked, q: place}
  units: 3
  initialize: {W: {uniform: 0.4}}
  equations: {y: tanh(W @ p) + g * (V @ q)}
- type: formula
  name: other_way
  of: {p: formula_3, q: place}
  units: 3
  initialize: {V: {normal: 0.3}}
  equations: {y: g * (W @ p) - (V @ q - W @ p) / (1 + abs(W @ p))}
- {type: add, name: both_ways, of: [one_way, other_way]}
- type: formula
  of: {b: add_1, x: add_1}
  equations: {y: "where(x <= b, x, 2) + where(x >= b, tanh(b), -x)"}
heads:
  whole: {pooling: mean, units: 2}
  last: {of: formula_2, units: 1}
  read: {of: lstm_1, units: 1}
  arrays: {of: learned, pooling: mean, units: 1}
  vectors: {of: of_vector, units: 1}
  ways: {of: both_ways, pooling: mean, units: 1}
"""
SEVERAL_INPUTS = """\
version: 1
name: several_inputs
inputs:
  rain: {features: 3, mask_value: 0.0}
  gap: {features: 1}
  basin: {features: 4, per: sequence}
stream: rain
cells:
  decayed:
    inputs: [x, dt, s]
    states: [h, c]
    parameters: {w: [x]}
    equations:
      d: exp(-relu(w_d * dt[0] + b_d))
      i: sigmoid(W_i @ s + b_i)
      g: tanh(W_g @ (w * x) + U_g @ (d * h) + V_g @ s)
      c: d * c + i * g
      h: tanh(c)
rnn:
- {type: decayed, units: 3, of: {dt: gap, s: basin, x: rain}, bidirectional: true, name: both}
- {type: decayed, units: 2, of: {x: both, dt: gap, s: both.c}, direction: backward}
- type: decayed
  units: 5
  of: {x: rain, dt: gap, s: basin}
  dropout: 0.1
  recurrent_dropout: 0.2
  initial_state: learned
  name: alone
- {type: concat, of: [decayed_1, alone]}
heads: {steps: {pooling: none, units: 2}, last: {of: alone.h, units: 2}}
"""
SIAMESE = """\
version: 1
name: siamese
inputs:
  premise: {embedding: {vocabulary: 20, dim: 5, mask_zero: true}}
  hypothesis: {embedding: premise}
stream: hypothesis
rnn:
- {type: lstm, name: first, units: 4, bidirectional: true, of: premise}
- {type: lstm, name: second, shares: first, of: hypothesis}
- {type: concat, of: [first.state, second.state]}
- {type: dense, units: 3, name: da}
- {type: dense, name: db, shares: da, of: concat_1}
- {type: add, of: [da, db]}
head: {units: 3, activation: softmax, pooling: none}
"""
SHARED_STACKS = """\
version: 1
name: shared_stacks
inputs:
  a: {features: 3, mask_value: 0.0}
  b: {features: 3, mask_value: 0.0}
stream: b
rnn:
- {type: gru, name: enc, units: 4, layers: 2, layer_norm: true, dropout: 0.2,
  recurrent_dropout: 0.1, of: a, initial_state: learned}
- {type: gru, name: again, shares: enc, of: b, initial_state: learned}
- {type: pool, pooling: last, of: enc, name: p}
- {type: pool, pooling: last, of: again, name: q}
- {type: concat, of: [p, q]}
head: {units: 3, pooling: none}
"""
CALLED_TWICE = """\
version: 1
name: called_twice
inputs:
  a: {features: 3, length: 6}
  b: {features: 3, length: 8}
stream: b
rnn:
- {type: conv, name: ca, filters: 4, kernel_size: 3, padding: causal, of: a}
- {type: layer_norm, name: na}
- {type: instance_norm, name: ia}
- {type: dense, name: da, units: 4, activation: relu}
- {type: simple, name: ra, units: 4, residual: true}
- {type: conv, name: cb, of: b, shares: ca}
- {type: layer_norm, name: nb, shares: na}
- {type: instance_norm, name: ib, shares: ia}
- {type: dense, name: db, shares: da}
- {type: simple, name: rb, shares: ra, initial_state: {of: ra}}
- {type: gru, name: g1, units: 4, of: rb}
- {type: gru, name: g2, shares: g1}
- {type: gru, name: g3, shares: g1}
heads: {o: {units: 3, of: g3}, p: {of: ra, pooling: mean}}
"""
SHARED_CELLS = """\
version: 1
name: shared_cells
inputs:
  a: {features: 3, mask_value: 0.0}
  b: {features: 3, mask_value: 0.0}
stream: b
cells:
  fed:
    states: [h, c]
    equations: {f: sigmoid(W @ x + U @ h + b), c: f * c + (1 - f) * tanh(V @ x),
  h: tanh(p * c)}
rnn:
- {type: fed, name: first, units: 4, of: a, bidirectional: true}
- {type: fed, name: second, shares: first, of: b, initial_state: {of: first}}
- {type: concat, of: [first.c, second.c]}
- {type: fed, name: third, units: 3, of: first}
- {type: fed, name: fourth, shares: third, of: second}
heads: {one: {of: concat_1, units: 2}, two: {of: third, pooling: last, units: 2},
  three: {of: fourth, pooling: none, units: 2}}
"""
SHARED_ATTENTION = """\
version: 1
name: shared_attention
inputs:
  a: {features: 3, mask_value: 0.0}
  b: {features: 3, mask_value: 0.0}
stream: b
rnn:
- {type: gru, name: encoder, units: 4, of: a}
- {type: lstm, name: first, units: 4, of: a, attention: {over: encoder, score: general}}
- {type: lstm, name: second, shares: first, of: b}
- {type: concat, of: [first.context, first]}
- {type: pool, pooling: mean}
- {type: concat, of: [mean_pooling_1, second.state]}
head: {of: concat_2, units: 2}
"""
SHARED_STREAM = """\
version: 1
name: shared_stream
inputs:
  a: {features: 3}
  b: {features: 3}
stream: b
rnn:
- {type: conv, name: ca, filters: 4, kernel_size: 1, of: a}
- {type: layer_norm, name: na}
- {type: dense, name: da, units: 4, activation: relu}
- {type: lstm, name: ra, units: 4}
- {type: conv, name: cb, of: b, shares: ca}
- {type: layer_norm, name: nb, shares: na}
- {type: dense, name: db, shares: da}
- {type: lstm, name: rb, shares: ra, initial_state: {of: ra}}
- {type: gru, name: g1, units: 4, of: rb}
- {type: gru, name: g2, shares: g1}
- {type: gru, name: g3, shares: g1}
head: {units: 3, pooling: none}
"""
SHARED_PAIRS = """\
version: 1
name: shared_pairs
inputs:
  a: {features: 3, mask_value: 0.0}
  b: {features: 3, mask_value: 0.0}
cells:
  two:
    inputs: [x, s]
    states: [h]
    equations: {h: "tanh(W @ x + V @ s + U @ h)"}
rnn:
- {type: gru, name: g, units: 4, of: a, reset_after: false, merge: sum,
  bidirectional: true, recurrent_activation: hard_sigmoid, recurrent_dropout: 0.2}
- {type: gru, name: g2, shares: g, of: b, initial_state: {of: g}}
- {type: two, name: t, units: 3, of: {x: g2, s: g.state}}
- {type: two, name: t2, shares: t, of: {x: g2, s: g2.state}, initial_state: {h: t.h}}
- {type: simple, name: s, units: 3, activation: relu, of: t2, direction: backward}
- {type: simple, name: s2, shares: s, of: s}
- {type: pool, pooling: max}
head: {units: 3, pooling: none}
"""
GRAPHS = (
    TRANSLATION,
    JOINED,
    TURNED,
    APPENDED,
    GIVEN,
    STREAMED,
    COPIED,
    ATTENDING,
    ASKING,
    CHOOSING,
    LOOKING_BACK,
    POINTING,
    INPUT_FEEDING,
    TWICE_ASKED,
    RENAMED,
    PASSED_ON,
    ENDED,
    FORMULAS,
    SEVERAL_INPUTS,
    SIAMESE,
    SHARED_CELLS,
    SHARED_STREAM,
)
SHARED = (SHARED_STACKS, CALLED_TWICE, SHARED_ATTENTION, SHARED_PAIRS)

OWN = """\
version: 1
name: own
inputs:
  inline: {features: 2, mask_value: 0}
  own: {features: 3, per: sequence}
  friend: {features: 2}
cells:
  peephole:
    states: [h, c]
    equations:
      i: sigmoid(W_i @ x + U_i @ h + b_i)
      c: i * c + (1 - i) * tanh(W_c @ x + U_c @ h)
      h: i * tanh(c)
stream: inline
rnn:
  - {type: dense, of: own, units: 8, name: start}
  - {type: peephole, units: 4, of: friend, bidirectional: true, name: both,
    initial_state: {h: start, c: start}}
  - {type: gru, units: 3, reset_after: false, of: friend, bidirectional: true, merge: sum,
    name: summed, initial_state: learned}
  - {type: concat, of: [summed.state, own], name: known}
  - {type: dense, units: 5, name: first}
  - {type: peephole, units: 5, of: inline, initial_state: {c: first}, name: one}
  - {type: peephole, units: 5, initial_state: {h: first}, name: two}
  - {type: concat, of: [one.c, two.c, two.state, both.c], name: cells}
heads:
  register: {of: cells, units: 2}
  y: {of: two, units: 1, pooling: none}
"""
"""Names that are words of C, and cells by equation with first and final states."""
PAIR = """\
version: 1
name: pair
inputs:
  rnnspec_see: {features: 2, mask_value: 0}
  right: {features: 2, length: 9}
  pair_run: {per: sequence, features: 6}
  work: {per: sequence, embedding: {vocabulary: 3, dim: 6}}
rnn:
  - {type: conv, of: rnnspec_see, filters: 4, kernel_size: 3, stride: 2, padding: valid}
  - {type: max_pool, size: 2, name: quarter, padding: same}
  - {type: gru, units: 6, direction: backward, name: read}
  - {type: dense, of: quarter, units: 6, name: deep}
  - {type: repeat, of: pair_run, like: quarter, name: repeated}
  - {type: add, of: [repeated, deep, work], name: total}
  - {type: conv, of: right, filters: 6, kernel_size: 2, dilation: 3, padding: [3, 1], name: wide}
  - {type: average_pool, size: 2, name: means}
  - {type: transpose}
heads:
  a: {of: total, pooling: none, units: 2}
  b: {of: transpose_1, pooling: none, units: 3}
  c: {of: wide, pooling: first_step}
  d: {of: read, units: 1}
"""
"""Two sequences of unlike numbers of steps, one with the name of a function that runs C."""
WAITING = """\
version: 1
name: waiting
input: {features: 3}
rnn:
  - {type: conv, filters: 2, kernel_size: 3, padding: valid, name: near}
  - {type: conv, of: input, filters: 2, kernel_size: 3, dilation: 2, padding: valid, name: far}
  - {type: gru, units: 3}
  - {type: dense, of: input, units: 2, name: now}
heads:
  soon: {of: near, pooling: none}
  later: {of: gru_1, pooling: none, units: 2}
  last: {of: near, pooling: last_step}
  same: {of: now, pooling: none}
"""
"""In step form, outputs that begin at unlike steps."""
POOLED = """\
version: 1
name: pooled
inputs: {audio: {features: 2}, prompt: {features: 3, length: 4}}
stream: audio
rnn:
  - {type: pool, of: prompt, pooling: mean, name: about}
  - {type: gru, of: audio, units: 2}
heads: {one: {of: gru_1, units: 1}, two: {of: about, units: 1}}
"""
"""In step form, a sequence that only a pooling reads."""
TWO_STREAMS = """\
version: 1
name: two_streams
inputs:
  pitch: {features: 1}
  loudness: {features: 2, mask_value: 0.0}
  note: {embedding: {vocabulary: 11, dim: 3, mask_zero: true}}
  room: {features: 4, per: sequence}
stream: [note, pitch, loudness]
rnn:
  - {type: dense, units: 6, of: room, name: begin}
  - {type: dense, units: 5, of: pitch, name: tone}
  - {type: lstm, units: 4, of: loudness, name: power}
  - {type: gru, units: 3, of: note, name: words}
  - {type: concat, of: [tone, power, words]}
  - {type: gru, units: 6, initial_state: {h: begin}, name: both}
  - {type: concat, of: [both, words]}
head: {pooling: none, units: 2}
"""
"""Several inputs in chunks, two of them with padding of their own."""
BARE = """\
version: 1
name: bare
inputs: {one: {features: 3, mask_value: 2.0}, start: {features: 3, per: sequence}}
cells:
  mean: {states: [h], sizes: {h: features}, equations: {h: 0.5 * h + 0.5 * x}}
  halved: {states: [h], sizes: {h: features}, equations: {h: sigmoid(0.5 * x)}}
rnn:
  - {type: mean, of: one, units: 3, initial_state: {h: start}}
  - {type: halved, units: 3, name: second}
  - {type: mean, units: 3, initial_state: given}
head: {pooling: none}
"""
"""Cells without parameters, in a network that has none."""
IN_C = (OWN, PAIR, WAITING, POOLED, RENAMED, PASSED_ON, BARE, TWO_STREAMS)
STACKS = """\
version: 1
name: stacks
inputs:
  source: {embedding: {vocabulary: 7, dim: 3}}
  target: {embedding: {vocabulary: 6, dim: 4}}
stream: target
rnn:
  - {type: lstm, units: 3, layers: 2, name: encoder, of: source}
  - {type: lstm, units: 3, layers: 2, name: decoder, of: target, initial_state: {of: encoder}}
head: {pooling: none, units: 6}
"""
CELLS = """\
version: 1
name: cells
input: {features: 3, mask_value: 0}
cells:
  leaky:
    states: [h, s]
    equations:
      s: 0.9 * s + W_s @ x + b_s
      h: tanh(U_h @ h + s)
rnn:
  - {type: lstm, units: 3, bidirectional: true, initial_state: learned, name: zero}
  - {type: lstm, units: 3, bidirectional: true, initial_state: {of: zero}}
  - {type: leaky, units: 3, bidirectional: true, initial_state: learned, name: one}
  - {type: leaky, units: 3, bidirectional: true, initial_state: {of: one}, name: two}
  - {type: gru, units: 2, recurrent_dropout: 0.1, initial_state: learned, direction: backward}
  - {type: lstm, units: 2, recurrent_dropout: 0.1, bidirectional: true, merge: ave,
    initial_state: learned, name: three}
  - {type: concat, of: [three, three.cell, one.s]}
  - {type: simple, units: 2, activation: elu, bidirectional: true, initial_state: learned}
"""
# Each name is a variable of some method, too.
NAMES = """\
version: 1
name: names
inputs:
  first: {embedding: {vocabulary: 6, dim: 3}, length: 9}
  real: {features: 3, mask_value: 0, length: 9}
  last: {features: 3, per: sequence}
rnn:
  - {type: lstm, units: 3, of: first, activation: elu, initial_state: {h: last}, name: hidden}
  - {type: gru, units: 3, of: real, bidirectional: true, dropout: 0.1, initial_state: learned,
    name: back}
  - {type: conv, filters: 3, kernel_size: 4, stride: 2, padding: [2, 1], of: back, name: total}
  - {type: pool, pooling: {attention: {units: 3, query: last}}, of: total, name: scores}
  - {type: pool, pooling: {attention: {activation: tanh}}, of: first, name: share}
  - {type: pool, pooling: mean, of: total, name: mean}
  - {type: gru, units: 2, of: first, name: super}
  - {type: gru, units: 2, initial_state: {of: super}, name: steps}
  - {type: concat, of: [scores, mean, back.state, share, last, steps.state]}
heads:
  one: {pooling: none, units: 2, activation: sigmoid}
  two: {of: hidden, pooling: [last, max], units: 2, activation: softmax}
  three: {of: total, pooling: none, units: 1}
"""
EARLY = """\
version: 1
name: early
inputs:
  audio: {features: 2}
  prompt: {features: 2, mask_value: 0}
stream: audio
rnn:
  - {type: conv, filters: 2, kernel_size: 3, padding: causal, of: prompt}
  - {type: pool, pooling: [mean, {attention: {units: 2}}], name: asked}
  - {type: lstm, units: 4, bidirectional: true, of: conv_1, name: read}
  - {type: concat, of: [audio, asked, read.cell]}
  - {type: gru, units: 2}
head: {pooling: mean}
"""
POOLS = """\
version: 1
name: pools
inputs:
  real: {features: 3}
  padded: {features: 4, mask_value: 0}
rnn:
  - {type: pool, of: real, pooling: {attention: {}}, name: one}
  - {type: pool, of: padded, pooling: {attention: {}}, name: two}
  - {type: pool, of: padded, pooling: max, name: highest}
  - {type: gru, units: 2, of: real}
  - {type: gru, units: 3, of: padded}
  - {type: gru, units: 3, initial_state: {h: one}}
  - {type: lstm, units: 2, of: real}
  - {type: lstm, units: 2, of: real, initial_state: {c: lstm_1.cell}}
  - {type: concat, of: [one, two, highest, gru_1.state, gru_3.state, lstm_2.state]}
"""
"""Inputs that are pooled, with padding and without; a first state at the top of a stack alone, and
that of a cell alone, which another layer passes on."""
CORNERS = """\
version: 1
name: corners
inputs:
  real: {features: 3}
  padded: {features: 3, mask_value: 0}
rnn:
  - {type: activation, activation: linear, of: real, name: kept}
  - {type: max_pool, size: 4, stride: 1, padding: [3, 3], of: real, name: wider}
  - {type: simple, units: 3, layers: 2, of: padded, initial_state: given, name: stack}
  - {type: gru, units: 3, reset_after: false, layer_norm: true, of: real, name: first}
  - {type: gru, units: 3, of: padded, initial_state: {of: first}, name: second}
  - {type: gru, units: 3, of: real, dropout: 0.1, variational: false, residual: true,
    initial_state: learned, name: over}
  - {type: concat, of: [second.state, stack.state]}
heads:
  e: {of: over, pooling: mean}
  a: {of: kept, pooling: mean}
  b: {of: wider, pooling: none, units: 2}
  c: {of: first, units: 2}
  d: {of: concat_1, units: 2}
"""
"""A layer that changes nothing, padding of most of a window, states below the top of a stack.

A state that is learned stands between a dropout, where a residual starts, and its layer.
"""
ATTENTIONS = {
    # A layer attends to itself, and an input to itself.
    "self": """\
version: 1
name: itself
input: {features: 3, mask_value: 0}
rnn:
  - {type: gru, units: 3, name: encoder}
  - {type: attention, of: encoder, over: encoder, score: scaled_dot}
  - {type: attention, over: input, score: additive, units: 2, bias: false}
head: {pooling: [mean, max], units: 2}
""",
    # The last output alone, a memory whose padding is no zeros, and contexts that nothing takes.
    "last": """\
version: 1
name: last
inputs:
  source: {embedding: {vocabulary: 5, dim: 3, mask_zero: true}}
  target: {features: 2, mask_value: 0}
stream: target
rnn:
  - {type: lstm, units: 2, of: target, attention: {over: source, score: general}, name: one}
  - {type: gru, units: 3, attention: {over: source, score: dot}, name: two}
head: {units: 2}
""",
    # Layers of one class, which attend to unlike memories with unlike sizes.
    "shared": """\
version: 1
name: shared
inputs:
  source: {features: 3, mask_value: 0}
  other: {features: 2, mask_value: 0}
  target: {features: 2}
stream: target
rnn:
  - {type: gru, units: 3, of: target, attention: {over: source, score: additive, units: 2},
    name: one}
  - {type: gru, units: 2, attention: {over: other, score: additive, units: 4}, name: two}
  - {type: attention, of: one, over: source, score: scaled_dot, name: three}
  - {type: attention, of: two, over: other, score: scaled_dot, name: four}
  - {type: concat, of: [three, four, one.context]}
head: {pooling: mean, units: 2}
""",
    # Contexts that a layer attends to, and a memory with the padding of windows.
    "windows": """\
version: 1
name: windows
inputs:
  source: {features: 3, mask_value: 0}
  target: {features: 2, mask_value: 0}
stream: target
rnn:
  - {type: conv, filters: 3, kernel_size: 3, stride: 2, of: source, name: fewer}
  - {type: simple, units: 3, of: target, attention: {over: fewer, score: dot}, name: one}
  - {type: gru, units: 2, of: one.context, attention: {over: source, score: additive, units: 2}}
head: {pooling: none, units: 2}
""",
}
_SCORES = {
    "dot": "score: dot",
    "scaled": "score: scaled_dot",
    "general": "score: general",
    "additive": "score: additive, units: 3",
}
_DECODERS = {
    "gru": "type: gru, units: 4, initial_state: {h: bridge}",
    "lstm": "type: lstm, units: 4, initial_state: {h: bridge}, dropout: 0.1",
    "reset_first": "type: gru, units: 4, reset_after: false, initial_state: {of: encoder}",
    "functions": "type: lstm, units: 4, activation: elu, recurrent_activation: hard_sigmoid",
    "leaky": "type: leaky, units: 4, initial_state: {h: bridge}",
    "linear": "type: linear, units: 4",
}
_TRANSLATOR = """\
version: 1
name: translator
inputs:
  source: {{ {length}embedding: {{vocabulary: 6, dim: 3, mask_zero: {source}}} }}
  target: {{ {length}embedding: {{vocabulary: 5, dim: 2, mask_zero: {target}}} }}
stream: target
{cells}rnn:
  - {{type: gru, units: 4, of: source, name: encoder, reset_after: {reset_after}}}
  - {{type: dense, units: 4, activation: tanh, of: encoder.state, name: bridge}}
  - {{{decoder}, of: target, name: decoder, attention: {{over: encoder, {first}}}}}
  - {{type: attention, of: decoder, over: encoder, {second}, name: after}}
  - {{type: attention, of: bridge, over: encoder, {third}, name: summary}}
  - {{type: concat, of: [decoder, decoder.context, after, summary]}}
head: {{pooling: none, units: 5, activation: softmax}}
"""
_OF_DECODERS = {
    "leaky": """\
cells:
  leaky:
    states: [h, s]
    equations:
      g: sigmoid(W_g @ x + b_g)
      s: 0.9 * s + W_s @ x + b_s
      h: tanh(U_h @ h + V_h @ x + s) * g
""",
    "linear": """\
cells:
  linear:
    states: [h]
    equations:
      h: W_h @ x + 0.5 * h
""",
}


def _translators() -> dict[str, str]:
    """Return a network for each cell; in all of them, each score meets each mask in each place."""
    texts, scores = dict[str, str](), list(_SCORES.values())
    for number, (name, decoder) in enumerate(_DECODERS.items()):
        first, second, third = (scores[(number + by) % 4] for by in range(3))
        texts[name] = _TRANSLATOR.format(
            length="length: 7, " if number == 2 else "",
            source="true" if number < 3 else "false",
            target="true" if number % 3 else "false",
            cells=_OF_DECODERS.get(name, ""),
            reset_after="false" if name == "reset_first" else "true",
            decoder=decoder,
            first=first,
            second=second,
            third=third,
        )
    for cell in ("simple", "gru", "lstm"):
        texts[f"by_hand_{cell}"] = _TRANSLATOR.format(
            length="",
            source="false",
            target="false",
            cells="",
            reset_after="true",
            decoder=f"type: {cell}, units: 4, initial_state: {{h: bridge}}",
            first=_SCORES["additive"],
            second=_SCORES["general"],
            third=_SCORES["general"],
        )
    return texts


TRANSLATORS = _translators()
# A value of parameters only has no batch, where it is a state or beside another vector.
OF_PARAMETERS = """\
    states: [h, c, d]
    equations:
      c: sigmoid(b_c)
      d: U_d @ c
      v: concat(tanh(b_v), x, c)
      w: concat(softplus(b_w), h)
      h: tanh(V @ v + W @ w + c * d)
    parameters: {b_v: [units], b_w: [units]}
"""

# Layers of one cell with other values of its settings, of which one is a size; cells whose classes
# would have the same name; and one that a setting makes a layer of the language.
SETTINGS = """\
version: 1
name: settings
input: {features: 3, mask_value: 0}
cells:
  leaky:
    states: [h]
    equations: {m: K @ h, h: (1 - dt) * h + dt * tanh(W @ x + U @ m + b)}
    settings: {dt: 0.5, size: 2}
    sizes: {m: size}
  leaky2: {states: [h], equations: {h: tanh(W @ x + dt * U @ h)}, settings: {dt: 1}}
rnn:
  - {type: leaky, units: 4}
  - {type: leaky, units: 4, bidirectional: true, dt: 0.25}
  - {type: leaky, units: 5, size: 3}
  - {type: leaky2, units: 2, dt: 0.5}
  - {type: leaky2, units: 3}
head: {units: 1}
"""

# Branches that are not taken, whose values or derivatives are infinite.
BRANCHES = """\
version: 1
name: branches
input: {features: 3, length: 4}
cells:
  own:
    states: [h, c]
    equations:
      a: W @ x + U @ h + b
      s: sqrt(c)
      c: 0.5 * c + tanh(K @ h + a)
      root: where(a > 0, sqrt(a), 0.1 * a) + sqrt(maximum(a, 0)) + sqrt(1 - minimum(a, 1))
      flat: sqrt(relu(a)) + sqrt(hard_sigmoid(6 * a))
      far: where(a > 9, exp(900 * a), a) + minimum(exp(900 * a), 1)
      near: where(a <= 0.2, a, where(a > 0.4, log(a - 0.4), 1 / maximum(a - 0.2, 0)))
      part: where(c > 5, s, where(V @ x > 0, sqrt(V @ x), 0))
      h: tanh(0.1 * (root + flat + far + near + part))
rnn: {type: own, units: 5}
head: {units: 2}
initializers: {kernel: {normal: 1}}
"""
JOINS = """\
version: 1
name: joins
inputs:
  left: {features: 3, mask_value: 0}
  right: {features: 3, mask_value: 0}
  basin: {features: 3, per: sequence}
rnn:
- {type: concat, of: [left, right, basin], name: side}
- {type: gru, units: 4, name: reader}
- {type: add, of: [left, right, basin], name: total}
- {type: conv, filters: 3, kernel_size: 3, stride: 2, padding: [1, 1]}
- {type: max_pool, size: 2, stride: 1, padding: [1, 0], name: windows}
- {type: multiply, of: [left, total], name: product}
- {type: simple, units: 3}
heads:
  whole: {pooling: none, units: 2}
  asked: {of: reader, pooling: {attention: {query: basin, units: 3, bias: false}}}
  highest: {of: windows, pooling: max}
"""
BEHIND = """\
version: 1
name: behind
input: {features: 3, mask_value: 0.0}
rnn:
- {type: lstm, units: 3}
- {type: dense, name: dense, units: 2, activation: sigmoid}
- {type: lstm, name: norm, units: 3, of: input, layer_norm: true}
- {type: gru, units: 2, of: input, initial_state: learned}
- {type: dropout, name: learned, rate: 0.5}
- {type: gru, units: 2, of: input}
- {type: activation, name: zeros, activation: relu}
- {type: gru, units: 2, of: input}
- {type: batch_norm, name: batch}
heads:
"""
ENDS = ("dense", "norm", "learned", "zeros", "batch")
STATES = BEHIND + "".join(f"  last_{end}: {{of: {end}}}\n" for end in ENDS)

ALL = (
    *(
        *GRAPHS,
        *IN_C[:4],
        *SHARED,
        BARE,
        TWO_STREAMS,
        BRANCHES,
        SETTINGS,
        STACKS,
        CELLS,
        NAMES,
        EARLY,
        POOLS,
        CORNERS,
        JOINS,
        STATES,
    ),
    *ATTENTIONS.values(),
    *(TRANSLATORS[name] for name in ("lstm", "functions", "leaky", "linear")),
)
"""Networks that together have what every backend writes in a way of its own."""
_TO_RAISE = {
    "formula": """\
inputs: {a: {features: 2}, v: {features: 2, per: sequence}}
rnn:
- {type: lstm, units: 2, of: a}
- {type: formula, of: {x: a, s: lstm_1.cell, v: v}, equations: {q: x - s, y: "where(q < v, -q, 2)"}}
- type: formula
  of: {x: formula_1, v: v}
  units: 3
  equations: {y: a * (W @ x) + b - g * (U @ v)}
  parameters: {a: scalar}
  initialize: {g: ones, b: 0.5, U: he_uniform}
""",
    "tagger": """\
inputs:
  words:
    embedding: {vocabulary: 9, dim: 4, mask_zero: true}
  casing:
    embedding: {vocabulary: 3, dim: 2, name: shape}
  user: {features: 5, per: sequence}
  topic:
    per: sequence
    embedding: {vocabulary: 6, dim: 2}
  target: {embedding: words}
rnn:
- {type: concat, of: [words, casing, target, user, topic]}
- {type: lstm, units: 3, bidirectional: true}
head: {pooling: none, units: 2}
""",
    "stream": """\
inputs:
  audio: {features: 2}
  other: {features: 3}
  key: {features: 4, per: sequence}
stream: audio
rnn:
- {type: gru, name: first, of: audio, units: 4, layer_norm: true}
- {type: dense, of: other, units: 4}
- {type: multiply, of: [first, dense_1, key]}
- {type: add, of: [multiply_1, dense_1]}
- {type: simple, units: 3, direction: backward, initial_state: learned}
head: {units: 1}
""",
    "encoder_decoder": """\
inputs:
  source:
    embedding: {vocabulary: 7, dim: 3}
  target:
    embedding: {vocabulary: 8, dim: 3}
rnn:
- {type: lstm, of: source, units: 4, layers: 2}
- {type: lstm, of: target, units: 4, layers: 2, initial_state: {of: lstm_2}}
- {type: dense, units: 8, activation: softmax}
""",
    "bridge": """\
input: {features: 3}
rnn:
- {type: lstm, units: 4}
- {type: dense, of: lstm_1.state, units: 5}
- {type: dense, of: lstm_1.cell, units: 5}
- {type: concat, name: both, of: [lstm_1.state, dense_2]}
- {type: repeat, of: both, like: lstm_1}
- {type: lstm, units: 5, initial_state: {h: dense_1, c: dense_2}}
- {type: lstm, name: last, units: 5, initial_state: {c: dense_2}}
head: {pooling: none, units: 2}
""",
    "given": """\
input: {features: 3}
rnn:
- {type: lstm, units: 4, layers: 2, bidirectional: true, initial_state: given}
- {type: gru, name: top, units: 8, initial_state: given, layer_norm: true, residual: true}
head: {pooling: none, units: 2}
""",
    "given_state": """\
input: {features: 3}
rnn: {type: lstm, units: 4, initial_state: given}
heads:
  one: {units: 2}
  two: {pooling: mean, units: 2}
""",
    "rnnoise": """\
input: {features: 42}
rnn:
- {type: dense, name: front, units: 24, activation: tanh}
- {type: gru, name: vad, units: 24, activation: relu}
- {type: concat, of: [front, vad, input]}
- {type: gru, name: noise, units: 48, activation: relu}
- {type: concat, of: [vad, noise, input]}
- {type: gru, units: 96, activation: relu}
heads:
  gains: {pooling: none, units: 22, activation: sigmoid}
  activity: {of: vad, pooling: none, units: 1, activation: sigmoid}
""",
    "pools": """\
input: {length: 6, features: 3}
rnn:
- {type: conv, filters: 4, kernel_size: 3, padding: [2, 1]}
- {type: lstm, units: 4, dropout: 0.5, variational: false}
- {type: pool, pooling: mean}
- {type: batch_norm}
- type: pool
  name: ends
  of: lstm_1
  pooling: [first_step, max, {attention: {query: batch_norm_1}}]
- {type: pool, of: lstm_1, pooling: {last_steps: 2}}
- {type: pool, name: flat, pooling: flatten}
- {type: transpose, of: input}
- {type: max_pool, size: 2, padding: [1, 0]}
- {type: instance_norm}
- {type: normalize}
- {type: pool, pooling: {attention: {units: 3, bias: false, activation: relu}}}
- {type: concat, of: [flat, ends, attention_pooling_2]}
- {type: repeat, steps: 2}
- {type: gru, units: 3}
head:
  pooling: [last, {attention: {activation: tanh}}]
  dropout: 0.5
  hidden:
  - {units: 4, dropout: 0.1}
  - {type: normalize}
  units: 2
  normalize: l2
""",
    "states": """\
input: {features: 3}
rnn:
- {type: lstm, units: 4}
- {type: dense, units: 4}
- {type: dense, name: side, of: input, units: 4}
- {type: pool, pooling: mean}
- {type: add, of: [dense_1, mean_pooling_1]}
- {type: gru, of: input, units: 4, bidirectional: true, merge: sum, layer_norm: true}
- {type: pool, name: last, pooling: last}
- {type: multiply, of: [add_1, last, side]}
head: {pooling: mean, units: 2}
""",
    "heads": """\
input: {features: 3}
rnn:
- {type: lstm, units: 4, initial_state: learned}
- {type: gru, units: 4, layer_norm: {epsilon: 1.0e-5}}
heads:
  one: {pooling: none}
  two: {of: lstm_1, units: 2}
  three: {of: lstm_1.cell}
  four: {of: lstm_1, pooling: [last, mean], hidden: [{units: 2}], units: 3}
""",
    "head_of_head": """\
input: {features: 3}
rnn: {type: lstm, units: 4}
heads:
  one: {hidden: [{units: 2, name: inner}], units: 3}
  two: {of: inner, units: 1}
""",
    "vectors": """\
input: {features: 3}
rnn:
- {type: lstm, units: 4}
- {type: dense, of: lstm_1.state, units: 5}
- {type: gru, of: input, units: 2}
- {type: concat, of: [dense_1, gru_1.state]}
head: {units: 2}
""",
    "only_states": """\
input: {features: 3}
rnn:
- {type: lstm, units: 4}
- {type: dense, of: lstm_1.cell, units: 5}
""",
    "ends": """\
input: {features: 3}
cells:
  smooth:
    states: [h]
    equations: {h: alpha * h + (1 - alpha) * x}
    sizes: {h: features}
    parameters: {alpha: scalar}
rnn:
- {type: smooth, bidirectional: true}
- {type: smooth}
heads:
  one: {name: named, activation: softmax}
  two: {pooling: none, activation: {leaky_relu: 0.1}}
  three: {pooling: mean, hidden: [{units: 3}], activation: tanh, normalize: l2}
""",
    "part_of_stack": """\
input: {features: 4}
rnn:
- {type: lstm, units: 4}
- {type: lstm, units: 4}
- {type: lstm, units: 4, initial_state: {of: lstm_2}}
- {type: lstm, units: 4, initial_state: {of: lstm_2}}
""",
    "cells": """\
input: {features: 3}
cells:
  mine:
    states: [y, state]
    equations: {state: tanh(W @ x + U @ state), y: sigmoid(state)}
rnn:
- {type: mine, units: 4, initial_state: learned}
- {type: mine, of: input, units: 4, initial_state: {of: mine_1}}
- {type: concat, of: [mine_2, mine_1.y]}
""",
}
TO_RAISE = {name: f"version: 1\nname: {name}\n{text}" for name, text in _TO_RAISE.items()}
"""Ways of naming layers, states, inputs and heads, which a spec that is raised has again."""
