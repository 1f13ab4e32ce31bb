"""Scores of tracks and reconstructions against ground truth."""

from scalor_ppl.evaluation.reconstruction import mean_squared_error
from scalor_ppl.evaluation.rules import RULES, Rule, evaluate_by_rules
from scalor_ppl.evaluation.scores import Scores, evaluate_tracks

__all__ = [
    "RULES",
    "Rule",
    "Scores",
    "evaluate_by_rules",
    "evaluate_tracks",
    "mean_squared_error",
]
