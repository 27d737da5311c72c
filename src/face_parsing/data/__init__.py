"""Photos and masks as files, pairs, splits, and the loaders of a training."""
