"""Specs of graphs of layers: several inputs, reads of any layer, joins, states, several heads."""

from __future__ import annotations

GRAPHS = {
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


def graph_text(name: str) -> str:
    """Return the text of a spec of a graph."""
    return f"version: 1\nname: {name}\n{GRAPHS[name]}"
