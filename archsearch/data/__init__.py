"""Datasets, one file each; splits; batches and augmentation on the device."""
