"""The conformance suite: cases that each show one fact, and what runs them in other tools."""
