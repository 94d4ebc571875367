"""ShuffleNet V1 (Zhang et al. 2017, arXiv 1707.01083): what can be chosen, and the network that it makes."""
