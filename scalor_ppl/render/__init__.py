"""Where <-> box <-> pixels: glimpses read and written."""
