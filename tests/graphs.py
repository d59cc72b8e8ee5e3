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
  speaker: {per: sequence, embedding: {vocabulary: 5, dim: 2}}
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
GRAPHS = (TRANSLATION, JOINED, TURNED, GIVEN, STREAMED)
