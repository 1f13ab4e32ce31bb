"""What a training step costs: time, memory, its parts, Pyro's share, objects and image size.

All times are wall-clock seconds of the real training step (the configured objective, gradient
clipping and optimizer) on a synthetic video, after warm-up. The learning rate is zero: the weights,
and with them the work of a step, stay the same from the first repetition to the last.
"""
