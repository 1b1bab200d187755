"""Params of the stages: a mixin for each concern, its getters for stages and models, its setters for estimators."""
