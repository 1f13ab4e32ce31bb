"""Scores of tracks and reconstructions against ground truth."""

from scalor_ppl.evaluation.reconstruction import mean_squared_error
from scalor_ppl.evaluation.scores import RULES, Rule, Scores, evaluate_by_rules, evaluate_tracks

__all__ = [
    "RULES",
    "Rule",
    "Scores",
    "evaluate_by_rules",
    "evaluate_tracks",
    "mean_squared_error",
]
