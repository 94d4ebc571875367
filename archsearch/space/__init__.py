"""Search spaces: the domains of a family's choices, read from YAML."""

from archsearch.space.domain import Domain
from archsearch.space.search_space import SearchSpace, load_space

__all__ = ["Domain", "SearchSpace", "load_space"]
