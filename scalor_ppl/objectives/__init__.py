"""Objectives: particles and estimators."""
