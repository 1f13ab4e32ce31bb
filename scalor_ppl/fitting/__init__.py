"""A look at a video, and the settings of a training that follow from it."""
