"""The functions behind the playground, which return plain data that JSON can express.

The page itself has no knowledge of the language.
"""

from rnnspec_playground.answers import answer
from rnnspec_playground.completions import complete
from rnnspec_playground.hints import describe, explain

__all__ = ["answer", "complete", "describe", "explain"]
