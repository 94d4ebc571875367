"""ShuffleNet v2-50 and SE-ShuffleNet v2-164 (Ma et al. 2018, arXiv 1807.11164, appendix, table 2)."""
