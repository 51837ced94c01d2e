"""Questions asked of a model: names that begin, end or look a certain way, are new, or have a length."""
