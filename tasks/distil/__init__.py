"""Teach a student: its layers from the teacher's, its loss, the examples it sees, its training."""
