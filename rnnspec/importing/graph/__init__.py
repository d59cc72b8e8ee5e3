"""Graphs of other tools as layers: what their front ends share."""
