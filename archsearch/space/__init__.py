"""Search spaces: the domains of a family's choices, read from YAML."""

from archsearch.space.search_space import Domain, SearchSpace, load_space

__all__ = ["Domain", "SearchSpace", "load_space"]
