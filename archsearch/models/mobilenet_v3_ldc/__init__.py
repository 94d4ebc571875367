"""MobileNetV3-small as the LDC paper builds it: what can be chosen, and the network that it makes."""
