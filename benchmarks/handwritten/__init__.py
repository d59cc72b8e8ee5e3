"""Networks written by hand, the opponents of the source that rnnspec writes."""
