"""ShuffleNet V2 (Ma et al. 2018, arXiv 1807.11164): what can be chosen, and the network that it makes."""
