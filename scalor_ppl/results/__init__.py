"""What a run leaves behind: tracks, MOT files, pictures and videos."""
