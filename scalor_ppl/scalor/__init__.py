"""What only SCALOR has: slots, priors, networks, refinement, read-out."""
