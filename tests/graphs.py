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
GRAPHS = (
    TRANSLATION,
    JOINED,
    TURNED,
    GIVEN,
    STREAMED,
    COPIED,
    ATTENDING,
    ASKING,
    RENAMED,
    PASSED_ON,
)
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
IN_C = (OWN, PAIR, WAITING, POOLED, RENAMED, PASSED_ON, BARE)
