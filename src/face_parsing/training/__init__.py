"""A run: the loss, the optimizer, the schedule, the loop and its folder."""
