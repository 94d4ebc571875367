"""What a network costs on paper: parameters and multiply-adds, and what could not be counted."""

from archsearch.cost.architecture import cost_of
from archsearch.cost.count import OperatorCount, count, count_operators
from archsearch.cost.layers import Layer, layer_table

__all__ = ["Layer", "OperatorCount", "cost_of", "count", "count_operators", "layer_table"]
