"""Distillation: the student's layers, its loss, its batches and its training."""
