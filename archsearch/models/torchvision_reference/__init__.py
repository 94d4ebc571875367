"""torchvision's classification models by name: outside anchors for a front."""
