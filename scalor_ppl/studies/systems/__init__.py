"""Systems side by side: programs trained and measured on the same clips, with the same bound."""
