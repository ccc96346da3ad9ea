"""The evaluate stage: teacher and student on held-out speech, by errors and by speed."""
