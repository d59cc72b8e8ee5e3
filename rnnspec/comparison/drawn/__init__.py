"""Random specs: how they are drawn, compared one by one, and made small."""
