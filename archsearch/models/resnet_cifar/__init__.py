"""ResNets for CIFAR (He et al. 2016, arXiv 1512.03385, section 4.2)."""
