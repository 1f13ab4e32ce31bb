"""Settings: their schema, presets, schedules, and how they are read."""
